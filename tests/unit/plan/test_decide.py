"""What the controller does next, for what it may see. No server is near."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from nomadflows.model.names import FlowRef
from nomadflows.model.states import Desired, FlowState, Kind, Status, WantedState, WorkspaceType, timestamp
from nomadflows.plan.decide import decide, next_look_s
from nomadflows.plan.decision import Act
from nomadflows.plan.publishing import warming
from nomadflows.plan.seen import HookSeen, JobSeen, Processes, QueueSeen, Seen, VersionSeen

NOW = datetime(2026, 1, 31, 10, 0, tzinfo=UTC)
STEPS = {"orders": 1, "store": 2}
UP = JobSeen(modify_index=7, counts=STEPS)
PARKED = JobSeen(modify_index=7, counts=dict.fromkeys(STEPS, 0))
EMPTY = {step: QueueSeen(ready=0, consumers=0, unacked=0) for step in STEPS}
CONSUMED = {step: QueueSeen(ready=0, consumers=count, unacked=0) for step, count in STEPS.items()}
LIVE = Processes(live=STEPS)


def seen(state: FlowState, wanted: str = "running", **changes: Any) -> Seen:
    status = Status(state=state, version=0 if state is FlowState.STOPPED else 1, since=timestamp(NOW), job_index=7)
    base = Seen(
        ref=FlowRef("default", "orders"),
        now=NOW,
        status=status,
        replicas=STEPS,
        desired=Desired(state=WantedState(wanted), version=1, generation=3, by="ann"),
        current=VersionSeen(1, job=UP, processes=LIVE, queues=CONSUMED, rebounding=0),
    )
    return replace(base, **changes)


def test_a_start_is_begun_from_stopped() -> None:
    decision = decide(seen(FlowState.STOPPED, current=VersionSeen(1)))
    assert (decision.act, decision.state) == (Act.START, FlowState.STARTING)
    assert "ann" in decision.message


def test_a_shutdown_hook_runs_after_the_processes_and_has_a_minute() -> None:
    gone = VersionSeen(1, queues=EMPTY, rebounding=0)
    stopping = seen(FlowState.STOPPING, "stopped", current=gone)
    assert decide(stopping).act is Act.CLEAN_UP
    assert decide(replace(stopping, hook=HookSeen())).act is Act.RUN_SHUTDOWN
    assert decide(replace(stopping, hook=HookSeen(59.0))).act is Act.WAIT
    assert decide(replace(stopping, hook=HookSeen(61.0))).act is Act.CLEAN_UP
    assert decide(replace(stopping, hook=HookSeen(1.0, ended=True))).act is Act.CLEAN_UP


def test_an_init_that_lasts_five_minutes_is_begun_again() -> None:
    view = VersionSeen(1, job=UP, processes=LIVE, queues=EMPTY, rebounding=0)
    starting = seen(FlowState.STARTING, current=view, now=NOW + timedelta(seconds=400))
    assert decide(replace(starting, deaf_s={"store": 299.0})).act is Act.WAIT
    assert decide(replace(starting, deaf_s={"store": 301.0})).act is Act.RESTART


def test_starting_registers_the_job_first() -> None:
    decision = decide(seen(FlowState.STARTING, current=VersionSeen(1, queues=dict.fromkeys(STEPS))))
    assert decision.act is Act.BRING_UP


def test_starting_waits_until_every_step_has_a_consumer() -> None:
    one = {**CONSUMED, "store": QueueSeen(0, 0)}
    view = VersionSeen(1, job=UP, processes=replace(LIVE, notes={"store": "Exit Code: 1"}), queues=one)
    decision = decide(seen(FlowState.STARTING, current=view))
    assert decision.act is Act.WAIT
    assert "store (Exit Code: 1)" in decision.message


def test_a_start_that_takes_long_says_so() -> None:
    view = VersionSeen(1, job=UP, queues=EMPTY)
    late = seen(FlowState.STARTING, current=view, now=NOW + timedelta(seconds=40))
    assert "longer than expected (40 s)" in decide(late).message


def test_all_steps_ready_is_running() -> None:
    decision = decide(seen(FlowState.STARTING))
    assert (decision.act, decision.state) == (Act.ENTER, FlowState.RUNNING)


@pytest.mark.parametrize("idle", [None, 0.0, 59.9])
def test_a_flow_that_worked_lately_is_not_parked(idle: float | None) -> None:
    assert decide(seen(FlowState.RUNNING, idle_for_s=idle)).act is Act.WAIT


def test_an_idle_ordinary_flow_is_parked_and_a_realtime_one_never() -> None:
    assert decide(seen(FlowState.RUNNING, idle_for_s=60.0)).act is Act.PREPARE_PARK
    assert decide(seen(FlowState.RUNNING, idle_for_s=1e6, kind=Kind.REALTIME)).act is Act.WAIT


def test_unknown_is_not_idle() -> None:
    view = VersionSeen(1, job=UP, processes=LIVE, queues=None)
    decision = decide(seen(FlowState.RUNNING, current=view, idle_for_s=1e6))
    assert (decision.act, decision.reason) == (Act.WAIT, "BrokerUnknown")


def test_a_tick_within_the_lead_keeps_a_flow_up_and_wakes_a_parked_one() -> None:
    assert decide(seen(FlowState.RUNNING, idle_for_s=100.0, tick_in_s=1.0)).reason == "TickDue"
    parked = VersionSeen(1, job=PARKED, queues=EMPTY)
    assert decide(seen(FlowState.SLEEPING, current=parked, tick_in_s=1.0)).act is Act.WAKE
    assert decide(seen(FlowState.SLEEPING, current=parked, tick_in_s=100.0)).act is Act.WAIT


PARKING = Status(state=FlowState.RUNNING, version=1, since=timestamp(NOW), job_index=7, parking=True)


def test_parking_takes_the_job_down_then_waits_for_the_last_process_then_sleeps() -> None:
    up = seen(FlowState.RUNNING, status=PARKING)
    assert decide(up).act is Act.PARK
    leaving = replace(up, current=VersionSeen(1, job=PARKED, processes=Processes(live={"store": 1}), queues=EMPTY))
    assert decide(leaving).act is Act.WAIT
    consumed = replace(up, current=VersionSeen(1, job=PARKED, queues=CONSUMED))
    assert decide(consumed).act is Act.WAIT
    gone = replace(up, current=VersionSeen(1, job=PARKED, queues=EMPTY))
    assert (decide(gone).act, decide(gone).state) == (Act.ENTER, FlowState.SLEEPING)


@pytest.mark.parametrize("job", [UP, PARKED])
@pytest.mark.parametrize("how", ["signal", "queue"])
def test_a_message_while_parking_always_wakes(job: JobSeen, how: str) -> None:
    queues = {**EMPTY, "orders": QueueSeen(1, 0)} if how == "queue" else EMPTY
    view = seen(
        FlowState.RUNNING, status=PARKING, current=VersionSeen(1, job=job, queues=queues), message=how == "signal"
    )
    assert decide(view).act is Act.WAKE


def test_a_message_wakes_a_sleeping_flow_without_asking_for_queues() -> None:
    decision = decide(seen(FlowState.SLEEPING, current=VersionSeen(1, job=PARKED), message=True))
    assert (decision.act, decision.state) == (Act.WAKE, FlowState.RUNNING)


def test_a_parked_job_that_was_purged_by_hand_is_registered_again() -> None:
    decision = decide(seen(FlowState.SLEEPING, current=VersionSeen(1, queues=EMPTY)))
    assert (decision.act, decision.reason) == (Act.PARK, "DriftRepaired")


@pytest.mark.parametrize(
    ("current", "word"),
    [
        (VersionSeen(1, queues=CONSUMED), "missing"),
        (VersionSeen(1, job=JobSeen(9, {"orders": 5, "store": 2}), queues=CONSUMED), "counts"),
        (VersionSeen(1, job=JobSeen(9, STEPS), queues=CONSUMED), "somebody else"),
        (VersionSeen(1, job=UP, queues={**CONSUMED, "store": None}), "store"),
    ],
)
def test_drift_of_a_running_flow_is_repaired(current: VersionSeen, word: str) -> None:
    decision = decide(seen(FlowState.RUNNING, current=current))
    assert (decision.act, decision.reason) == (Act.BRING_UP, "DriftRepaired")
    assert word in decision.message


def test_a_stop_is_a_wish_that_comes_before_everything_else() -> None:
    for state in FlowState:
        if state not in {FlowState.STOPPED, FlowState.STOPPING}:
            decision = decide(seen(state, "stopped"))
            assert (decision.act, decision.state) == (Act.ENTER, FlowState.STOPPING)


def test_stopping_drains_if_asked_then_stops_the_job_then_waits_then_cleans_up() -> None:
    stopping = seen(FlowState.STOPPING, "stopped")
    assert decide(stopping).act is Act.STOP_JOB
    work = {**CONSUMED, "store": QueueSeen(3, 2, 1)}
    busy = replace(
        stopping, desired=replace(stopping.desired, drain=True), current=replace(stopping.current, queues=work)
    )
    assert "4 messages" in decide(busy).message
    leaving = replace(stopping, current=VersionSeen(1, processes=LIVE, queues=EMPTY))
    assert decide(leaving).act is Act.WAIT
    gone = replace(stopping, current=VersionSeen(1, queues=EMPTY))
    assert (decide(gone).act, decide(gone).state) == (Act.CLEAN_UP, FlowState.STOPPED)


@pytest.mark.parametrize("job", [None, PARKED])
def test_a_drained_stop_brings_a_parked_flow_up_for_what_it_holds(job: JobSeen | None) -> None:
    stopping = seen(FlowState.STOPPING, "stopped")
    drain = replace(stopping, desired=replace(stopping.desired, drain=True))
    holding = VersionSeen(1, job=job, queues={**EMPTY, "orders": QueueSeen(1, 0)})  # unacked: nobody asked yet
    assert decide(replace(drain, current=holding)).act is Act.BRING_UP
    rebounding = VersionSeen(1, job=job, queues=EMPTY, rebounding=1)
    assert decide(replace(drain, current=rebounding)).act is Act.BRING_UP
    unknown = VersionSeen(1, job=job, queues=None)
    assert decide(replace(drain, current=unknown)).act is Act.WAIT
    empty = decide(replace(drain, current=VersionSeen(1, job=job, queues=EMPTY, rebounding=0)))
    assert empty.act is (Act.STOP_JOB if job else Act.CLEAN_UP)


def test_a_drained_stop_in_the_middle_of_a_publish_ends_that_first() -> None:
    status = Status(
        state=FlowState.STOPPING, version=2, replacing=1, input_version=2, since=timestamp(NOW), job_index=7
    )
    old = VersionSeen(1, queues={**EMPTY, "store": QueueSeen(3, 0)})
    stopping = seen(FlowState.STOPPING, "stopped", status=status, current=VersionSeen(2, queues=EMPTY), old=old)
    assert decide(replace(stopping, desired=replace(stopping.desired, drain=True))).act is Act.RETIRE
    assert decide(stopping).act is Act.CLEAN_UP


def test_suspending_keeps_the_queues() -> None:
    suspending = seen(FlowState.SUSPENDING, "suspended")
    assert decide(suspending).act is Act.PARK
    full = {**EMPTY, "store": QueueSeen(12, 0, 0)}
    gone = decide(replace(suspending, current=VersionSeen(1, job=PARKED, queues=full)))
    assert (gone.state, "12 messages are kept" in gone.message) == (FlowState.SUSPENDED, True)


@pytest.mark.parametrize(
    ("workspace", "state"),
    [
        (WorkspaceType.FULL, FlowState.SUSPENDING),
        (WorkspaceType.LIMITED, FlowState.STOPPING),
    ],
)
def test_five_start_failures_suspend_or_in_a_limited_workspace_stop(workspace: WorkspaceType, state: FlowState) -> None:
    view = VersionSeen(1, job=UP, queues={**CONSUMED, "store": QueueSeen(0, 0)})
    failing = seen(FlowState.STARTING, current=view, failures={"store": 5}, workspace=workspace)
    decision = decide(failing)
    assert (decision.act, decision.state) == (Act.INTERVENE, state)
    assert "store" in decision.message
    assert decide(replace(failing, failures={"store": 4})).act is Act.WAIT


def with_queue(ready: int, consumers: int = 2, size: int | None = None) -> VersionSeen:
    return VersionSeen(1, job=UP, queues={**CONSUMED, "store": QueueSeen(ready, consumers, 0, size)}, rebounding=0)


@pytest.mark.parametrize(
    ("view", "seconds", "act"),
    [
        (with_queue(60_001), 10.0, Act.INTERVENE),
        (with_queue(60_000), 10.0, Act.WAIT),  # 80 % is not over 80 %
        (with_queue(60_001), 9.9, Act.WAIT),  # it may still shrink
        (with_queue(60_001, consumers=0), 10.0, Act.WAIT),  # its step does not run: that is another trouble
        (with_queue(20, size=170_000_000), 10.0, Act.INTERVENE),
        (with_queue(20, size=160_000_000), 10.0, Act.WAIT),
    ],
)
def test_a_queue_over_its_mark_suspends_if_its_step_runs_and_it_does_not_shrink(
    view: VersionSeen, seconds: float, act: Act
) -> None:
    look = seen(FlowState.RUNNING, current=view, overfull_s={"store": seconds})
    decision = decide(look)
    assert decision.act is act
    if act is Act.INTERVENE:
        assert (decision.reason, decision.state) == ("QueueLimit", FlowState.SUSPENDING)
        assert decide(replace(look, workspace=WorkspaceType.LIMITED)).state is FlowState.STOPPING
        assert decide(replace(look, desired=replace(look.desired, force=True))).act is Act.WAIT


def test_a_flow_that_is_overfull_still_is_resumed_only_by_force_or_a_new_version() -> None:
    status = Status(state=FlowState.SUSPENDED, version=1, since=timestamp(NOW), suspended_for="QueueLimit")
    full = VersionSeen(1, job=PARKED, queues={**EMPTY, "store": QueueSeen(70_000, 0)})
    refused = seen(FlowState.SUSPENDED, status=status, current=full)
    assert (decide(refused).act, decide(refused).state) == (Act.INTERVENE, FlowState.SUSPENDED)
    assert decide(replace(refused, desired=replace(refused.desired, force=True))).act is Act.START
    assert decide(replace(refused, desired=replace(refused.desired, version=2))).act is Act.START
    assert decide(replace(refused, current=replace(full, queues=EMPTY))).act is Act.START


@pytest.mark.parametrize(("ready", "act"), [(60_000, Act.INTERVENE), (45_001, Act.INTERVENE), (45_000, Act.START)])
def test_a_flow_is_resumed_well_below_the_mark_that_suspended_it(ready: int, act: Act) -> None:
    status = Status(state=FlowState.SUSPENDED, version=1, since=timestamp(NOW), suspended_for="QueueLimit")
    view = VersionSeen(1, job=PARKED, queues={**EMPTY, "store": QueueSeen(ready, 0)})
    decision = decide(seen(FlowState.SUSPENDED, status=status, current=view))
    assert decision.act is act
    assert act is Act.START or "over 60% of a limit" in decision.message


def test_a_flow_that_ran_out_of_memory_is_resumed_with_something_else_or_by_force() -> None:
    status = Status(state=FlowState.SUSPENDED, version=1, since=timestamp(NOW), suspended_for="OutOfMemory")
    view = VersionSeen(1, job=PARKED, queues=EMPTY)
    refused = seen(FlowState.SUSPENDED, status=status, current=view)
    assert (decide(refused).act, decide(refused).reason) == (Act.INTERVENE, "OutOfMemory")
    assert decide(replace(refused, renewed=True)).act is Act.START
    assert decide(replace(refused, desired=replace(refused.desired, force=True))).act is Act.START
    assert decide(replace(refused, desired=replace(refused.desired, version=2))).act is Act.START


def test_a_flow_whose_step_failed_to_start_is_resumed_as_it_is() -> None:
    """What the step could not reach may be back, and nobody but the step can tell."""
    status = Status(state=FlowState.SUSPENDED, version=1, since=timestamp(NOW), suspended_for="StartFailures")
    assert decide(seen(FlowState.SUSPENDED, status=status, current=VersionSeen(1, queues=EMPTY))).act is Act.START


def test_steps_killed_for_their_memory_again_and_again_suspend() -> None:
    assert decide(seen(FlowState.RUNNING, out_of_memory={"store": 2})).act is Act.WAIT
    decision = decide(seen(FlowState.RUNNING, out_of_memory={"store": 3}))
    assert (decision.act, decision.reason) == (Act.INTERVENE, "OutOfMemory")


def test_messages_of_a_suspended_flow_are_dropped_after_their_retention_and_not_before() -> None:
    kept = VersionSeen(1, job=PARKED, queues={**EMPTY, "store": QueueSeen(7, 0)})
    week = seen(FlowState.SUSPENDED, "suspended", current=kept, now=NOW + timedelta(days=7), aside=0)
    assert (decide(week).act, "7 messages" in decide(week).message) == (Act.DROP, True)
    empty = replace(week, current=replace(kept, queues=EMPTY))
    assert (decide(empty).act, decide(empty).message) == (Act.WAIT, "Suspended; nothing that it kept is left")
    aside = decide(replace(empty, aside=2))
    assert (aside.act, "2 messages" in aside.message) == (Act.DROP, True)
    assert decide(replace(empty, aside=None)).reason == "BrokerUnknown"
    early = decide(replace(week, now=NOW + timedelta(days=6)))
    assert early.act is Act.WAIT
    assert early.recheck_s == pytest.approx(86_400, abs=1)


@pytest.mark.parametrize("state", sorted(set(FlowState) - {FlowState.STOPPED, FlowState.STOPPING}))
def test_in_a_limited_workspace_a_flow_is_stopped_8_hours_after_its_start(state: FlowState) -> None:
    started = timestamp(NOW - timedelta(hours=8))
    status = Status(state=state, version=1, since=timestamp(NOW), started=started, job_index=7)
    late = seen(state, status=status, workspace=WorkspaceType.LIMITED)
    assert (decide(late).act, decide(late).state, decide(late).reason) == (Act.INTERVENE, FlowState.STOPPING, "TimeUp")
    assert decide(replace(late, workspace=WorkspaceType.FULL)).reason != "TimeUp"
    early = replace(late, now=NOW - timedelta(seconds=1))
    assert decide(early).reason != "TimeUp"
    look = next_look_s(early, decide(early))
    assert look is not None
    assert look <= 1.2


def publishing(strategy: str, **changes: Any) -> Seen:
    base = seen(FlowState.RUNNING, **changes)
    return replace(base, desired=replace(base.desired, version=2, strategy=strategy, at=timestamp(NOW)))


def test_replace_goes_through_starting() -> None:
    decision = decide(publishing("replace"))
    assert (decision.act, decision.state) == (Act.REPLACE, FlowState.STARTING)


def test_the_replaced_version_drains_then_leaves_then_moves_then_the_new_one_comes_up() -> None:
    status = Status(state=FlowState.STARTING, version=2, replacing=1, input_version=2, since=timestamp(NOW))
    base = publishing("replace", status=status, current=VersionSeen(2, queues=EMPTY))
    work = {**CONSUMED, "store": QueueSeen(3, 2, 1)}
    draining = replace(base, old=VersionSeen(1, job=UP, processes=LIVE, queues=work, rebounding=0))
    assert decide(draining).reason == "Draining"
    assert decide(replace(draining, now=NOW + timedelta(seconds=31))).act is Act.RETIRE_DOWN
    idle = replace(base, old=VersionSeen(1, job=UP, processes=LIVE, queues=CONSUMED, rebounding=0))
    assert decide(idle).act is Act.RETIRE_DOWN
    leaving = replace(base, old=VersionSeen(1, processes=LIVE, queues=EMPTY))
    assert decide(leaving).act is Act.WAIT
    assert decide(replace(base, old=VersionSeen(1, queues=work | EMPTY))).act is Act.RETIRE
    assert decide(replace(base, status=replace(status, replacing=0))).act is Act.BRING_UP


def test_a_version_that_replaced_another_and_does_not_come_up_gives_its_place_back() -> None:
    status = Status(
        state=FlowState.STARTING, version=2, came_from=1, input_version=2, since=timestamp(NOW), job_index=7
    )
    waiting = VersionSeen(2, job=UP, queues={**CONSUMED, "store": QueueSeen(0, 0)})
    base = publishing("replace", status=status, current=waiting)
    assert decide(base).reason == "StepsNotReady"
    late = replace(base, now=NOW + timedelta(seconds=151))  # 30 s to drain the old one, 120 s to be ready
    assert decide(late).act is Act.FALL_BACK
    assert decide(replace(base, failures={"store": 5})).act is Act.FALL_BACK
    # the version before is then not given up in its turn
    assert decide(replace(late, status=replace(status, came_from=0))).act is Act.WAIT
    assert decide(replace(base, status=replace(status, came_from=0), failures={"store": 5})).act is Act.INTERVENE


def test_handover_brings_the_new_version_up_first_and_switches_only_when_it_is_ready() -> None:
    begun = publishing("handover")
    assert decide(begun).act is Act.HAND_OVER
    status = replace(begun.status, incoming=2)
    begun = replace(begun, status=status, incoming=VersionSeen(2, job=UP, queues=EMPTY))
    assert decide(begun).reason == "WarmingUp"
    assert decide(replace(begun, incoming=VersionSeen(2, job=UP, queues=CONSUMED))).act is Act.SWITCH
    late = replace(begun, now=NOW + timedelta(seconds=121))
    assert decide(late).act is Act.ROLL_BACK
    assert decide(replace(late, incoming=VersionSeen(2, job=UP, queues=None))).act is Act.WAIT


def test_after_a_switch_the_old_version_stays_for_a_moment_for_what_is_on_its_way_to_it() -> None:
    status = Status(state=FlowState.RUNNING, version=2, replacing=1, input_version=2, since=timestamp(NOW))
    old = VersionSeen(1, job=UP, processes=LIVE, queues=CONSUMED, rebounding=0)
    switched = replace(publishing("handover", status=status, current=VersionSeen(2, job=UP, queues=CONSUMED)), old=old)
    assert "on its way" in decide(switched).message
    assert decide(replace(switched, now=NOW + timedelta(seconds=1))).act is Act.RETIRE_DOWN
    assert decide(replace(switched, drain_s=0)).act is Act.RETIRE_DOWN
    # A version that did not come up never had input
    rolled_back = replace(status, version=1, replacing=2, since=timestamp(NOW - timedelta(hours=1)))
    assert decide(replace(switched, status=rolled_back)).act is Act.RETIRE_DOWN


def test_a_version_that_is_handed_over_to_warms_up_one_step_after_the_other() -> None:
    status = replace(publishing("handover").status, incoming=2)
    steps = dict.fromkeys(("orders", "store", "log"), 2)

    def look(consuming: int, up: int, seconds: float = 1) -> Seen:
        queues = {step: QueueSeen(0, 1 if number < consuming else 0) for number, step in enumerate(steps)}
        job = JobSeen(7, {step: 2 if number < up else 0 for number, step in enumerate(steps)}) if up else None
        incoming = VersionSeen(2, job=job, queues=queues)
        return replace(publishing("handover"), status=status, incoming=incoming, now=NOW + timedelta(seconds=seconds))

    assert list(warming(look(0, 0), steps).values()) == [2, 0, 0]
    assert decide(look(0, 1)).act is Act.WAIT
    assert list(warming(look(1, 1), steps).values()) == [2, 2, 0]
    assert decide(look(1, 1)).act is Act.HAND_OVER
    assert list(warming(look(0, 2), steps).values()) == [2, 2, 0]  # the first was killed; the second stays
    assert decide(look(2, 3)).act is Act.WAIT
    assert decide(look(3, 3)).act is Act.SWITCH
    # After a quarter of the time to be ready
    assert list(warming(look(0, 1, 31), steps).values()) == [2, 2, 2]
    assert decide(look(0, 1, 31)).act is Act.HAND_OVER


def test_every_state_has_an_answer_for_a_broker_that_is_silent() -> None:
    for state in FlowState:
        for wanted in WantedState:
            decision = decide(seen(state, wanted.value, current=VersionSeen(1, job=UP, queues=None), idle_for_s=None))
            assert decision.act not in {Act.PREPARE_PARK, Act.CLEAN_UP, Act.RETIRE}
            assert decision.message
