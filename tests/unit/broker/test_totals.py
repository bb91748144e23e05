"""What versions hold, picked from the figures of all queues."""

from __future__ import annotations

from nomadflows.broker.management import QueueTotals
from nomadflows.broker.totals import totals_of, unprocessed
from nomadflows.model.names import VersionRef

OLD, NEW = VersionRef("default", "orders", 1), VersionRef("default", "orders", 12)
QUEUES = {
    OLD.queue("store"): QueueTotals(3, 1),
    OLD.rebounds_queue: QueueTotals(2, 0),
    NEW.queue("read"): QueueTotals(5, 0),
    NEW.ref.aside_queue: QueueTotals(4, 0),
    NEW.ref.errors_queue: QueueTotals(100, 0),
    NEW.ref.dead_queue: QueueTotals(100, 0),
    "orders-b.v1.store": QueueTotals(100, 0),
}


def test_a_version_holds_what_its_steps_have_and_what_rebounds() -> None:
    assert totals_of(OLD, QUEUES).left == 3 + 1 + 2 + 4
    assert totals_of(NEW, QUEUES, ["read"]).steps == {"read": QueueTotals(5, 0)}


def test_the_end_of_a_flow_drops_what_any_version_has_waiting_and_what_was_set_aside_once() -> None:
    assert unprocessed([OLD, NEW], QUEUES) == 3 + 2 + 5 + 4
    assert unprocessed([VersionRef("default", "orders", 2)], QUEUES) == 4
