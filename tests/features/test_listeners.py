"""`process()` of a real-time trigger is called again and again in one process: what a module keeps, it has again."""

from __future__ import annotations

import socket
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.world import World, eventually

pytestmark = pytest.mark.stack


@pytest.fixture
def source() -> Iterator[Path]:
    """A folder where listeners leave their addresses, near the root: addresses of sockets are short."""
    with tempfile.TemporaryDirectory(prefix="nf-", dir="/tmp") as folder:
        yield Path(folder)


def say(source: Path, event: str) -> None:
    """The source of events: each listener gets it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as speaker:
        for listener in sorted(source.glob("*.sock")):
            speaker.sendto(event.encode(), str(listener))


def heard(out: Path) -> list[tuple[str, int, int]]:
    lines = out.read_text().splitlines() if out.exists() else []
    return [(event, int(call), int(pid)) for event, call, pid in (line.split() for line in lines)]


def listening(world: World, function: str, source: Path, out: Path) -> None:
    world.deploy("listener")
    settings = {"events": str(source), "out": str(out)}
    step = {"id": "listen", "use": f"listener:{function}", "with": settings, "min_interval": "100ms"}
    world.start_flow(function, {"kind": "realtime", "steps": [step]})


def test_a_listener_made_once_gets_each_event_once(world: World, tmp_path: Path, source: Path) -> None:
    out = tmp_path / "out"
    world.start_controller()
    listening(world, "once", source, out)
    eventually("it listens", lambda: list(source.glob("*.sock")))
    # When events come, some calls apart
    for number in range(3):
        say(source, f"e{number}")
        eventually("it is heard", lambda number=number: len(heard(out)) > number)
    # Then each arrived once, in different calls of one process that has one listener
    assert Counter(event for event, _, _ in heard(out)) == {"e0": 1, "e1": 1, "e2": 1}
    assert len({call for _, call, _ in heard(out)}) == 3
    assert max(call for _, call, _ in heard(out)) > 1
    assert len({pid for _, _, pid in heard(out)}) == 1
    assert len(list(source.glob("*.sock"))) == 1


def test_a_listener_made_in_each_call_gets_each_event_again_and_again(
    world: World, tmp_path: Path, source: Path
) -> None:
    out = tmp_path / "out"
    world.start_controller()
    listening(world, "each-call", source, out)
    eventually("calls went by", lambda: len(list(source.glob("*.sock"))) >= 3)
    say(source, "e0")
    eventually("the pitfall is shown", lambda: Counter(event for event, _, _ in heard(out))["e0"] >= 3)
