"""A flow's life on real servers, and a controller that dies at each stage of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nomadflows.store import requests
from tests.world import World, eventually

pytestmark = pytest.mark.stack


def relay(out: Path, **settings: Any) -> dict[str, Any]:
    """Two visible steps with a mapping between them: three running ones."""
    return {
        "idle_after": "1s",
        "steps": [
            {"id": "receive", "use": "probe:receive"},
            {"id": "note", "use": "probe:relay", "with": {"out": str(out), **settings}, "map": {"n": "n"}},
        ],
    }


def test_a_flow_starts_parks_wakes_and_stops(world: World, tmp_path: Path) -> None:
    world.deploy()
    world.start_controller()
    # Given a flow that was started
    flow = world.start_flow("life", relay(tmp_path / "out"))
    assert world.status(flow).warm_up_s is not None
    # When it gets messages
    world.send(flow, range(20))
    # Then each arrives once
    assert set(world.all_arrive(tmp_path / "out", range(20)).values()) == {1}
    # And when nothing is left to do it is parked, without a process
    world.flow_becomes(flow, "Sleeping")
    assert world.step_pids(flow) == []
    job = world.nomad.job("default", "life.v1")
    assert job is not None
    assert set(job.counts.values()) == {0}
    # And a message wakes it
    world.send(flow, range(20, 21))
    world.all_arrive(tmp_path / "out", range(21))
    eventually("the wake time is told", lambda: world.status(flow).last_wake_s)
    # And a stop leaves nothing behind
    world.stop_flow(flow)
    eventually("no process is left", lambda: not world.step_pids(flow))
    assert world.nomad.job("default", "life.v1") is None
    reasons = [event.reason for event in world.events(flow)]
    assert reasons[:2] == ["StartRequested", "StepsReady"]
    assert {"WorkDone", "Parked", "MessageArrived", "Awake", "StopRequested", "Stopped"} <= set(reasons)


@pytest.mark.parametrize(
    "stage",
    [
        "Starting",
        "Running",
        "parking",
        pytest.param("Sleeping", marks=pytest.mark.slow),
        "waking",
        "publishing",
        pytest.param("Stopping", marks=pytest.mark.slow),
    ],
)
def test_a_controller_killed_at_any_stage_is_followed_by_one_that_finishes(
    world: World, tmp_path: Path, stage: str
) -> None:
    world.deploy()
    name = f"killed-{stage.lower()}"
    out = tmp_path / "out"
    flow = world.publish_flow(name, relay(out))
    first = world.start_controller()
    world.someone_leads()
    # Given a flow at some stage of its life
    requests.start(world.store, flow, by="test")
    if stage == "Starting":
        world.flow_becomes(flow, "Starting")
    else:
        world.flow_becomes(flow, "Running", 60)
    sent = range(5)
    if stage == "parking":
        eventually("it is being parked", lambda: world.status(flow).parking, 30, every=0.005)
    if stage in {"Sleeping", "waking"}:
        world.flow_becomes(flow, "Sleeping")
    if stage == "waking":
        world.send(flow, sent)
    if stage == "publishing":
        world.send(flow, sent)
        world.publish_flow(name, relay(out, work_ms=1))
        eventually("version 1 is being replaced", lambda: world.status(flow).replacing, 30, every=0.005)
    if stage == "Stopping":
        requests.stop(world.store, flow, by="test")
        world.flow_becomes(flow, "Stopping")
    # When the controller is killed and another one started
    first.kill()
    first.wait()
    if stage != "Running":  # that one waits for the lock's time to live, the others need not show it again
        world.forget_leader()
    world.start_controller()
    # Then it finishes what was begun
    if stage == "Stopping":
        world.flow_becomes(flow, "Stopped", 90)
        return
    eventually("it is up", lambda: world.status(flow).state.value in {"Running", "Sleeping"}, 60)
    if stage not in {"waking", "publishing"}:
        world.send(flow, sent)
    assert set(world.all_arrive(out, sent, 90).values()) == {1}
    eventually("it sleeps", lambda: not world.step_pids(flow) and world.status(flow).state.value == "Sleeping", 60)
    assert world.status(flow).version == (2 if stage == "publishing" else 1)


def test_a_realtime_flow_never_sleeps(world: World, tmp_path: Path) -> None:
    world.deploy()
    world.start_controller()
    definition = {**relay(tmp_path / "out"), "kind": "realtime"}
    del definition["idle_after"]
    flow = world.start_flow("live", definition)
    pids = sorted(world.step_pids(flow))
    assert len(pids) == 3
    world.send(flow, range(3))
    world.all_arrive(tmp_path / "out", range(3))
    with pytest.raises(AssertionError, match="not within"):
        world.flow_becomes(flow, "Sleeping", 4)
    assert sorted(world.step_pids(flow)) == pids


def test_a_publish_over_a_running_flow_replaces_it_and_loses_nothing(world: World, tmp_path: Path) -> None:
    world.deploy()
    world.start_controller()
    out = tmp_path / "out"
    flow = world.start_flow("published", relay(out, work_ms=20))
    # Given work in its queues
    world.send(flow, range(200))
    # When a new version is published
    world.publish_flow("published", relay(out, work_ms=1))
    # Then it takes over, and every message is processed once
    eventually(
        "version 2 runs", lambda: world.status(flow).version == 2 and world.status(flow).state.value == "Running", 90
    )
    assert set(world.all_arrive(out, range(200), 90).values()) == {1}
    eventually("version 1 has gone", lambda: world.nomad.job("default", "published.v1") is None)
    assert world.status(flow).replacing == 0


def test_a_published_version_that_cannot_start_gives_its_place_back(world: World, tmp_path: Path) -> None:
    world.deploy()
    world.start_controller()
    out = tmp_path / "out"
    flow = world.start_flow("falls-back", {**relay(out, work_ms=20), "idle_after": "60s"})
    world.send(flow, range(50))
    # When a version is published whose step ends at once whenever it starts
    world.publish_flow("falls-back", {**relay(out, exit_at_start="3"), "idle_after": "60s"})
    # Then the version before takes its place again, says why, and nothing was lost
    eventually("it fell back", lambda: any(event.reason == "RolledBack" for event in world.events(flow)), 90)
    eventually(
        "version 1 runs again",
        lambda: world.status(flow).version == 1 and world.status(flow).state.value == "Running",
        90,
    )
    world.send(flow, range(50, 60))
    assert set(world.all_arrive(out, range(60), 60).values()) == {1}
    record = world.store.flow(flow)
    assert record is not None
    assert record.desired.value.by == "controller"
    assert "Exit Code: 3" in record.desired.value.why
