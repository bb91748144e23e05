"""What the controller hears: messages for parked versions, snapshots of steps."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from nomadflows.broker import listener
from nomadflows.broker.broker import Broker
from nomadflows.broker.listener import SnapshotListener, WakeListener
from nomadflows.model.errors import Conflict, NotFound, ServerUnreachable
from nomadflows.model.names import SNAPSHOT_QUEUE, WAKE_QUEUE, input_key, snapshot_key, vhost
from nomadflows.settings import Settings

from .conftest import Flow, until

Heard = queue.SimpleQueue[Any]


@pytest.fixture
def wakes(stack: Settings, workspace: str) -> Iterator[Heard]:
    heard: Heard = queue.SimpleQueue()
    made = WakeListener(stack.amqp_uri, lambda *what: heard.put(what))
    made.start()
    made.watch(workspace)
    assert made.wait_listening(workspace, 10)
    yield heard
    made.stop()


def test_a_parked_version_is_heard_of_and_a_running_one_is_not(
    make_flow: Callable[..., Flow], broker: Broker, wakes: Heard, workspace: str
) -> None:
    parked, running = make_flow(number=1), make_flow(number=2)
    broker.feed_wake(parked.version)
    running.put(input_key("a"))
    parked.put(input_key("a"))
    assert wakes.get(timeout=5) == (workspace, "orders.v1")
    parked.put("a.data")
    assert wakes.get(timeout=5) == (workspace, "orders.v1")
    broker.unfeed_wake(parked.version)
    parked.put(input_key("a"))
    broker.feed_wake(running.version)
    running.put(input_key("a"))
    assert wakes.get(timeout=5) == (workspace, "orders.v2"), "nothing of the unfed one came in between"
    assert wakes.empty()
    assert parked.ready("a") == 2, "the step's own copies are untouched"


def test_feeding_twice_and_unfeeding_twice_is_the_same_as_once(
    make_flow: Callable[..., Flow], broker: Broker, wakes: Heard
) -> None:
    flow = make_flow()
    broker.unfeed_wake(flow.version)
    broker.feed_wake(flow.version)
    broker.feed_wake(flow.version)
    flow.put(input_key("a"))
    wakes.get(timeout=5)
    broker.unfeed_wake(flow.version)
    broker.unfeed_wake(flow.version)
    assert wakes.empty()


def test_feeding_a_version_that_is_not_there_says_so(broker: Broker, make_flow: Callable[..., Flow]) -> None:
    flow = make_flow()
    for _ in range(20):  # four commands are refused; none of the refusals may end a later call
        with pytest.raises(NotFound):
            broker.feed_wake(flow.version.ref.version(9))
        broker.unfeed_wake(flow.version.ref.version(9))
        assert flow.ready("a") == 0


def test_what_came_while_nobody_listened_is_heard_later(
    make_flow: Callable[..., Flow], broker: Broker, stack: Settings, workspace: str
) -> None:
    flow = make_flow()
    broker.feed_wake(flow.version)
    flow.put(input_key("a"))
    heard: Heard = queue.SimpleQueue()
    late = WakeListener(stack.amqp_uri, lambda *what: heard.put(what))
    late.watch(workspace)
    late.start()
    assert heard.get(timeout=10) == (workspace, "orders.v1")
    late.stop()


def test_a_callback_that_raises_does_not_end_the_listener(
    make_flow: Callable[..., Flow], broker: Broker, stack: Settings, workspace: str
) -> None:
    flow = make_flow()
    broker.feed_wake(flow.version)
    heard: Heard = queue.SimpleQueue()

    def fail(*what: str) -> None:
        heard.put(what)
        raise ZeroDivisionError

    made = WakeListener(stack.amqp_uri, fail)
    made.watch(workspace)
    made.start()
    for _ in range(2):
        flow.put(input_key("a"))
        heard.get(timeout=10)
    made.stop()


def test_a_workspace_that_appears_later_and_a_lost_connection(broker: Broker, stack: Settings, workspace: str) -> None:
    """Watched before its vhost is there; then its connection is cut, then its queue deleted and made again."""
    later = f"{workspace}-b"
    heard: Heard = queue.SimpleQueue()
    made = WakeListener(stack.amqp_uri, lambda *what: heard.put(what))
    made.start()
    made.watch(later)
    assert not made.wait_listening(later, 0.3)
    try:
        broker.ensure_vhost(later)
        assert made.wait_listening(later, 10)
        broker.publish(later, "", WAKE_QUEUE, b"", {})
        assert heard.get(timeout=5) == (later, "")
        until(lambda: cut(broker, later), what="the listener's connection in the list")
        broker.publish(later, "", WAKE_QUEUE, b"", {})
        assert heard.get(timeout=10) == (later, "")
        broker._on(
            later, lambda link: link.ask(lambda channel, reply: channel.queue_delete(WAKE_QUEUE, callback=reply))
        )
        broker.ensure_vhost(later)
        broker.publish(later, "", WAKE_QUEUE, b"", {})
        assert heard.get(timeout=10) == (later, "")
    finally:
        made.stop()
        broker.management.delete_vhost(vhost(later))


def cut(broker: Broker, workspace: str) -> bool:
    """Cut the listener's connection from the server's side; False if the list does not show it yet."""
    for connection in broker.management._find("connections"):
        name = (connection.get("client_properties") or {}).get("connection_name", "")
        if connection.get("vhost") == vhost(workspace) and WAKE_QUEUE in name:
            broker.management._call("DELETE", "connections", connection["name"])
            return True
    return False


# ── snapshots ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def listen(
    stack: Settings, workspace: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., SnapshotListener]]:
    monkeypatch.setattr(listener, "RETRY_S", 0.05)
    made: list[SnapshotListener] = []

    def start(callback: Callable[..., object]) -> SnapshotListener:
        one = SnapshotListener(stack.amqp_uri, callback)
        one.watch(workspace)
        one.start()
        made.append(one)
        return one

    yield start
    for one in made:
        one.stop()


def test_snapshots_come_with_their_version_step_and_kind(
    make_flow: Callable[..., Flow], broker: Broker, listen: Callable[..., SnapshotListener], workspace: str
) -> None:
    flow = make_flow("a", "mapper:a:b", "b", number=7)
    heard: Heard = queue.SimpleQueue()
    listen(lambda *what: heard.put(what))
    flow.put(snapshot_key("a"), b'{"seen": 3}', snapshotEvent="snapshot", stepId="a")
    flow.put(snapshot_key("mapper:a:b"), b'{"more": null}', snapshotEvent="updateSnapshot")
    version, step, kind, data, headers = heard.get(timeout=10)
    assert (version, step, kind, data, headers["stepId"]) == (flow.version, "a", "snapshot", {"seen": 3}, "a")
    assert heard.get(timeout=5)[1:4] == ("mapper:a:b", "updateSnapshot", {"more": None})
    until(
        lambda: broker.totals(flow.version).left == broker.waiting(workspace, SNAPSHOT_QUEUE) == 0, what="acknowledged"
    )


@pytest.mark.parametrize(
    "error", [ServerUnreachable("Consul", "here", "down"), Conflict("somebody was quicker"), KeyError("a bug")]
)
def test_a_snapshot_that_could_not_be_stored_comes_again_in_order(
    error: Exception,
    make_flow: Callable[..., Flow],
    broker: Broker,
    listen: Callable[..., SnapshotListener],
    workspace: str,
) -> None:
    flow = make_flow()
    heard: list[int] = []
    done = threading.Event()

    def store(_version: object, _step: str, _kind: str, data: dict[str, int], _headers: object) -> None:
        heard.append(data["n"])
        if heard.count(1) < 3:
            raise error
        if data["n"] == 2:
            done.set()

    for number in (1, 2):
        flow.put(snapshot_key("a"), b'{"n": %d}' % number)
    listen(store)
    assert done.wait(10)
    assert heard == [1, 1, 1, 2]
    until(lambda: totals(broker, workspace) == 0, what="acknowledged")


def test_a_snapshot_nothing_can_mend_is_dropped(
    make_flow: Callable[..., Flow], broker: Broker, listen: Callable[..., SnapshotListener], workspace: str
) -> None:
    flow = make_flow()
    heard: Heard = queue.SimpleQueue()

    def store(_version: object, _step: str, _kind: str, data: dict[str, int], _headers: object) -> None:
        heard.put(data["n"])
        if data["n"] == 1:
            raise NotFound("the flow is gone")

    for body in (b"no JSON", b"[]", b"\xff", b'{"n": 1}', b'{"n": 2}'):
        flow.put(snapshot_key("a"), body)
    broker.publish(workspace, "", SNAPSHOT_QUEUE, b"{}", {})
    listen(store)
    assert [heard.get(timeout=10), heard.get(timeout=5)] == [1, 2]
    until(lambda: totals(broker, workspace) == 0, what="all acknowledged")


def test_a_snapshot_in_work_when_the_listener_stops_is_not_lost(
    make_flow: Callable[..., Flow], broker: Broker, listen: Callable[..., SnapshotListener], workspace: str
) -> None:
    flow = make_flow()
    first: Heard = queue.SimpleQueue()

    def refuse(*what: object) -> None:
        first.put(what)
        raise ServerUnreachable("Consul", "here", "down")

    one = listen(refuse)
    flow.put(snapshot_key("a"), b"{}")
    first.get(timeout=10)
    one.stop()
    second: Heard = queue.SimpleQueue()
    listen(lambda *what: second.put(what))
    assert second.get(timeout=10)[1] == "a"


def totals(broker: Broker, workspace: str) -> int:
    """Ready and unacknowledged snapshots."""
    figures = broker.management.queue_totals(vhost(workspace), SNAPSHOT_QUEUE)[SNAPSHOT_QUEUE]
    return figures.ready + figures.unacked
