"""The local stack as it is used every day: with its controller, beside a server that ran before, over night."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nomadflows.devstack import binaries
from nomadflows.devstack.stack import Stack
from nomadflows.settings import cache
from tests.stack.store.harness import OwnConsul
from tests.world import eventually

pytestmark = pytest.mark.stack

FLOW = """\
flow: nightly
schedule: "0 4 * * *"
idle_after: 1s
steps:
  - {id: tick, use: "timer:timer"}
  - {id: write, use: "log:write", with: {text: "here we are"}}
"""


class Machine:
    """Somebody's command line."""

    def __init__(self, home: Path, consul: OwnConsul) -> None:
        self.home = home
        self.stack = Stack(home, cache())
        self.using = f"consul={consul.address}"
        kept = {name: value for name, value in os.environ.items() if name != "NOMADFLOWS_CONFIG"}
        self._environment = {**kept, "NOMADFLOWS_HOME": str(home)}

    def __call__(self, *words: str) -> str:
        command = [sys.executable, "-m", "nomadflows", *words]
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, timeout=180, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def up(self) -> None:
        self("dev", "up", "--use-running", self.using)

    def shown(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self("flow", "show", "nightly", "-o", "json"))
        return found

    def flow_sleeps(self) -> None:
        eventually("the flow sleeps", lambda: self.shown()["status"]["state"] == "Sleeping", 60, 0.5)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    consul = OwnConsul(str(binaries.find(binaries.CONSUL, binaries.Source(cache()), lambda _: None)), tmp_path)
    found = Machine(tmp_path / "nf", consul)
    try:
        consul.start()
        yield found
    finally:
        found.stack.reset(lambda _: None)
        consul.stop()


@pytest.mark.slow
def test_flows_outlive_their_controller_and_the_night(machine: Machine, tmp_path: Path) -> None:
    # Given a stack that uses a Consul which ran before, and a flow on it that sleeps
    machine.up()
    state = machine.stack.state()
    assert state is not None
    foreign = state.server("consul")
    assert foreign is not None
    assert foreign.process is None
    file = tmp_path / "nightly.yaml"
    file.write_text(FLOW)
    machine("flow", "apply", str(file))
    machine("flow", "publish", "nightly")
    machine("flow", "start", "nightly", "--wait")
    machine.flow_sleeps()
    # When its controller is killed
    controller = state.server("controller")
    assert controller is not None
    assert controller.process is not None
    os.kill(controller.process.pid, signal.SIGKILL)
    # Then another is started in its place, and works
    eventually("another controller runs", lambda: _restarted(machine.stack), 60)
    machine("flow", "run-now", "nightly", "--wait")
    eventually("the tick is logged", lambda: machine("flow", "logs", "nightly").count("here we are") == 1, 60, 0.5)
    machine.flow_sleeps()
    # And after a night without any server of its own the flow sleeps still, and does its work when called
    machine("dev", "down")
    machine.up()
    assert machine.shown()["status"]["state"] == "Sleeping"
    machine("flow", "run-now", "nightly", "--wait")
    eventually("its next tick is logged", lambda: "here we are" in machine("flow", "logs", "nightly"), 60, 0.5)


def _restarted(stack: Stack) -> bool:
    state = stack.state()
    controller = state.server("controller") if state else None
    return controller is not None and controller.restarts > 0 and controller.state == "ready"
