"""What operators do to a flow besides starting and stopping it: scale it, look into it by hand, delete it, ask why."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from nomadflows.broker.broker import Broker
from nomadflows.model.names import FlowRef
from nomadflows.model.states import utc_now
from nomadflows.model.why import explain
from nomadflows.store import requests
from tests.world import World, eventually

pytestmark = pytest.mark.stack


def relay(out: Path, **settings: Any) -> dict[str, Any]:
    """Two steps, the second with an output file."""
    return {
        "idle_after": "10m",
        "steps": [
            {"id": "receive", "use": "probe:receive"},
            {"id": "note", "use": "probe:relay", "with": {"out": str(out), **settings}},
        ],
    }


def counts(world: World, flow: FlowRef) -> dict[str, int]:
    job = world.nomad.job(flow.workspace, flow.version(1).job_id)
    assert job is not None
    return dict(job.counts)


def test_a_step_is_scaled_without_a_restart(world: World, tmp_path: Path) -> None:
    world.deploy()
    world.start_controller()
    # Given a running flow
    flow = world.start_flow("scaled", relay(tmp_path / "out"))
    before = set(world.step_pids(flow))
    # When one step is to have three processes
    requests.scale(world.store, flow, "note", 3, by="test")
    # Then it gets two more, and those that ran run on
    eventually("four processes run", lambda: len(world.step_pids(flow)) == 4)
    assert before < set(world.step_pids(flow))
    eventually(
        "three consume", lambda: {s.id: s.consumers for s in world.status(flow).steps} == {"receive": 1, "note": 3}
    )
    # And the history says who asked
    scaled = next(event for event in world.events(flow) if event.reason == "Scaled")
    assert (scaled.message, scaled.by) == ("Processes: note 1 → 3", "test")
    # And it can be taken back
    requests.scale(world.store, flow, "note", 1, by="test")
    eventually("two processes run", lambda: len(world.step_pids(flow)) == 2)
    assert world.status(flow).state.value == "Running"


def test_with_repair_paused_a_hand_in_nomad_is_left_alone(world: World, tmp_path: Path) -> None:
    world.deploy()
    world.start_controller()
    # Given a running flow whose repair is paused
    flow = world.start_flow("by-hand", relay(tmp_path / "out"))
    requests.set_repair(world.store, flow, repair=False, by="test", why="a look by hand")
    # When somebody scales the job in Nomad
    job = world.nomad.job(flow.workspace, flow.version(1).job_id)
    assert job is not None
    world.nomad.register_counts(job, {"receive": 1, "note": 2})
    # Then it is told, and left
    eventually("it is told", lambda: any(c.reason == "RepairPaused" for c in world.status(flow).conditions))
    assert counts(world, flow) == {"receive": 1, "note": 2}
    # And put right once repair is resumed
    requests.set_repair(world.store, flow, repair=True, by="test")
    eventually("it is put right", lambda: counts(world, flow) == {"receive": 1, "note": 1})
    eventually("and said so", lambda: "DriftRepaired" in [event.reason for event in world.events(flow)])


def test_a_deleted_flow_comes_back_whole_and_one_deleted_for_good_leaves_nothing(world: World, tmp_path: Path) -> None:
    world.deploy()
    world.start_controller()
    # Given a flow that ran, and was stopped and deleted
    flow = world.start_flow("gone", relay(tmp_path / "out"))
    world.send(flow, range(3))
    world.all_arrive(tmp_path / "out", range(3))
    world.stop_flow(flow)
    requests.delete(world.store, flow, by="test")
    assert world.store.flow(flow) is None
    # When it is restored
    requests.restore(world.store, flow, by="test")
    # Then it runs again
    requests.start(world.store, flow, by="test")
    world.flow_becomes(flow, "Running", 60)
    world.send(flow, range(3, 5))
    world.all_arrive(tmp_path / "out", range(5))
    # And when it is deleted for good nothing is left in Consul and RabbitMQ
    world.stop_flow(flow)
    requests.delete(world.store, flow, by="test", keep=timedelta(0))
    eventually("its documents are gone", lambda: not world.store.client.names(world.store.keys.tree(flow)))
    with Broker(world.settings.amqp_uri, world.settings.rabbitmq_api) as broker:
        assert [name for name in broker.workspace_totals(flow.workspace) if name.startswith("gone.")] == []
    # And another flow of that name is a new one
    again = world.publish_flow("gone", relay(tmp_path / "other"))
    requests.start(world.store, again, by="test")
    world.flow_becomes(again, "Running", 60)
    world.send(again, range(5, 7))
    world.all_arrive(tmp_path / "other", range(5, 7))


def test_why_knows_the_slowest_step_and_what_parking_saved(world: World, tmp_path: Path) -> None:
    world.deploy()
    world.start_controller()
    # Given a flow that started, slept and was woken
    flow = world.start_flow("told", relay(tmp_path / "out") | {"idle_after": "1s"})
    assert all(step.ready_s is not None for step in world.status(flow).steps)
    world.flow_becomes(flow, "Sleeping")
    world.send(flow, range(1))
    eventually("the wake time is told", lambda: world.status(flow).last_wake_s)
    world.flow_becomes(flow, "Sleeping")
    # When its history is asked for
    status = world.status(flow)
    told = explain(world.store.events(flow), status, 512, utc_now())
    # Then it tells starts, wakes, the slowest step and the sleep
    assert told.warm_ups is not None
    assert told.wakes is not None
    assert (told.warm_ups.count, told.wakes.count, told.wakes.last_s) == (1, 1, status.last_wake_s)
    assert told.slowest is not None
    assert told.slowest[0] in {"receive", "note"}
    assert told.slowest[1] <= told.wakes.last_s
    assert told.parked_s > 0
    assert told.parked_share is not None
    ready = next(event for event in world.events(flow) if event.reason == "StepsReady")
    assert "; slowest: " in ready.message
