"""New versions while messages come in: none is lost, none is doubled, and a hand-over does not stop the flow."""

from __future__ import annotations

import itertools
import statistics
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from nomadflows.model.names import FlowRef
from tests.features.test_life import relay
from tests.traffic import Line, Traffic, longest_gap
from tests.world import World, eventually

pytestmark = pytest.mark.stack


@dataclass
class Published:
    """What publishes did to the flow's messages."""

    sent: int = 0
    lost: int = 0
    doubled: int = 0
    calm_s: float = 0.0  # longest gap while nothing was published
    interval_s: float = 0.0  # median time between two messages sent
    gaps_s: list[float] = field(default_factory=list)  # longest gap in each publish
    sender_gaps_s: list[float] = field(default_factory=list)  # longest time in which the sender got no confirm then


def publish_under_load(
    world: World, out: Path, strategy: str, times: int, rate: float, *, new_code: bool = False
) -> Published:
    """One flow under steady load, published again and again; with `new_code` each time for a new component version."""
    world.deploy()
    name = f"loaded-{strategy}" + ("-anew" if new_code else "")
    definition = {**relay(out), "idle_after": "60s"}
    flow = world.start_flow(name, definition)
    traffic = Traffic(world)
    traffic.follow = True
    line = traffic.add(flow, out)
    traffic.start(rate, [line] * int(rate))  # a second's worth over one connection, so that the rate is kept
    try:
        time.sleep(3)
        windows = []
        calm = (time.time(), time.time() + 5)
        time.sleep(5)
        for number in range(times):
            if new_code:
                world.deploy(version=f"1.{100 * (strategy == 'handover') + number + 1}.0")
            begin = time.time()
            world.publish_flow(name, relay(out, work_ms=number % 2) | {"idle_after": "60s"}, strategy=strategy)
            _taken_over(world, flow, number + 2)
            if new_code:
                assert set(world.status(flow).components.values()) >= {world.store.component_versions("probe")[0].ref}
            windows.append((begin, time.time() + 0.5))
            time.sleep(1.5)
    finally:
        traffic.stop()
    lost = traffic.drain(60)
    return _measured(line, lost, calm, windows)


def _taken_over(world: World, flow: FlowRef, number: int) -> None:
    def done() -> bool:
        status = world.status(flow)
        return status.version == number and not status.replacing and status.state.value == "Running"

    eventually(f"version {number} has taken over", done, 120)


def _measured(line: Line, lost: int, calm: tuple[float, float], windows: list[tuple[float, float]]) -> Published:
    moments = sorted(line.sent.values())
    return Published(
        sent=len(moments),
        lost=lost,
        doubled=line.doubled,
        calm_s=longest_gap(line.times, *calm),
        interval_s=statistics.median(b - a for a, b in itertools.pairwise(moments)),
        gaps_s=[longest_gap(line.times, begin, end) for begin, end in windows],
        sender_gaps_s=[longest_gap(moments, begin, end) for begin, end in windows],
    )


@pytest.mark.parametrize("strategy", ["replace", "handover"])
def test_publishes_under_load_lose_and_double_nothing(world: World, tmp_path: Path, strategy: str) -> None:
    world.start_controller()
    world.someone_leads()
    found = publish_under_load(world, tmp_path / "out", strategy, times=2, rate=50)
    print(found)
    assert (found.lost, found.doubled) == (0, 0)
    if strategy == "handover":  # no start of a version falls into the gap
        assert max(found.gaps_s) < 2
