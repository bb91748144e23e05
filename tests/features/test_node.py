"""Components of Node's library and of Python in one flow, held to what breaks a naive platform.

Numbers are those of the rows of the table in docs/contract.md.
"""

from __future__ import annotations

import base64
import json
import signal
import socket
import tempfile
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pika
import pytest

from nomadflows.broker.wire import Crypto, Reply, decode_reply, new_id, platform_message
from nomadflows.model.names import FlowRef, input_key
from tests.conftest import Servers
from tests.world import World, command, eventually

pytestmark = pytest.mark.stack

Json = dict[str, Any]
TIMEOUT_S = 10


def chain(*steps: Json, idle_after: str = "30s", **more: Any) -> Json:
    return {"idle_after": idle_after, **more, "steps": list(steps)}


def step(name: str, use: str, **more: Any) -> Json:
    found: Json = {"id": name, "use": use}
    if "map" in more:
        found["map"] = more.pop("map")
    if "credential" in more:
        found["credential"] = more.pop("credential")
    return {**found, "with": {key: str(value) for key, value in more.items()}} if more else found


def _lines(file: Path) -> int:
    return file.read_text().count("\n") if file.exists() else 0


def publish(world: World, flow: FlowRef, channel: Any, reply_to: str) -> Crypto:
    """A caller's message into the flow; what its answer is encrypted with."""
    version = flow.version(world.status(flow).input_version)
    secret = world.vault.version_secret(version)
    crypto = Crypto(secret.crypto_password, secret.crypto_iv)
    content = {"id": new_id(), "body": {"n": 7}, "headers": {}}
    sent = platform_message(
        crypto, content, workspace=flow.workspace, flow=flow.flow, exec_id=version.job_id, reply_to=reply_to
    )
    properties = pika.BasicProperties(headers=sent.headers, delivery_mode=2)
    channel.basic_publish(version.exchange, input_key("receive"), sent.body, properties)
    return crypto


def answer(world: World, flow: FlowRef, key: str) -> Reply:
    """What the flow answers on a reply key, as the gateway reads it."""
    with world.channel() as channel:
        queue = channel.queue_declare("", exclusive=True).method.queue
        channel.queue_bind(queue, flow.version(world.status(flow).input_version).exchange, key)
        crypto = publish(world, flow, channel, key)

        def got() -> tuple[Any, bytes] | None:
            _, properties, body = channel.basic_get(queue, auto_ack=True)
            return None if body is None else (properties, body)

        properties, body = eventually("the flow answers", got, TIMEOUT_S)
    return decode_reply(crypto, body, properties.headers)


def test_node_and_python_steps_feed_each_other_and_share_the_passthrough(node_world: World, tmp_path: Path) -> None:
    out = tmp_path / "out"
    flow = node_world.start_flow(
        "both-ways",
        chain(
            step("receive", "node-probe:receive"),
            step("in-python", "probe:relay"),
            step("old-style", "node-probe:legacy", map={"n": "n"}),
            step("note", "probe:relay", out=out, map={"n": "$getPassthrough().receive.body.n"}),
        ),
    )
    node_world.send(flow, range(20))
    assert set(node_world.all_arrive(out, range(20)).values()) == {1}


@pytest.mark.slow
def test_row_2_messages_that_share_an_id_are_all_processed_by_either(node_world: World, tmp_path: Path) -> None:
    node_out, python_out = tmp_path / "node", tmp_path / "python"
    several = {**step("in-python", "probe:relay", out=python_out), "prefetch": 4}
    flow = node_world.start_flow(
        "same-id",
        chain(
            step("receive", "node-probe:receive"),
            step("many", "node-probe:many", times=10),
            step("in-node", "node-probe:echo", out=node_out),
            several,
        ),
    )
    node_world.send(flow, range(3))
    wanted = [n * 100 + part for n in range(3) for part in range(10)]
    for out in (node_out, python_out):
        counts = node_world.all_arrive(out, wanted)  # type: ignore[arg-type]
        assert set(counts.values()) == {1}


@pytest.mark.slow
def test_row_3_a_rebound_with_a_long_reason_comes_back(node_world: World, tmp_path: Path) -> None:
    out, tries = tmp_path / "out", tmp_path / "tries"
    flow = node_world.start_flow(
        "long-reason",
        chain(
            step("receive", "probe:receive"),
            step("later", "node-probe:rebound", tries=tries, times=1, length=9_000, out=out),
        ),
    )
    node_world.send(flow, range(2))
    node_world.all_arrive(out, range(2), 40)
    times = [float(line.split()[1]) for line in tries.read_text().splitlines() if line.startswith("0 ")]
    assert 14 < times[1] - times[0] < 25


@pytest.mark.slow
def test_row_4_6_a_broker_that_dies_under_node_steps_loses_nothing(
    node_world: World, servers: Servers, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    flow = node_world.start_flow(
        "outage",
        chain(
            step("receive", "node-probe:receive"),
            step("slow", "node-probe:slow", work_ms=20),
            step("note", "probe:relay", out=out),
        ),
    )
    node_world.send(flow, range(100))
    servers.restart("rabbitmq")
    node_world.send(flow, range(100, 150))
    node_world.all_arrive(out, range(150), 120)


def test_row_4_an_idle_step_that_ends_without_a_fault_is_started_again(node_world: World, tmp_path: Path) -> None:
    out = tmp_path / "out"
    flow = node_world.start_flow(
        "ends", chain(step("receive", "node-probe:receive"), step("note", "node-probe:echo", out=out))
    )
    before = node_world.step_pids(flow, "note")
    # Given the library has nothing in work when it is told to go: it ends with exit code 0
    assert node_world.kill_step(flow, "note", signal.SIGTERM) == 1
    eventually("another process", lambda: set(node_world.step_pids(flow, "note")) - set(before))
    node_world.send(flow, range(3))
    assert set(node_world.all_arrive(out, range(3)).values()) == {1}


def test_row_7_what_no_queue_takes_is_kept_where_people_see_it(node_world: World, tmp_path: Path) -> None:
    out = tmp_path / "out"
    note = step("note", "probe:relay", out=out)
    flow = node_world.start_flow("unroutable", chain(step("receive", "node-probe:reply", shape="message"), note))
    # Given a caller who has hung up: nothing is bound to its reply key any more
    with node_world.channel() as channel:
        publish(node_world, flow, channel, reply_to="nobody")
    # Then the answer is listed with what found no queue, and there is nothing to replay it to
    (kept,) = eventually("the answer is kept", lambda: command("flow", "dead", "unroutable", "--unrouted"))
    assert (kept["message"], kept["input"]["body"]) == ("no queue takes nobody", {"answer": 7})
    assert command("flow", "queues", "unroutable")[-1]["ready"] >= 1
    with pytest.raises(AssertionError, match="no queue takes nobody in version 1 either"):
        command("flow", "dead", "unroutable", kept["id"], "--unrouted", "--replay")
    assert command("flow", "dead", "unroutable", kept["id"], "--unrouted", "--drop") == {"dropped": 1}
    # And what was meant for a step whose binding was gone can be replayed when it is back
    version = flow.version(1)
    with node_world.channel() as channel:
        binding = {"queue": version.queue("note"), "exchange": version.exchange, "routing_key": input_key("note")}
        channel.queue_unbind(**binding)
        node_world.send(flow, range(5, 6), step="note")
        channel.queue_bind(**binding)
    if stray := command("flow", "dead", "unroutable", "--unrouted"):  # unless the controller was quicker
        assert [record["step"] for record in stray] == ["note"]
        command("flow", "dead", "unroutable", "--unrouted", "--step", "note", "--replay")
    node_world.all_arrive(out, range(5, 6))
    assert command("flow", "dead", "unroutable", "--unrouted") == []


@pytest.mark.parametrize("shape", ["httpReply", "message"])
def test_row_9_a_reply_is_read_in_both_shapes(node_world: World, shape: str) -> None:
    flow = node_world.start_flow(f"reply-{shape.lower()}", chain(step("receive", "node-probe:reply", shape=shape)))
    found = answer(node_world, flow, "reply.one")
    assert found.status == (201 if shape == "message" else 202)
    assert (json.loads(found.body) if isinstance(found.body, str) else found.body) == {"answer": 7}


@pytest.mark.slow
def test_row_9_an_error_is_a_reply_too(node_world: World) -> None:
    flow = node_world.start_flow("reply-error", chain(step("receive", "node-probe:throwing")))
    found = answer(node_world, flow, "reply.two")
    assert (found.status, found.failed) == (500, True)
    assert "cannot do 7" in str(found.body)


@pytest.mark.slow
def test_row_11_a_snapshot_outlives_the_process(node_world: World, tmp_path: Path) -> None:
    out = tmp_path / "ticks"
    flow = node_world.start_flow("snapshot", chain(step("count", "node-probe:count", out=out)))
    node_world.send(flow, range(3), step="count")
    node_world.all_arrive(out, range(1, 4))
    eventually("the snapshot is kept", lambda: node_world.store.snapshot(flow, "count"))
    eventually(
        "its newest state is kept",
        lambda: node_world.store.snapshots(flow)["count"] == {"ticks": 3},
    )
    assert node_world.kill_step(flow, "count") == 1
    node_world.send(flow, range(1), step="count")
    node_world.all_arrive(out, range(1, 5))


@pytest.mark.slow
def test_a_listener_made_once_emits_each_event_once_after_its_call_has_ended(node_world: World, tmp_path: Path) -> None:
    out, calls = tmp_path / "out", tmp_path / "calls"
    with tempfile.TemporaryDirectory(prefix="nf-", dir="/tmp") as folder:  # addresses of sockets are short
        address = f"{folder}/s"
        listen = {**step("listen", "node-probe:listen", socket=address, calls=calls), "min_interval": "100ms"}
        node_world.start_flow(
            "listens", {"kind": "realtime", "steps": [listen, step("note", "node-probe:echo", out=out)]}
        )
        for number in range(3):
            # Given some calls more, which all end at once
            seen = _lines(calls)
            eventually("calls go by", lambda seen=seen: _lines(calls) > seen + 1)
            # When an event comes
            with socket.socket(socket.AF_UNIX) as speaker:
                speaker.connect(address)
                speaker.sendall(b"%d" % number)
                assert speaker.recv(1) == b""
    # Then each has gone through the flow once, from one process
    assert node_world.all_arrive(out, range(3)) == {0: 1, 1: 1, 2: 1}
    assert len(set(calls.read_text().split())) == 1


@pytest.mark.slow
def test_a_process_that_dies_in_the_middle_of_a_message_gets_it_again(node_world: World, tmp_path: Path) -> None:
    out = tmp_path / "out"
    flow = node_world.start_flow(
        "crash",
        chain(step("receive", "probe:receive"), step("dies", "node-probe:crash", tries=tmp_path / "tries", out=out)),
    )
    node_world.send(flow, range(3))
    assert set(node_world.all_arrive(out, range(3)).values()) == {1}


def test_a_node_step_gets_its_credential_from_the_api_and_may_renew_it(node_world: World, tmp_path: Path) -> None:
    out = tmp_path / "config"
    node_world.vault.set_credential("default", "shop-api", {"user": "shop", "token": "first"})
    node_world.vault.set_credential("default", "not-its-own", {"token": "other"})
    flow = node_world.start_flow(
        "credential",
        chain(
            step("receive", "probe:receive"),
            step("renew", "node-probe:keys", credential="shop-api"),
            step("show", "node-probe:config", credential="shop-api", out=out),
            variables={"region": "eu"},
        ),
    )
    node_world.send(flow, range(1))
    found = json.loads(eventually("it ran", lambda: out.exists() and out.read_text()))
    # Then the credential is in its configuration and nowhere in its environment
    assert {"user": "shop", "token": "first", "_account": "shop-api"}.items() <= found["cfg"].items()
    assert found["variables"] == {"region": "eu"}
    assert not [name for name, value in found["env"].items() if value in {"shop", "first"}]
    assert "VAULT_TOKEN" not in found["env"]
    assert found["env"]["ELASTICIO_AMQP_URI"].endswith("?frameMax=131072&heartbeat=30")
    # And what it emitted as updateKeys is in Vault
    eventually(
        "the credential is renewed",
        lambda: node_world.vault.read_credential("default", "shop-api") == {"user": "shop", "token": "renewed-0"},
    )
    # And its key opens no credential that its flow does not name
    user, key = found["env"]["ELASTICIO_API_USERNAME"], found["env"]["ELASTICIO_API_KEY"]
    assert call(node_world, "GET", "/v2/workspaces/default/secrets/shop-api", user, key)[0] == 200
    assert call(node_world, "GET", "/v2/workspaces/default/secrets/not-its-own", user, key)[0] == 404
    assert call(node_world, "GET", "/v2/workspaces/other/secrets/shop-api", user, key)[0] == 403
    assert call(node_world, "PUT", "/v1/accounts/not-its-own", user, key, {"keys": {"token": "mine"}})[0] == 404
    assert call(node_world, "GET", "/v2/workspaces/default/secrets/shop-api", user, "wrong")[0] == 401
    assert node_world.vault.read_credential("default", "not-its-own") == {"token": "other"}
    # And the start-up state is kept once
    path = "/sailor-support/hooks/task/credential/startup/data"
    answers = [
        call(node_world, method, path, user, key, {"id": 1}) for method in ("POST", "POST", "GET", "DELETE", "GET")
    ]
    assert [status for status, _ in answers] == [201, 409, 200, 204, 404]
    assert json.loads(answers[2][1]) == {"id": 1}
    assert call(node_world, "GET", "/sailor-support/hooks/task/other/startup/data", user, key)[0] == 404
    listed = json.loads(call(node_world, "GET", "/v2/flows/", user, key)[1])
    assert "credential" in [flow["attributes"]["name"] for flow in listed["data"]]


def call(world: World, method: str, path: str, user: str, key: str, body: object = None) -> tuple[int, bytes]:
    """One request to the component API."""
    proof = base64.b64encode(f"{user}:{key}".encode()).decode()
    data = None if body is None or method in {"GET", "DELETE"} else json.dumps(body).encode()
    headers = {"Authorization": f"Basic {proof}", "Content-Type": "application/json"}
    request = urllib.request.Request(world.settings.component_api + path, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


@pytest.mark.slow
def test_many_messages_through_both_with_steps_killed_lose_nothing(node_world: World, tmp_path: Path) -> None:
    out = tmp_path / "out"
    flow = node_world.start_flow(
        "both-chaos",
        chain(
            step("receive", "node-probe:receive"),
            step("in-python", "probe:relay", map={"n": "n"}),
            step("last", "node-probe:echo", out=out),
        ),
    )
    numbers = range(2_000)
    stop = threading.Event()
    steps = ["receive", "mapper:receive:in-python", "in-python", "last"]
    killed = []

    def kill() -> None:
        while not stop.wait(8):
            steps.append(steps.pop(0))
            killed.append(node_world.kill_step(flow, steps[0]))

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        node_world.send(flow, numbers)
        counts = node_world.all_arrive(out, numbers, 300)
    finally:
        stop.set()
        killer.join()
    # At least once: only what a step held as it died may be seen twice.
    assert sum(counts.values()) - len(counts) <= sum(killed) * 2
