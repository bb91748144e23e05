"""What breaks under a flow at work, and that nothing is lost by it."""

from __future__ import annotations

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
    time.sleep(0.5)
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
def test_a_broker_that_is_away_parks_nothing(world: World, servers: Servers, tmp_path: Path) -> None:
    """Unknown is not idle."""
    world.deploy()
    world.start_controller()
    flow = world.start_flow("unknown", relay(tmp_path / "out"))
    before = world.status(flow)
    servers.restart("rabbitmq")
    eventually("its steps consume again", lambda: world.status(flow).conditions[0].reason != "BrokerUnknown", 60)
    assert before.state.value == "Running"
    world.flow_becomes(flow, "Sleeping", 60)
