"""New versions while messages come in: none is lost, none is doubled, and a hand-over does not stop the flow."""

from __future__ import annotations

import itertools
import json
import shutil
import statistics
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pytest

from nomadflows.cli.root import run
from nomadflows.model.names import FlowRef
from tests.features.test_life import relay
from tests.sender import Sender
from tests.traffic import Line, Traffic, longest_gap
from tests.world import COMPONENTS, World, eventually

pytestmark = pytest.mark.stack


@dataclass
class Published:
    """What publishes did to the flow's messages."""

    sent: int = 0
    lost: int = 0
    doubled: int = 0
    rate: float = 0.0  # messages sent a second, over the whole time
    calm_s: float = 0.0  # longest gap while nothing was published
    interval_s: float = 0.0  # median time between two messages sent
    gaps_s: list[float] = field(default_factory=list)  # longest gap in each publish
    sender_gaps_s: list[float] = field(default_factory=list)  # longest time in which the sender got no confirm then
    waits_s: list[float] = field(
        default_factory=list
    )  # the longest that a message sent then waited, confirm to work done


class Code(Protocol):
    """What the flow's own steps run."""

    component: str

    def renew(self) -> str:
        """Before each publish; the word by which the code that runs from then on signs what it has processed."""
        ...


class SameCode:
    """The test component as it is; who signs is the process."""

    component = "probe"

    def __init__(self, world: World) -> None:
        world.deploy()

    def renew(self) -> str:
        return ""


class NewCode:
    """A folder in which a line changes, deployed as its developer would: packed, stored, fetched by the node."""

    def __init__(self, folder: Path, component: str) -> None:
        self.component = component
        self._folder = folder / component
        self._number = 0
        shutil.copytree(COMPONENTS / "probe", self._folder, ignore=shutil.ignore_patterns("__pycache__"))
        self.renew()

    def renew(self) -> str:
        self._number += 1
        version = f"1.{self._number}.0"
        descriptor = json.loads((COMPONENTS / "probe" / "component.json").read_text()) | {"version": version}
        (self._folder / "component.json").write_text(json.dumps(descriptor))
        before = (COMPONENTS / "probe" / "probe.py").read_text()
        signed = before.replace("{os.getpid()}", f"code-{version}")
        assert signed != before, "the probe signs what it has processed"
        (self._folder / "probe.py").write_text(signed)
        assert run(["component", "deploy", str(self._folder)]) == 0
        return f"code-{version}"


def publish_under_load(
    world: World, out: Path, strategy: str, times: int, rate: float, code: Code | None = None
) -> Published:
    """One flow under steady load, published again and again, each time with what `code` makes newer."""
    code = code or SameCode(world)
    name = f"loaded-{strategy}-{code.component}-{rate:.0f}"
    flow = world.start_flow(name, loaded(out, code.component))
    traffic = Traffic(world)
    line = traffic.add(flow, out)
    with Sender(line, rate) as sender:
        eventually("messages are processed", lambda: line.looked().times, 30)
        time.sleep(3)
        windows = []
        calm = (time.time(), time.time() + 5)
        time.sleep(5)
        for number in range(times):
            signature = code.renew()
            begin = time.time()
            world.publish_flow(name, loaded(out, code.component, work_ms=number % 2), strategy=strategy)
            _taken_over(world, flow, number + 2)
            if signature:
                eventually(f"{signature} processes messages", lambda: signature in line.looked().signed, 30)  # noqa: B023
            windows.append((begin, time.time() + 0.5))
            time.sleep(1.5)
        sender.stop()
    lost = traffic.drain(60)
    return _measured(line, lost, calm, windows)


def loaded(out: Path, component: str, **settings: Any) -> dict[str, Any]:
    definition = relay(out, **settings)
    for step in definition["steps"]:
        step["use"] = step["use"].replace("probe", component)
    return {**definition, "idle_after": "60s"}


def _taken_over(world: World, flow: FlowRef, number: int) -> None:
    def done() -> bool:
        status = world.status(flow)
        return status.version == number and not status.replacing and status.state.value == "Running"

    eventually(f"version {number} has taken over", done, 120, every=0.25)


def _measured(line: Line, lost: int, calm: tuple[float, float], windows: list[tuple[float, float]]) -> Published:
    moments = sorted(line.sent.values())
    return Published(
        sent=len(moments),
        lost=lost,
        doubled=line.doubled,
        rate=len(moments) / (moments[-1] - moments[0]),
        calm_s=longest_gap(line.times, *calm),
        interval_s=statistics.median(b - a for a, b in itertools.pairwise(moments)),
        gaps_s=[longest_gap(line.times, begin, end) for begin, end in windows],
        sender_gaps_s=[longest_gap(moments, begin, end) for begin, end in windows],
        waits_s=[line.longest_wait(begin, end) for begin, end in windows],
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
