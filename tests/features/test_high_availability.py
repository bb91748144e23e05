"""Several controllers: one leads, another takes over, and a deposed one changes nothing."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import pytest

from nomadflows.store import requests
from nomadflows.store.leadership import LOCK_DELAY_S
from tests.features.test_life import relay
from tests.world import World, eventually

pytestmark = pytest.mark.stack

TTL_S = 10
NOTICED_S = 1  # what a busy machine takes to see that the lock is free
TAKEOVER_S = (
    2 * TTL_S + LOCK_DELAY_S + NOTICED_S
)  # Consul ends a session one to two times its time to live after its last sign


def hand_over(world: World, leader: subprocess.Popen[bytes]) -> float:
    """Tell the leader to end; seconds until another one leads."""
    before = world.leader()
    began = time.monotonic()
    leader.send_signal(signal.SIGTERM)
    eventually("the other one leads", lambda: world.leader() not in {"", before}, 10, every=0.01)
    took = time.monotonic() - began
    assert leader.wait(10) == 0
    return took


def test_a_leader_that_ends_hands_over_in_a_second(world: World, tmp_path: Path) -> None:
    world.deploy()
    # Given a leader and one on standby
    leader = world.start_controller()
    world.someone_leads()
    standby = world.start_standby()
    flow = world.start_flow("handed-over", relay(tmp_path / "out"))
    # When the leader is told to end, the other one leads within a second, and the flow goes on
    times: list[float] = []
    for attempt in range(3):  # a machine that is busy elsewhere gets another try
        times.append(hand_over(world, leader))
        numbers = range(5 * attempt, 5 * attempt + 5)
        world.send(flow, numbers)
        world.all_arrive(tmp_path / "out", numbers)
        world.flow_becomes(flow, "Sleeping")
        if times[-1] < 1:
            break
        leader, standby = standby, world.start_standby()
    print(f"clean hand-over of the lock: {', '.join(f'{took:.2f}' for took in times)} s")
    assert times[-1] < 1, times


def test_a_killed_leader_is_followed_by_one_of_its_machine_before_its_time_is_over_and_flows_run_on(
    world: World, tmp_path: Path
) -> None:
    world.deploy()
    first = world.start_controller()
    world.someone_leads()
    before = world.leader()
    world.start_standby()
    definition = {**relay(tmp_path / "out"), "idle_after": "60s"}
    flow = world.start_flow("runs-on", definition)
    first.kill()
    began = time.monotonic()
    # Then the flow works without any leader
    world.send(flow, range(20))
    world.all_arrive(tmp_path / "out", range(20), 5)
    eventually("another one leads", lambda: world.leader() not in {"", before}, TTL_S - 1)
    print(f"takeover after kill: {time.monotonic() - began:.1f} s")


def test_a_paused_leader_that_comes_back_changes_nothing(world: World, tmp_path: Path) -> None:
    world.deploy()
    # (its component API elsewhere: a paused process would hold the port that steps ask at)
    first = world.start_controller(NOMADFLOWS_COMPONENT_API_BIND="127.0.0.1:0")
    world.someone_leads()
    before = world.leader()
    world.start_standby()
    flow = world.start_flow("paused", relay(tmp_path / "out"))
    # Given a leader that is paused past its session's time to live, while it has work to do
    requests.stop(world.store, flow, by="test")
    first.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    eventually("another one leads", lambda: world.leader() not in {"", before}, TAKEOVER_S)
    print(f"takeover after pause: {time.monotonic() - began:.1f} s")
    world.flow_becomes(flow, "Stopped", 30)
    requests.start(world.store, flow, by="test")
    world.flow_becomes(flow, "Running", 30)
    index = world.store.flow(flow)
    history = [(event.at, event.reason) for event in world.events(flow)]
    # When it comes back with its old session
    first.send_signal(signal.SIGCONT)
    time.sleep(3)
    # Then it leads no more and has written nothing: the flow is as its successor left it
    assert world.leader() not in {"", before}
    after = [(event.at, event.reason) for event in world.events(flow)]
    assert after[: len(history)] == history
    assert index is not None
    assert world.status(flow).state.value in {"Running", "Sleeping"}
    assert "StopRequested" not in [reason for _, reason in after[len(history) :]]
    world.send(flow, range(3))
    world.all_arrive(tmp_path / "out", range(3))
