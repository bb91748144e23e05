"""Processes that run and do nothing."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from nomadflows.broker.management import Management, QueueTotals
from nomadflows.controller.memory import Memory
from nomadflows.controller.watchdog import watched
from nomadflows.model.names import FlowRef
from nomadflows.model.states import FlowState
from nomadflows.plan.decide import decide
from nomadflows.plan.decision import Act
from nomadflows.plan.seen import Processes, QueueSeen
from tests.unit.plan.test_decide import CONSUMED, seen

REF = FlowRef("default", "orders")


def running(**changes):
    return seen(FlowState.RUNNING, **changes)


def test_a_step_without_a_consumer_is_restarted_after_five_minutes():
    view = replace(running().current, queues={**CONSUMED, "store": QueueSeen(3, 0)})
    assert decide(running(current=view, deaf_s={"store": 299.0})).act is Act.WAIT
    decision = decide(running(current=view, deaf_s={"store": 300.0}))
    assert (decision.act, decision.reason) == (Act.RESTART, "StepHangs")
    assert "step store has had a process that consumes nothing for 300 s" in decision.message


def test_a_step_that_finishes_nothing_is_restarted_after_twenty_minutes():
    assert decide(running(stalled_s={"store": 1_199.0})).act is not Act.RESTART
    decision = decide(running(stalled_s={"store": 1_200.0}))
    assert decision.act is Act.RESTART
    assert "a process that finished none" in decision.message


@pytest.mark.parametrize("state", [FlowState.SUSPENDING, FlowState.STOPPING])
def test_what_is_leaving_is_not_restarted(state):
    assert decide(seen(state, deaf_s={"store": 999.0})).act is not Act.RESTART


def test_clocks_run_only_while_nothing_moves():
    now = [0.0]
    memory = Memory(lambda: now[0])
    assert memory.wants_held(REF, 60)
    assert memory.held(REF, {"store": {"a": 5}}) == {"store": 0.0}
    now[0] = 30.0
    assert not memory.wants_held(REF, 60)
    assert memory.held(REF, None) == {"store": 0.0}  # nothing is known of the time since
    now[0] = 60.0
    assert memory.held(REF, {"store": {"a": 5}}) == {"store": 60.0}
    now[0] = 120.0
    assert memory.held(REF, {"store": {"a": 6}}) == {"store": 0.0}  # it moved
    assert memory.deaf(REF, {"store"}) == {"store": 0.0}
    now[0] = 150.0
    assert memory.deaf(REF, {"store"}) == {"store": 30.0}
    memory.restarted(REF)
    assert memory.deaf(REF, {"store"}) == {"store": 0.0}
    assert memory.deaf(REF, set()) == {}


def test_one_that_hangs_is_seen_beside_others_that_work():
    now = [0.0]
    memory = Memory(lambda: now[0])
    memory.held(REF, {"store": {"hangs": 1, "works": 5}})
    now[0] = 60.0
    assert memory.held(REF, {"store": {"hangs": 1, "works": 9}}) == {"store": 60.0}
    now[0] = 120.0
    assert memory.held(REF, {"store": {"works": 12}}) == {"store": 0.0}
    now[0] = 180.0
    assert memory.held(REF, {"store": {}}) == {}  # a broker without statistics: unknown is not hanging


def looked(consumers, processes, progress=None, ready=3):
    """What the watchdog makes of a step `store` after ten minutes."""
    now = [0.0]
    memory = Memory(lambda: now[0])
    management = SimpleNamespace(progress=lambda _vhost, _queue: progress or {})
    held = SimpleNamespace(steps={"store": QueueTotals(ready, 1)})
    broker = SimpleNamespace(totals=lambda _version, _steps: held, management=management)
    version = SimpleNamespace(ref=REF.version(1), steps=[SimpleNamespace(id="store")])
    view = replace(
        running().current,
        queues={"store": QueueSeen(ready, consumers)},
        processes=Processes(live={"store": processes}, running={"store": processes}),
    )
    for moment in (0.0, 600.0):
        now[0] = moment
        found = watched(running(current=view), version, broker, memory)
    return found


def test_a_process_that_does_not_consume_is_seen_beside_one_that_does():
    assert looked(1, 2).deaf_s == {"store": 600.0}
    assert looked(2, 2).deaf_s == {}
    assert looked(2, 1).deaf_s == {}  # one that is leaving


def test_a_busy_step_of_a_broker_without_statistics_does_not_hang():
    assert looked(1, 1).stalled_s == {}
    assert looked(1, 1, {"a": 7}).stalled_s == {"store": 600.0}


class Api(Management):
    """Answers of RabbitMQ's management API."""

    def __init__(self, answers):
        super().__init__("http://127.0.0.1:1", "guest", "guest", 1.0)
        self.answers = answers

    def _find(self, *path):
        return self.answers.get(path)


def test_progress_is_told_of_each_consumer_that_holds_messages():
    def channel(unacked, **stats):
        return {"messages_unacknowledged": unacked, **({"message_stats": stats} if stats else {})}

    names = ["hangs", "works", "idle", "no statistics", "gone"]
    api = Api(
        {
            ("queues", "v", "q"): {"consumer_details": [{"channel_details": {"name": name}} for name in names]},
            ("channels", "hangs"): channel(1, deliver_get=1),
            ("channels", "works"): channel(2, deliver_get=7, ack=5),
            ("channels", "idle"): channel(0, deliver_get=4, ack=4),
            ("channels", "no statistics"): channel(1),
        }
    )
    assert api.progress("v", "q") == {"hangs": 1, "works": 12}
    assert api.progress("v", "gone") == {}
    assert Api({("queues", "v", "q"): {"consumer_details": [{"channel_details": []}]}}).progress("v", "q") == {}
