"""One workspace that is not as it should be keeps no flow of another from being looked at."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from nomadflows.broker.management import Management, QueueTotals
from nomadflows.controller.signals import Resync, Sweep
from nomadflows.controller.workqueue import WorkQueue
from nomadflows.model.errors import NotFound, Refused, ServerRefused, ServerUnreachable
from nomadflows.model.names import FlowRef
from nomadflows.model.states import Desired, Status
from nomadflows.store.documents import FlowRecord, Versioned

BROKEN, WHOLE = FlowRef("broken", "orders"), FlowRef("whole", "orders")
AWAY = ServerUnreachable("RabbitMQ", "memory", "it is away")
ITS_OWN = [
    Refused("RabbitMQ holds something of that name with other properties"),
    NotFound("RabbitMQ has no queues/nomadflows-broken"),
    ServerRefused("RabbitMQ", "memory", "no access to vhost broken", status=530),
]


def record(ref: FlowRef) -> FlowRecord:
    return FlowRecord(ref, Versioned(None, 1), Versioned(Desired(), 1), Versioned(Status(), 1))  # type: ignore[arg-type]


def looked_at(queue: WorkQueue) -> set[FlowRef]:
    found = set()
    while len(queue):
        taken = queue.take()
        assert taken
        found.add(taken[0])
        queue.done(taken[0])
    return found


def resync(queue: WorkQueue, error: Exception, monkeypatch: pytest.MonkeyPatch) -> Resync:
    store = SimpleNamespace(flows=lambda: [record(BROKEN), record(WHOLE)], deleted_refs=list)

    def found(workspace: str) -> None:
        if workspace == "broken":
            raise error

    made = Resync(lambda: SimpleNamespace(store=store), queue, found, SimpleNamespace(), 300.0)  # type: ignore[arg-type]
    monkeypatch.setattr(made._closed, "wait", lambda _seconds: True)
    return made


@pytest.mark.parametrize("error", ITS_OWN)
def test_a_full_round_goes_on_though_a_workspace_cannot_be_put_right(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = WorkQueue()
    resync(queue, error, monkeypatch)._turn()
    assert looked_at(queue) == {BROKEN, WHOLE}


def test_a_full_round_waits_for_a_broker_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    queue = WorkQueue()
    with pytest.raises(ServerUnreachable):
        resync(queue, AWAY, monkeypatch)._turn()
    assert not looked_at(queue)


def test_a_sweep_finds_a_queue_that_somebody_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    queues = {
        "orders.v1.store": QueueTotals(0, 0),
        "orders.v1.read": QueueTotals(0, 0),
        "orders.dead": QueueTotals(2, 0),
    }
    queue = WorkQueue()
    clients: Any = SimpleNamespace(broker=SimpleNamespace(workspace_totals=lambda _workspace: dict(queues)))
    sweep = Sweep(lambda: clients, queue, lambda: ["whole"])
    monkeypatch.setattr(sweep._closed, "wait", lambda _seconds: True)
    sweep._turn()
    assert not looked_at(queue)
    del queues["orders.v1.store"]
    sweep._turn()
    assert len(queue) == 1
    assert queue.take() == (WHOLE, frozenset({"full"}))
    queue.done(WHOLE)
    sweep._turn()
    assert not looked_at(queue)


@pytest.mark.parametrize("error", [*ITS_OWN, AWAY])
def test_a_sweep_goes_on_though_a_workspace_does_not_tell(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def totals(workspace: str) -> Any:
        if workspace == "broken":
            raise error
        return {"orders.v1.store": QueueTotals(3, 0)}

    queue = WorkQueue()
    clients: Any = SimpleNamespace(broker=SimpleNamespace(workspace_totals=totals))
    sweep = Sweep(lambda: clients, queue, lambda: ["broken", "whole"])
    monkeypatch.setattr(sweep._closed, "wait", lambda _seconds: True)
    sweep._turn()
    assert looked_at(queue) == {WHOLE}


def test_a_queue_that_does_not_tell_is_left_out_where_all_are_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = [
        {"name": "orders.v1.store", "messages_ready": 3, "messages_unacknowledged": 0},
        {"name": "broken.v1.store", "state": "down"},
    ]
    management = Management("http://127.0.0.1:9", "user", "password", 1.0)
    monkeypatch.setattr(management, "_queues", lambda _vhost, _prefix: iter(listed))
    assert management.queue_totals("default") == {"orders.v1.store": QueueTotals(3, 0)}
    with pytest.raises(ServerUnreachable, match=r"broken\.v1\.store does not say"):
        management.queue_totals("default", "broken.")
