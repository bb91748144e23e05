"""One private local stack for all tests that need real servers: started at first use, taken down at the end.

Without servers to start, such tests are skipped on a laptop and fail where the variable CI is set.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from nomadflows.devstack.plan import Running
from nomadflows.devstack.ports import offset_of
from nomadflows.devstack.stack import Stack
from nomadflows.devstack.state import ServerView
from nomadflows.model.errors import Refused
from nomadflows.settings import Settings, cache, load_settings

# How long an example takes says more about the machine than about the code.
hypothesis_settings.register_profile("nomadflows", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("nomadflows")


@dataclass(frozen=True)
class Servers:
    """The stack's servers as processes, for tests that hurt them."""

    stack: Stack

    def view(self, name: str) -> ServerView:
        state = self.stack.state()
        assert state is not None, "the supervisor is gone"
        view = state.server(name)
        assert view is not None, f"no server {name} in this stack"
        return view

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        process = self.view(name).process
        assert process is not None, f"{name} has no process now"
        os.kill(process.pid, number)

    def wait_restarted(self, name: str, restarts: int, timeout: float = 60) -> ServerView:
        """Until the server has been started again more often than `restarts` times, and is ready."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            view = self.view(name)
            if view.restarts > restarts and view.state == "ready":
                return view
            time.sleep(0.05)
        raise AssertionError(f"not ready again after {timeout} s: {self.view(name)}")

    def restart(self, name: str, number: signal.Signals = signal.SIGKILL) -> ServerView:
        before = self.view(name).restarts
        self.kill(name, number)
        return self.wait_restarted(name, before)


def bring_up(home: Path, report: pytest.TerminalReporter | None = None) -> Stack:
    """A stack without a controller in `home`: tests start controllers themselves, and kill them."""
    stack = Stack(home, cache(), port_offset=offset_of(home))

    def say(text: str) -> None:
        if report is not None and "MB" not in text:
            report.write_line(f"local stack: {text}")

    try:
        stack.up(Running(), controller=False, report=say, on_state=lambda _: None)
    except Refused as error:
        if os.environ.get("CI"):
            pytest.fail(f"no servers to test with: {error}")
        pytest.skip(f"no servers to test with: {error}")
    return stack


@pytest.fixture(scope="session")
def local_stack(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Stack]:
    home = tmp_path_factory.mktemp("stack")
    with pytest.MonkeyPatch.context() as patch:
        # Commands that a test starts find the stack the way a user's do.
        patch.setenv("NOMADFLOWS_HOME", str(home))
        for variable in ("NOMADFLOWS_CONFIG", "NOMAD_ADDR", "CONSUL_HTTP_ADDR", "VAULT_ADDR", "VAULT_TOKEN"):
            patch.delenv(variable, raising=False)
        patch.setenv("NOMADFLOWS_CONFIG", str(home / "stack.toml"))
        try:
            stack = bring_up(home, request.config.pluginmanager.get_plugin("terminalreporter"))
            yield stack
        finally:
            if os.environ.get("NOMADFLOWS_KEEP_LOGS"):
                shutil.copytree(home / "log", os.environ["NOMADFLOWS_KEEP_LOGS"], dirs_exist_ok=True)
            Stack(home, cache()).reset(lambda _: None)


@pytest.fixture(scope="session")
def stack(local_stack: Stack) -> Settings:
    """The settings of the running stack."""
    return load_settings()


@pytest.fixture
def servers(local_stack: Stack) -> Servers:
    return Servers(local_stack)
