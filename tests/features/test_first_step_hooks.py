"""The hooks of a flow's first step: start-up once, shutdown once after the stop."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from nomadflows.store import requests
from nomadflows.store.keys import STARTUP
from tests.features.test_node import chain, step
from tests.world import World, eventually

pytestmark = pytest.mark.stack


@pytest.mark.parametrize("language", ["node", pytest.param("python", marks=pytest.mark.slow)])
def test_start_up_runs_once_and_is_undone_after_the_stop(node_world: World, tmp_path: Path, language: str) -> None:
    out, tries = tmp_path / "out", tmp_path / "tries"
    node_world.install("subscriber")
    component = {"node": "node-probe", "python": "subscriber"}[language]
    receive = {**step("receive", f"{component}:subscribe", tries=tries), "replicas": 2}
    flow = node_world.start_flow(
        f"hooks-{language}", chain(receive, step("note", "probe:relay", out=out), idle_after="2s")
    )

    def ran() -> dict[str, int]:
        return {hook: tries.read_text().split().count(hook) for hook in ("startup", "init", "shutdown")}

    # Given a first step of two processes, of which one runs the start-up hook
    eventually("both are up", lambda: ran() == {"startup": 1, "init": 2, "shutdown": 0})
    state = node_world.store.client.get(node_world.store.keys.flow(flow, STARTUP))
    assert state is not None
    assert b"id-1" not in state.value
    # When they are killed, and the flow sleeps and wakes
    node_world.kill_step(flow, "receive")
    eventually("they are back", lambda: ran()["init"] == 4)
    node_world.flow_becomes(flow, "Sleeping", 60)
    node_world.send(flow, range(1))
    node_world.all_arrive(out, range(1))
    # Then the start-up hook is not run again
    eventually("both are up", lambda: ran() == {"startup": 1, "init": 6, "shutdown": 0})
    # And the shutdown hook gets what it returned, once the flow has stopped
    node_world.stop_flow(flow)
    assert tries.read_text().splitlines()[-1] == "shutdown id-1"
    assert node_world.nomad.job("default", flow.version(1).shutdown_job) is None
    # And the next start begins anew
    requests.start(node_world.store, flow, by="test")
    node_world.flow_becomes(flow, "Running", 60)
    eventually("both are up again", lambda: ran() == {"startup": 2, "init": 8, "shutdown": 1})


@pytest.mark.slow
@pytest.mark.parametrize("ends", ["fail", "hang"])
def test_a_shutdown_hook_that_fails_or_hangs_keeps_no_flow_from_being_stopped(
    node_world_of: Callable[..., World], tmp_path: Path, ends: str
) -> None:
    world = node_world_of(NOMADFLOWS_SHUTDOWN_AFTER="5")
    world.install("subscriber")
    tries = tmp_path / "tries"
    receive = step("receive", "subscriber:subscribe", tries=tries, undo=ends)
    flow = world.start_flow(f"hooks-{ends}", chain(receive, step("note", "probe:relay")))
    began = time.monotonic()
    world.stop_flow(flow)
    assert tries.read_text().splitlines()[-1] == "shutdown id-1"
    assert time.monotonic() - began > {"fail": 0, "hang": 5}[ends]
    eventually("its job is gone", lambda: world.nomad.job("default", flow.version(1).shutdown_job) is None)
    assert world.store.client.get(world.store.keys.flow(flow, STARTUP)) is None
