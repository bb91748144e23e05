"""What breaks under a flow at work, and that nothing is lost by it."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path

import pytest

from tests.conftest import Servers
from tests.features.test_life import relay
from tests.world import World, eventually

pytestmark = pytest.mark.stack


@pytest.mark.slow
def test_a_step_killed_in_the_middle_of_a_message_processes_it_again(world: World, tmp_path: Path) -> None:
    world.deploy()
    world.start_controller()
    out = tmp_path / "out"
    flow = world.start_flow("killed-step", relay(out, work_ms=1500))
    # Given a step in the middle of a message
    world.send(flow, range(1))
    eventually("the step works on it", lambda: world.in_work(flow, "note") == 1, every=0.01)
    assert world.seen(out) == {}
    # When it is killed
    assert world.kill_step(flow, "note") == 1
    # Then the message is processed by the process that follows it
    assert world.all_arrive(out, range(1)) == {0: 1}


def test_steps_killed_again_and_again_lose_nothing(world: World, tmp_path: Path) -> None:
    world.deploy()
    world.start_controller()
    out = tmp_path / "out"
    flow = world.start_flow("chaos", relay(out, work_ms=5))
    numbers = range(600)
    stop = threading.Event()

    def kill() -> None:
        steps = ["receive", "mapper:receive:note", "note"]
        while not stop.wait(1.0):
            steps.append(steps.pop(0))
            world.kill_step(flow, steps[0])

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        world.send(flow, numbers)
        counts = world.all_arrive(out, numbers, 240)
    finally:
        stop.set()
        killer.join()
    # At least once: a message may be seen twice when its step died between the work and the acknowledgement.
    assert sum(counts.values()) - len(counts) <= 60
    assert world.status(flow).state.value == "Running"


@pytest.mark.parametrize("server", ["rabbitmq", "consul", "vault", "nomad"])
def test_a_server_that_dies_under_a_running_flow_comes_back_and_nothing_is_lost(
    world: World, servers: Servers, tmp_path: Path, server: str
) -> None:
    world.deploy()
    world.start_controller()
    out = tmp_path / "out"
    flow = world.start_flow(f"without-{server}", relay(out, work_ms=10))
    # Given messages in work
    world.send(flow, range(100))
    # When the server is killed
    restarts = servers.view(server).restarts
    servers.kill(server)
    # Then what was sent before arrives, and what is sent afterwards
    world.all_arrive(out, range(100), 90)
    servers.wait_restarted(server, restarts)
    world.send(flow, range(100, 150))
    world.all_arrive(out, range(150), 90)
    # And the flow goes on living as it should
    world.flow_becomes(flow, "Sleeping", 90)
    world.send(flow, range(150, 160))
    world.all_arrive(out, range(160), 60)


@pytest.mark.slow
def test_a_broker_that_does_not_answer_parks_nothing(world: World, servers: Servers, tmp_path: Path) -> None:
    """Unknown is not idle."""
    world.deploy()
    world.start_controller()
    idle_s = 3
    flow = world.start_flow("unknown", {**relay(tmp_path / "out"), "idle_after": f"{idle_s}s"})
    pids = sorted(world.step_pids(flow))
    known = len(world.events(flow))
    # Given a flow with nothing to do, whose broker falls silent before it has been idle long enough
    servers.kill("rabbitmq", signal.SIGSTOP)
    silent = time.monotonic()
    try:
        # When the silence lasts longer than that, and the controller has noticed it
        eventually("it is told", lambda: world.status(flow).conditions[0].reason == "BrokerUnknown", 60)
        eventually("the silence lasts", lambda: time.monotonic() - silent > 3 * idle_s, 60)
        # Then nothing was parked, and nothing stopped
        assert world.status(flow).state.value == "Running"
        assert not world.status(flow).parking
        assert sorted(world.step_pids(flow)) == pids
        assert [event.reason for event in world.events(flow)[known:]] == []
    finally:
        servers.kill("rabbitmq", signal.SIGCONT)
    # And when it answers again, the flow is parked as it should be
    world.flow_becomes(flow, "Sleeping", 90)
    assert {"WorkDone", "Parked"} <= {event.reason for event in world.events(flow)[known:]}
