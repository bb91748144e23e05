"""Wishes that come in the middle of something else: nothing is left behind, nothing is lost."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nomadflows.model.states import FlowState, WantedState, WorkspaceType
from tests.unit.controller.fakes import LeaderDied
from tests.unit.controller.servers import FLOW, Queue
from tests.unit.controller.simulation import LIMIT, Simulation, in_memory


def running(sim: Simulation) -> Simulation:
    sim.publish()
    sim.wish(WantedState.RUNNING)
    assert sim.live(10, lambda: sim.servers.read_status().state is FlowState.RUNNING)
    return sim


def reasons(sim: Simulation) -> list[str]:
    return [event.reason for *_, event in sim.servers.history]


def rests(sim: Simulation) -> None:
    assert sim.live(400, sim.at_rest), sim.servers.read_status()
    assert not sim.missing()
    assert not sim.servers.dropped
    present = f"orders.v{sim.servers.read_status().version}"
    assert set(sim.servers.jobs) == {present}
    assert {name.rpartition(".")[0] for name in sim.servers.queues} == {present}


def test_a_mended_step_is_resumed_though_it_had_failed_too_often_before() -> None:
    with in_memory() as sim:
        running(sim)
        sim.broken.add("note")
        for process in sim.live_processes():
            sim.die(process)
        assert sim.live(60, lambda: sim.servers.read_status().state is FlowState.SUSPENDED)
        sim.broken.clear()
        sim.wish(WantedState.RUNNING)
        rests(sim)
        assert reasons(sim).count("StartFailures") == 1


def test_a_step_that_ran_out_of_memory_gets_a_new_chance_with_the_resume() -> None:
    with in_memory(idle_s=60) as sim:
        running(sim)
        for _ in range(3):
            sim.die(sim.live_processes()[1], "OOM Killed")
            told = sim.live(5, lambda: 256 in {step.memory_peak_mib for step in sim.servers.read_status().steps})
            assert told, sim.servers.read_status()
            sim.live(5)
        assert {step.memory_mib for step in sim.servers.read_status().steps} == {256}
        assert sim.live(60, lambda: sim.servers.read_status().state is FlowState.SUSPENDED)
        assert sim.servers.read_status().suspended_for == "OutOfMemory"
        sim.publish()
        sim.wish(WantedState.RUNNING)
        rests(sim)


def test_a_step_that_runs_out_of_memory_at_its_start_is_told_so() -> None:
    with in_memory() as sim:
        sim.publish()
        sim.wish(WantedState.RUNNING)
        for _ in range(3):
            assert sim.live(5, lambda: any(p.group == "note" for p in sim.live_processes()))
            sim.die(next(p for p in sim.live_processes() if p.group == "note"), "OOM Killed")
            sim.signal()
            sim.turn()
        assert sim.live(10, lambda: sim.servers.read_status().state is FlowState.SUSPENDED)
        assert sim.servers.read_status().suspended_for == "OutOfMemory"


def test_a_suspension_gives_a_flow_of_a_limited_workspace_no_more_time() -> None:
    hours = 3600.0
    with in_memory(workspace=WorkspaceType.LIMITED) as sim:
        running(sim)
        sim.servers.now_s += 5 * hours
        sim.wish(WantedState.SUSPENDED)
        assert sim.live(60, sim.at_rest)
        sim.wish(WantedState.RUNNING)
        assert sim.live(60, lambda: sim.servers.read_status().state is FlowState.RUNNING)
        sim.servers.now_s += 3 * hours
        sim.signal()
        assert sim.live(60, lambda: sim.servers.read_status().state is FlowState.STOPPED)
        assert reasons(sim).count("TimeUp") == 1


def test_a_suspended_flow_of_a_limited_workspace_is_stopped_when_its_time_is_up() -> None:
    with in_memory(workspace=WorkspaceType.LIMITED) as sim:
        running(sim)
        sim.wish(WantedState.SUSPENDED)
        assert sim.live(60, sim.at_rest)
        assert sim.live(9 * 3600.0, lambda: sim.servers.read_status().state is FlowState.STOPPED)
        assert "TimeUp" in reasons(sim)


def test_a_step_with_autoscale_gets_processes_by_what_waits_for_it_until_somebody_pins_it() -> None:
    rule = {"autoscale": {"min": 1, "max": 3, "target_queue": 2}}
    with in_memory(idle_s=60) as sim:
        sim.publish(note=rule)
        sim.wish(WantedState.RUNNING)
        assert sim.live(10, lambda: sim.servers.read_status().state is FlowState.RUNNING)
        sim.send(9, "note")
        sim.signal()
        sim.turn()
        event = sim.servers.history[-1][-1]
        assert (event.reason, event.by) == ("Autoscaled", "controller")
        assert "note 1 → 3 (9 waiting" in event.message
        sim.servers.wish(replace(sim.servers.read_desired(), generation=9, scale={"note": 1}, by="ann"))
        sim.turn()
        event = sim.servers.history[-1][-1]
        assert (event.reason, event.by, event.message) == ("Scaled", "ann", "Processes: note 3 → 1")


def test_what_was_set_aside_of_a_suspended_flow_is_dropped_too_after_its_retention() -> None:
    with in_memory() as sim:
        running(sim)
        sim.wish(WantedState.SUSPENDED)
        assert sim.live(60, sim.at_rest)
        aside = sim.servers.queues[FLOW.aside_queue] = Queue(1_000)
        aside.ready.extend([1, 2])
        sim.servers.now_s += 8 * 86_400
        sim.signal()
        assert sim.live(5, lambda: "RetentionOver" in reasons(sim))
        dropped = next(event for *_, event in sim.servers.history if event.reason == "RetentionOver")
        assert "2 messages dropped" in dropped.message
        assert not aside.ready
        assert sim.servers.read_status().dropped == 2


@pytest.mark.parametrize("strategy", ["replace", "handover"])
@pytest.mark.parametrize("after_s", [0.0, 0.02, 0.1, 0.5])
def test_a_flow_suspended_in_the_middle_of_a_publish_has_no_process_and_loses_nothing(
    strategy: str, after_s: float
) -> None:
    with in_memory() as sim:
        running(sim)
        sim.send(5, "note")
        sim.publish(strategy)
        sim.signal()
        sim.turn()
        sim.live(after_s)
        sim.wish(WantedState.SUSPENDED)
        assert sim.live(60, sim.at_rest)
        assert not sim.live_processes()
        sim.wish(WantedState.RUNNING)
        rests(sim)
        assert len(sim.servers.done) == 5


@pytest.mark.parametrize("strategy", ["replace", "handover"])
def test_a_version_that_warms_up_goes_when_a_newer_one_is_published(strategy: str) -> None:
    with in_memory() as sim:
        running(sim)
        sim.publish("handover")
        sim.signal()
        sim.turn()
        sim.schedule()
        assert sim.servers.read_status().incoming == 2
        sim.publish(strategy)
        rests(sim)
        assert sim.servers.read_status().version == 3
        assert {process.version for process in sim.servers.processes if process.live} <= {3}


def test_a_hand_over_tells_how_long_each_step_of_the_new_version_took() -> None:
    with in_memory() as sim:
        running(sim)
        sim.publish("handover", tail=True)
        assert sim.live(60, lambda: sim.servers.read_status().version == 2)
        status = sim.servers.read_status()
        assert (status.incoming, status.incoming_ready) == (0, {})
        times = [step.ready_s for step in status.steps]
        assert None not in times
        assert times == sorted(times)  # one after the other
        assert times[-1] == status.warm_up_s
        rests(sim)
        assert [step.ready_s for step in sim.servers.read_status().steps] == times


@pytest.mark.parametrize("strategy", ["replace", "handover"])
@pytest.mark.parametrize("wish", ["newer", "stop"])
def test_what_a_dead_leader_had_prepared_for_a_version_is_removed(strategy: str, wish: str) -> None:
    calls = 0
    while True:
        with in_memory() as sim:
            running(sim)
            sim.publish(strategy)
            left = calls

            def dies(_where: str) -> None:
                nonlocal left
                left -= 1
                if left < 0:
                    raise LeaderDied

            sim.servers.hook = dies
            sim.signal()
            sim.turn()
            sim.servers.hook = lambda _where: None
            if left >= 0:  # this look makes no more calls
                return
            if wish == "newer":
                sim.publish()
                rests(sim)
            else:
                sim.wish(WantedState.STOPPED)
                assert sim.live(60, sim.at_rest)
                assert not sim.servers.queues
                assert not sim.servers.jobs
        calls += 1


def test_a_new_version_works_before_all_that_the_old_one_left_fits_into_its_queues() -> None:
    with in_memory() as sim:
        running(sim)
        sim.send(LIMIT)
        sim.publish()
        sim.signal()
        sim.turn()
        sim.schedule()
        assert sim.servers.read_status().input_version == 2
        sim.send(LIMIT)
        assert len(sim.accepted) == 2 * LIMIT
        rests(sim)
        assert len(sim.servers.done) == 2 * LIMIT


def test_a_message_that_the_broker_gives_back_late_wakes_the_flow() -> None:
    with in_memory() as sim:
        running(sim)
        sim.linger = True
        sim.send()
        sim.live(60, lambda: sim.servers.read_status().parking)
        sim.servers.queues["orders.v1.note"].unacked.append(99)
        sim.limbo.append(("orders.v1.note", 99))
        sim.accepted.add(99)
        assert sim.live(60, lambda: sim.servers.read_status().state is FlowState.SLEEPING)
        sim.live(1)
        sim.give_back()
        rests(sim)
        assert sim.servers.done[99] == 1
