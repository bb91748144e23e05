"""What becomes of a request in the inbox, on servers in memory."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from nomadflows.controller import metrics
from nomadflows.controller.scheduler import Scheduler
from nomadflows.controller.signals import Inbox
from nomadflows.controller.ticks import named_ids
from nomadflows.controller.versions import Versions
from nomadflows.controller.workqueue import WorkQueue
from nomadflows.model.errors import ServerUnreachable
from nomadflows.model.names import FlowRef
from nomadflows.model.states import Desired, FlowState, Status, WantedState
from nomadflows.store.documents import InboxEntry
from nomadflows.store.inbox import CHANGED, RUN_NOW

REF, OTHER = FlowRef("default", "orders"), FlowRef("default", "others")
KEY = "nomadflows/inbox/default.orders.1"
RUN = InboxEntry(KEY, 1, REF, RUN_NOW)
SECRET = SimpleNamespace(crypto_password="p", crypto_iv="0123456789abcdef")


class Consul:
    def __init__(self, *entries: InboxEntry) -> None:
        self.entries = list(entries)
        self.asked: list[tuple[int, float]] = []
        self.wanted = WantedState.RUNNING
        self.status = Status(FlowState.RUNNING, input_version=1)
        self.away = False

    def inbox(self, index: int, wait_s: float) -> tuple[list[InboxEntry], int]:
        self.asked.append((index, wait_s))
        return list(self.entries), index + 1

    def done(self, entry: InboxEntry, fence: Any) -> None:
        assert fence is not None
        if self.away:
            raise ServerUnreachable("Consul", "http://x", "refused")
        self.entries.remove(entry)

    def flow(self, _ref: FlowRef) -> Any:
        desired = Desired(self.wanted)
        return SimpleNamespace(desired=SimpleNamespace(value=desired), status=SimpleNamespace(value=self.status))


class RabbitMQ:
    def __init__(self) -> None:
        self.sent: list[str] = []
        self.has_queue = self.has_room = True
        self.away = False

    def depths(self, _version: Any, steps: list[str]) -> Any:
        if self.away:
            raise ServerUnreachable("RabbitMQ", "amqp://x", "refused")
        return dict.fromkeys(steps, SimpleNamespace(ready=3) if self.has_queue else None)

    def publish(self, _workspace: str, _exchange: str, _key: str, _body: bytes, headers: Any) -> bool:
        assert "BCC" not in headers  # that is for scheduled ticks
        if self.has_room:
            self.sent.append(headers["messageId"])
        return self.has_room


class World:
    """A leader's inbox without its thread."""

    def __init__(self, *entries: InboxEntry) -> None:
        self.consul, self.broker, self.looks = Consul(*entries), RabbitMQ(), WorkQueue()
        vault = SimpleNamespace(version_secret=lambda _version: SECRET)
        self.clients: Any = SimpleNamespace(store=self.consul, broker=self.broker, vault=vault)
        self.next_leader()

    def next_leader(self) -> None:
        scheduler = Scheduler(lambda: self.clients, lambda _ref: None, lambda: True)
        fence: Any = SimpleNamespace(held=lambda: None)
        self.inbox = Inbox(lambda: self.clients, self.looks, _OneVersion(), scheduler, fence)

    def turn(self) -> None:
        self.inbox._turn()


class _OneVersion(Versions):
    def get(self, _store: Any, ref: Any) -> Any:
        return SimpleNamespace(ref=ref, trigger=SimpleNamespace(id="orders"))


def test_run_now_gives_a_tick_whatever_waits_already() -> None:
    world = World(RUN)
    world.turn()
    assert world.broker.sent == [named_ids(KEY)[0]]
    assert world.consul.entries == []
    assert world.looks.take() == (REF, frozenset())


@pytest.mark.parametrize("obstacle", ["not started", "no input yet", "no queue", "full queue", "broker away"])
def test_run_now_waits_until_the_flow_can_take_it(obstacle: str) -> None:
    world = World(RUN)
    if obstacle == "not started":
        world.consul.status = Status(FlowState.STOPPED)
    if obstacle == "no input yet":
        world.consul.status = Status(FlowState.STARTING)
    world.broker.has_queue = obstacle != "no queue"
    world.broker.has_room = obstacle != "full queue"
    world.broker.away = obstacle == "broker away"
    # While it cannot be done the key stays, and is tried again soon though nothing changes in Consul
    for _ in range(3):
        world.turn()
    assert (world.consul.entries, world.broker.sent) == ([RUN], [])
    assert [wait_s for _, wait_s in world.consul.asked] == [60, 1, 1]
    # Then it is done once
    world.consul.status = Status(FlowState.RUNNING, input_version=1)
    world.broker.has_queue = world.broker.has_room = True
    world.broker.away = False
    for _ in range(2):
        world.turn()
    assert world.broker.sent == [named_ids(KEY)[0]]
    assert world.consul.entries == []


@pytest.mark.parametrize("wanted", [WantedState.STOPPED, WantedState.SUSPENDED])
def test_run_now_ends_with_the_flow(wanted: WantedState) -> None:
    world = World(RUN)
    world.consul.status = Status(FlowState.STARTING)
    world.turn()
    world.consul.wanted = wanted
    world.turn()
    assert (world.consul.entries, world.broker.sent) == ([], [])


def test_a_leader_that_dies_before_it_deletes_the_key_leaves_a_tick_of_the_same_id() -> None:
    world = World(RUN)
    world.consul.away = True
    with pytest.raises(ServerUnreachable):
        world.turn()
    world.consul.away = False
    world.next_leader()
    world.turn()
    assert world.broker.sent == [named_ids(KEY)[0]] * 2


def test_a_request_that_cannot_be_done_yet_holds_up_no_other() -> None:
    world = World(RUN, InboxEntry(KEY + "2", 2, OTHER, CHANGED))
    world.broker.away = True
    world.turn()
    assert world.consul.entries == [RUN]
    assert world.looks.take() == (OTHER, frozenset())


def test_what_a_failing_turn_left_is_read_again_at_once() -> None:
    world = World(InboxEntry(KEY, 1, REF, CHANGED))
    world.consul.away = True
    with pytest.raises(ServerUnreachable):
        world.turn()
    world.consul.away = False
    world.turn()
    assert [index for index, _ in world.consul.asked] == [0, 0]
    assert world.consul.entries == []


def test_a_turn_that_fails_unexpectedly_is_repeated_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nomadflows.controller.signals._PAUSE_S", 0.01)
    world = World(RUN)
    turns: list[str] = []
    once = world.inbox._turn

    def turn() -> None:
        turns.append("turn")
        if len(turns) == 1:
            raise KeyError("a mistake")
        once()
        world.inbox.close()

    world.inbox._turn = turn  # type: ignore[method-assign]
    failed = metrics.FAILED_TURNS.labels("inbox")._value.get()
    world.inbox.start()
    world.inbox.thread.join(5)
    assert len(turns) == 2
    assert world.broker.sent == [named_ids(KEY)[0]]
    assert metrics.FAILED_TURNS.labels("inbox")._value.get() == failed + 1
