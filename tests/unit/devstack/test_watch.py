"""One server under supervision, with real short-lived processes and a clock of our own."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from nomadflows.devstack import processes
from nomadflows.devstack.server import READY, Command, Health
from nomadflows.devstack.watch import Watched


@dataclass
class Scripted:
    """A server whose program and health a test decides."""

    folder: Path
    code: str = "import time; time.sleep(60)"
    health: Health = READY
    name: str = "scripted"
    needs: tuple[str, ...] = ()
    starts: list[str] = field(default_factory=list)

    def command(self) -> Command | None:
        self.starts.append(self.code)
        return Command((sys.executable, "-S", "-c", self.code), cwd=self.folder)

    def check(self) -> Health:
        return self.health


@pytest.fixture
def watch(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[..., Watched]:
    def make(**more: object) -> Watched:
        watched = Watched(Scripted(tmp_path, **more), tmp_path / "log")  # type: ignore[arg-type]

        def end() -> None:
            if watched.identity is not None:
                processes.stop([watched.identity], 0.0)
            if watched.process is not None:
                watched.process.wait()

        request.addfinalizer(end)
        return watched

    return make


def await_end(watched: Watched) -> None:
    assert watched.process is not None
    deadline = time.monotonic() + 10
    while processes.identify(watched.process.pid) is not None:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_waits_for_what_it_needs(watch: Callable[..., Watched]) -> None:
    watched = watch(needs=("vault", "nomad"))
    watched.tick(0.0, {"vault"})
    assert (watched.state, watched.why, watched.process) == ("waiting", "for nomad", None)
    watched.tick(0.1, {"vault", "nomad"})
    assert watched.state == "ready"
    assert watched.identity is not None


def test_starting_until_the_check_says_ready(watch: Callable[..., Watched]) -> None:
    watched = watch(health=Health(ready=False, why="unsealing"))
    watched.tick(0.0, ())
    assert (watched.state, watched.why) == ("starting", "unsealing")
    watched.server.health = READY  # type: ignore[attr-defined]
    watched.tick(1.0, ())
    assert watched.state == "ready"


def test_a_ready_server_that_stops_answering_is_unwell_and_left_alone(watch: Callable[..., Watched]) -> None:
    watched = watch()
    watched.tick(0.0, ())
    before = watched.identity
    watched.server.health = Health(ready=False, why="no answer in time")  # type: ignore[attr-defined]
    watched.tick(10.0, ())
    assert (watched.state, watched.why, watched.identity) == ("unwell", "no answer in time", before)


def test_each_end_in_a_row_waits_longer(watch: Callable[..., Watched]) -> None:
    watched = watch(code="raise SystemExit(7)", health=Health(ready=False))
    waits = []
    now = 0.0
    for _ in range(4):
        watched.tick(now, ())  # starts
        await_end(watched)
        watched.tick(now, ())  # sees the end
        assert watched.state == "restarting"
        assert "exit code 7" in watched.why
        begun = len(watched.server.starts)  # type: ignore[attr-defined]
        wait = 0.0
        while len(watched.server.starts) == begun:  # type: ignore[attr-defined]
            wait += 0.05
            watched.tick(now + wait, ())
        waits.append(wait)
        now += wait
        await_end(watched)
        watched.tick(now, ())
        now += 100
    assert waits == sorted(waits)
    assert waits[0] <= 0.6
    assert watched.restarts == 8


def test_a_restart_does_not_wait_for_others(watch: Callable[..., Watched]) -> None:
    """A server that was ready once must come back by itself: others may be waiting for it."""
    watched = watch(needs=("vault",))
    watched.tick(0.0, {"vault"})
    assert watched.identity is not None
    processes.stop([watched.identity], 0.0)
    watched.tick(1.0, ())
    watched.tick(2.0, ())
    assert watched.state == "ready"
    assert watched.restarts == 1
