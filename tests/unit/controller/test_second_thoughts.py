"""People change their minds, new versions turn out worse than old ones: what was promised before is kept all the same."""

from __future__ import annotations

import dataclasses

import pytest

from nomadflows.model.states import FlowState, WantedState
from tests.unit.controller.fakes import LeaderDied
from tests.unit.controller.servers import FLOW, Process, Rebound
from tests.unit.controller.simulation import LIMIT, Simulation, in_memory
from tests.unit.controller.test_interrupted import reasons, rests, running


def state(sim: Simulation) -> FlowState:
    return sim.servers.read_status().state


# ── a stop that drains ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("after_s", [0.0, 0.1, 1.0])
def test_a_flow_that_is_started_again_while_it_drains_finishes_its_messages_first(after_s: float) -> None:
    with in_memory() as sim:
        running(sim)
        sim.send(8)
        sim.broken.add("note")
        sim.wish(WantedState.STOPPED, drain=True)
        sim.live(after_s)
        sim.signal()
        sim.turn()
        assert state(sim) is FlowState.STOPPING
        sim.wish(WantedState.RUNNING)
        sim.wish(WantedState.SUSPENDED)
        sim.wish(WantedState.RUNNING)
        sim.publish()
        sim.broken.clear()
        rests(sim)
        assert len(sim.servers.done) == 8


def test_a_stop_that_drains_may_be_told_not_to_after_the_next_start_was_asked_for() -> None:
    with in_memory() as sim:
        running(sim)
        sim.broken.add("note")
        sim.send(8)
        sim.wish(WantedState.STOPPED, drain=True)
        sim.signal()
        sim.turn()
        sim.wish(WantedState.RUNNING)
        sim.wish(WantedState.STOPPED)
        assert sim.live(60, sim.at_rest)
        assert sim.servers.dropped


def test_a_drain_tells_how_much_is_left_at_least() -> None:
    with in_memory() as sim:
        running(sim)
        sim.broken |= {"receive", "note"}
        for process in sim.live_processes():
            sim.die(process)
        sim.send(8)
        sim.wish(WantedState.STOPPED, drain=True)
        sim.live(1)
        [condition] = sim.servers.read_status().conditions
        assert condition.message == "at least 8 messages are finished before the stop"


# ── a version that does not come up ──────────────────────────────────────────────────────────────────────────


def test_a_version_that_cannot_start_and_cannot_take_what_is_left_gives_its_place_back() -> None:
    with in_memory() as sim:
        running(sim)
        sim.send(LIMIT)
        sim.publish()
        sim.signal()
        sim.turn()
        sim.schedule()
        sim.broken.add("receive")
        sim.send(LIMIT)
        for process in sim.live_processes():
            if process.group == "receive":
                sim.die(process)
        assert sim.live(200, lambda: "RolledBack" in reasons(sim)), sim.servers.read_status()
        sim.broken.clear()
        assert sim.live(400, sim.at_rest), sim.servers.read_status()
        assert sim.servers.read_status().version == 1
        assert len(sim.servers.done) == 2 * LIMIT
        assert not sim.missing()
        assert set(sim.servers.jobs) == {"orders.v1"}


def test_of_two_new_versions_that_do_not_start_the_last_one_that_ran_takes_its_place_again() -> None:
    with in_memory() as sim:
        running(sim)
        sim.broken.add("tail")
        sim.publish(tail=True)
        assert sim.live(20, lambda: sim.servers.read_status().version == 2 and not sim.servers.read_status().replacing)
        sim.publish(tail=True)
        rests(sim)
        assert sim.servers.read_status().version == 1
        assert reasons(sim).count("RolledBack") == 1


def test_a_version_that_comes_back_takes_its_rebounds_from_the_one_that_had_them() -> None:
    with in_memory() as sim:
        running(sim)
        sim.accepted.add(7)
        sim.servers.rebounding.append(Rebound(sim.servers.now_s + 3_600, 1, "note", 7))
        sim.broken.add("tail")
        sim.publish(tail=True)
        assert sim.live(60, lambda: sim.servers.read_status().version == 2)
        assert sim.live(60, lambda: [rebound.version for rebound in sim.servers.rebounding] == [2])
        sim.broken |= {"receive", "note"}  # what comes to version 1 now is not worked on
        assert sim.live(200, lambda: sim.servers.read_status().version == 1)
        assert [rebound.version for rebound in sim.servers.rebounding] == [1]


def test_a_hand_over_waits_as_long_as_the_new_version_asks_for() -> None:
    with in_memory(idle_s=1_800) as sim:
        running(sim)
        sim.broken.add("note")
        sim.publish("handover")
        document = sim.servers.versions[2]
        document["definition"]["limits"]["ready_timeout"] = "100s"
        assert not sim.live(60, lambda: "NotReadyInTime" in reasons(sim))
        assert sim.live(60, lambda: "NotReadyInTime" in reasons(sim))
        assert state(sim) is FlowState.RUNNING


# ── figures that belong to the past ──────────────────────────────────────────────────────────────────────────


def test_a_queue_that_was_full_before_a_publish_gives_the_new_version_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    with in_memory(idle_s=60) as sim:
        running(sim)
        step = sim.step

        def idles(process: Process) -> bool:
            """The second step's processes come up, and take nothing."""
            queue = sim.queue_of(process)
            return step(process) if process.leaving or queue is None or process.id not in queue.consumers else False

        monkeypatch.setattr(sim, "step", idles)
        sim.send(LIMIT - 1, "note")
        sim.signal()
        sim.turn()
        sim.publish()
        assert sim.live(5, lambda: state(sim) is FlowState.STARTING)
        sim.servers.now_s += 20
        assert sim.live(60, lambda: state(sim) is FlowState.RUNNING)
        sim.live(5)
        assert state(sim) is FlowState.RUNNING
        assert sim.live(30, lambda: "QueueLimit" in reasons(sim))


def test_a_flow_that_was_woken_for_a_tick_stays_until_it_has_been_idle_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    with in_memory(tick_s=100, idle_s=10) as sim:
        running(sim)
        monkeypatch.setattr(
            sim, "send", lambda *_: None
        )  # the tick leaves no trace: it was worked off between two looks
        assert sim.live(60, lambda: state(sim) is FlowState.SLEEPING)
        assert sim.live(120, lambda: state(sim) is FlowState.RUNNING)
        woken = sim.servers.now_s
        assert sim.live(60, lambda: sim.servers.read_status().parking)
        assert sim.servers.now_s - woken >= 10


def test_a_change_of_numbers_after_a_hand_over_is_no_repair() -> None:
    with in_memory(idle_s=60) as sim:
        running(sim)
        sim.publish("handover")
        assert sim.live(60, lambda: sim.servers.read_status().version == 2 and not sim.servers.read_status().replacing)
        desired = sim.servers.read_desired()
        sim.servers.wish(dataclasses.replace(desired, generation=9, scale={"note": 2}, by="ann"))
        sim.live(5)
        assert "DriftRepaired" not in reasons(sim)
        assert "Scaled" in reasons(sim)


# ── the wake queue ───────────────────────────────────────────────────────────────────────────────────────────


def parks_and_wakes(sim: Simulation) -> None:
    assert sim.live(10, lambda: sim.servers.read_status().parking)
    sim.live(0.2)
    sim.send()
    sim.live(1)


def test_only_a_flow_that_is_parked_or_about_to_be_is_told_of_to_the_controller(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    point, left = 0, -1
    while left < 0:
        with in_memory() as sim:
            running(sim)
            left = point

            def dies(_where: str) -> None:
                nonlocal left
                left -= 1
                if left == -1:
                    raise LeaderDied

            sim.servers.hook = dies
            parks_and_wakes(sim)
            sim.servers.hook = lambda _where: None
            step = sim.step
            monkeypatch.setattr(sim, "step", lambda process, do=step: process.group != "note" and do(process))
            sim.send(1, "note")  # it has work from here on
            assert sim.live(5, lambda: state(sim) is FlowState.RUNNING and not sim.servers.read_status().parking)
            sim.live(0.1)
            assert state(sim) is FlowState.RUNNING
            assert not sim.servers.read_status().parking
            assert not sim.servers.fed
        point += 1
    assert point > 20


def test_messages_for_a_flow_that_is_suspended_in_its_sleep_are_told_to_nobody() -> None:
    with in_memory() as sim:
        running(sim)
        assert sim.live(60, lambda: state(sim) is FlowState.SLEEPING)
        assert sim.servers.fed == {FLOW.version(1).exchange}
        sim.wish(WantedState.SUSPENDED)
        assert sim.live(60, sim.at_rest)
        assert not sim.servers.fed


def test_a_version_that_is_replaced_in_its_sleep_is_told_of_no_more_once_that_is_written_down() -> None:
    def dies(where: str) -> None:
        if where == "after write_status":
            raise LeaderDied

    with in_memory() as sim:
        running(sim)
        assert sim.live(60, lambda: state(sim) is FlowState.SLEEPING)
        sim.publish()
        sim.servers.hook = dies
        sim.signal()
        sim.turn()
        sim.servers.hook = lambda _where: None
        assert sim.servers.read_status().version == 2
        assert not sim.servers.fed
        rests(sim)


# ── what people read ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_start_that_takes_long_says_so_in_its_status(monkeypatch: pytest.MonkeyPatch) -> None:
    with in_memory() as sim:
        step = sim.step
        monkeypatch.setattr(sim, "step", lambda process: process.group != "note" and step(process))
        sim.publish()
        sim.wish(WantedState.RUNNING)
        sim.live(60)
        [condition] = sim.servers.read_status().conditions
        assert condition.message.startswith("Waiting for note; this takes longer than expected")


def test_messages_that_come_after_the_retention_are_refused_and_a_resume_takes_them_again() -> None:
    with in_memory() as sim:
        running(sim)
        sim.wish(WantedState.SUSPENDED)
        assert sim.live(60, sim.at_rest)
        sim.send(3)
        assert len(sim.accepted) == 3
        sim.servers.now_s += 8 * 86_400
        sim.signal()
        sim.live(1)
        assert len(sim.servers.dropped) == 3
        sim.send(3)
        assert len(sim.accepted) == 3
        assert reasons(sim).count("RetentionOver") == 1
        sim.wish(WantedState.RUNNING)
        assert sim.live(60, lambda: state(sim) is FlowState.RUNNING)
        sim.send(2)
        assert sim.live(60, sim.at_rest)
        assert len(sim.servers.done) == 2
