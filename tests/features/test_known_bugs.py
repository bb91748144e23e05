"""Bugs that the platform's own release notes tell of: each must not be ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import pika
import pytest
import requests as http

from nomadflows.broker.wire import Crypto, encode, new_id, platform_message
from nomadflows.cli.root import run
from nomadflows.store import requests
from tests.features.test_life import relay
from tests.gateways import builtins, free_port, gateway
from tests.world import World, eventually

CALM: Final = {"StartRequested", "StepsReady", "WorkDone", "Parked", "MessageArrived", "Awake"}


def test_a_deleted_credential_does_not_keep_a_flow_from_being_stopped(world: World, tmp_path: Path) -> None:
    world.deploy()
    world.start_controller()
    world.vault.set_credential("default", "gone-soon", {"url": f"sqlite:///{tmp_path}/x.db"})
    definition = {
        "idle_after": "60s",
        "steps": [
            {"id": "receive", "use": "probe:receive"},
            {"id": "keep", "use": "sql:upsert", "credential": "gone-soon", "with": {"table": "t", "key": "n"}},
        ],
    }
    flow = world.start_flow("without-credential", definition)
    world.vault.delete_credential("default", "gone-soon")
    world.kill_step(flow)  # their next start would need it
    world.stop_flow(flow, 60)


def test_a_flow_restarted_by_hand_is_not_stuck_between_states(world: World, tmp_path: Path) -> None:
    world.deploy()
    world.start_controller()
    flow = world.start_flow("restarted", {**relay(tmp_path / "out"), "idle_after": "60s"})
    for _ in range(3):
        requests.stop(world.store, flow, by="test")
        requests.start(world.store, flow, by="test")
    eventually(
        "it runs",
        lambda: (
            world.status(flow).state.value == "Running"
            and world.status(flow).observed_generation == world.store.flow(flow).desired.value.generation
        ),  # type: ignore[union-attr]
        60,
    )
    world.send(flow, range(3))
    world.all_arrive(tmp_path / "out", range(3))


def test_no_message_stays_in_a_queue_with_no_container_running(world: World, tmp_path: Path) -> None:
    """Also one that a stranger put straight into the queue, past the exchange that wakes."""
    world.deploy()
    world.start_controller()
    flow = world.start_flow("stranger", relay(tmp_path / "out"))
    world.flow_becomes(flow, "Sleeping")
    version = flow.version(1)
    secret = world.vault.version_secret(version)
    crypto = Crypto(secret.crypto_password, secret.crypto_iv)
    message = platform_message(
        crypto, {"id": new_id(), "body": {"n": 7}}, workspace="default", flow=flow.flow, exec_id=version.job_id
    )
    with world.channel() as channel:
        properties = pika.BasicProperties(delivery_mode=2, headers=message.headers)
        channel.basic_publish("", version.queue("receive"), message.body, properties, mandatory=True)
    assert world.all_arrive(tmp_path / "out", range(7, 8), 60) == {7: 1}


def test_steps_that_left_as_they_should_are_not_told_as_failures(world: World, tmp_path: Path) -> None:
    """Neither on the way to sleep nor at the wake after it."""
    world.deploy()
    world.start_controller()
    flow = world.start_flow("calm", relay(tmp_path / "out"))
    for number in range(2):
        asleep = world.flow_becomes(flow, "Sleeping")
        world.send(flow, range(number, number + 1))
        world.all_arrive(tmp_path / "out", range(number + 1))
        awake = world.flow_becomes(flow, "Running")
        told = [(step.restarts, step.message) for status in (asleep, awake) for step in status.steps]
        assert set(told) == {(0, "")}
    assert {event.reason for event in world.events(flow)} <= CALM


def test_a_webhook_and_a_reply_may_come_with_a_later_version(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """And an error of the mapper between them is shown on its execution."""
    world.deploy()
    builtins(world)
    world.start_controller()
    port = free_port()
    ticking = {"idle_after": "60s", "schedule": "0 4 * * *", "steps": [{"id": "receive", "use": "probe:count"}]}
    steps = [
        {"id": "receive", "use": "webhook:receive"},
        {"id": "answer", "use": "http:reply", "map": {"hello": "$uppercase(name)"}},
    ]
    with gateway(world, port):
        # Given a flow that ticks, whose address answers nobody
        flow = world.start_flow("changed", ticking)
        url = f"http://127.0.0.1:{port}/hook/default/changed"
        assert http.post(url, json={}, timeout=5).status_code == 404
        # When its next version begins with a webhook and holds a reply
        world.publish_flow("changed", {"idle_after": "60s", "steps": steps})
        # Then callers are answered
        eventually("it answers", lambda: http.post(url, json={"name": "nora"}, timeout=30).ok, 60, 0.5)
        assert http.post(url, json={"name": "olaf"}, timeout=30).json() == {"hello": "OLAF"}
        # And one that the mapper cannot serve finds out why by the id it was given
        failed = http.post(url, json={"name": {"no": "text"}}, timeout=30)
        assert failed.status_code == 500
        capsys.readouterr()
        run(["flow", "errors", flow.flow, "--each", "--execution", failed.headers["x-execution-id"], "-o", "json"])
        (record,) = json.loads(capsys.readouterr().out)
        assert record["step"] == "mapper:receive:answer"


@pytest.mark.slow
def test_a_flow_of_thirty_steps_starts(world: World, tmp_path: Path) -> None:
    """One after the other they would take longer than anybody waits."""
    world.deploy()
    world.start_controller()
    middle = [{"id": f"step-{n}", "use": "probe:relay"} for n in range(28)]
    last = {"id": "note", "use": "probe:relay", "with": {"out": str(tmp_path / "out")}}
    steps = [{"id": "receive", "use": "probe:receive"}, *middle, last]
    flow = world.start_flow("long", {"idle_after": "60s", "steps": steps})
    world.send(flow, range(3))
    assert set(world.all_arrive(tmp_path / "out", range(3)).values()) == {1}


@pytest.mark.slow
def test_a_message_without_message_id_does_not_make_a_step_stick(world: World, tmp_path: Path) -> None:
    """Nor the error handler, if the step fails on it."""
    world.deploy()
    world.start_controller()
    definition = relay(tmp_path / "out", fail_on="7")
    told = {"id": "oops", "use": "probe:told", "with": {"out": str(tmp_path / "errors")}, "error_handler": True}
    flow = world.start_flow("without-id", {**definition, "steps": [*definition["steps"], told]})
    version = flow.version(1)
    secret = world.vault.version_secret(version)
    crypto = Crypto(secret.crypto_password, secret.crypto_iv)
    with world.channel() as channel:
        properties = pika.BasicProperties(delivery_mode=2, headers={"protocolVersion": 2})
        for step, number in (("receive", 1), ("note", 7)):
            body = encode(crypto, {"body": {"n": number}})
            channel.basic_publish(version.exchange, f"{step}.input", body, properties, mandatory=True)
    world.send(flow, range(2, 4))
    world.all_arrive(tmp_path / "out", range(1, 4))
    world.all_arrive(tmp_path / "errors", range(7, 8))


@pytest.mark.slow
def test_settings_take_effect_with_the_next_start_without_a_reload(world: World, tmp_path: Path) -> None:
    world.deploy()
    world.start_controller()
    flow = world.start_flow("settings", {**relay(tmp_path / "out"), "idle_after": "30m"})
    world.publish_flow("settings", {**relay(tmp_path / "out"), "idle_after": "1s"})
    eventually("version 2 has parked", lambda: world.status(flow).version == 2 and not world.step_pids(flow), 90)
    world.flow_becomes(flow, "Sleeping", 30)
