"""The commands on a stack: bring it up, take it down, say how it is, delete it, get its servers' programs."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from nomadflows.devstack import assemble, binaries, processes, rabbitmq_package
from nomadflows.devstack.layout import Layout
from nomadflows.devstack.plan import OURS, Running, StackPlan, load_plan
from nomadflows.devstack.ports import remembered_or_chosen
from nomadflows.devstack.release import Report
from nomadflows.devstack.shutdown import stop_servers
from nomadflows.devstack.state import ServerView, StackState, held, load_state, supervised
from nomadflows.model.errors import NomadflowsError, Refused

OnState = Callable[[StackState], None]
Outcome = Literal["started", "was up"]

_START_DEADLINE: Final = 120.0
_CONTROLLER_DEADLINE: Final = 10.0
_STOP_DEADLINE: Final = 120.0


@dataclass(frozen=True, slots=True)
class Stack:
    """A user's servers in `home`, their programs in `cache`. NomadflowsError says what is in the way."""

    home: Path
    cache: Path
    port_offset: int = 0

    @property
    def layout(self) -> Layout:
        return Layout(self.home)

    def up(self, running: Running, *, controller: bool, report: Report, on_state: OnState) -> Outcome:
        """Everything ready when it returns; nothing left running when it raises or is killed."""
        self.layout.create()
        with self._alone():
            if supervised(self.layout):
                self._must_be_the_same(running, controller=controller)
                return "was up"
            plan = StackPlan(
                home=self.home,
                ports=remembered_or_chosen(self.layout, self.port_offset),
                running=running,
                programs=self._programs(running, report),
                controller=controller,
            )
            plan.save(self.layout)
            report("starting")
            self._start(on_state, controller=controller)
        return "started"

    def fetch(self, report: Report) -> Mapping[str, str]:
        """The program of each server, got hold of if need be."""
        return self._programs(Running(), report)

    def down(self, report: Report) -> bool:
        """False when there was nothing to stop."""
        if not self.home.is_dir():
            return False
        with self._alone():
            state = load_state(self.layout)
            if supervised(self.layout) and state is not None:
                report("stopping: controller, steps, servers")
                processes.send(state.supervisor, signal.SIGTERM)
                if processes.wait_gone([state.supervisor], time.monotonic() + _STOP_DEADLINE):
                    raise NomadflowsError(
                        f"the supervisor (pid {state.supervisor.pid}) does not end",
                        hint=f"its log: {self.layout.log('supervisor')}",
                    )
                return True
            return self._stop_orphans(state)

    def reset(self, report: Report) -> None:
        """Down, and all data of the stack deleted."""
        self.down(report)
        if self.home.is_dir():
            with self._alone():
                _unmount_below(self.home)
                for entry in self.home.iterdir():
                    if entry.is_dir() and not entry.is_symlink():
                        shutil.rmtree(entry)
                    elif entry != self.layout.command_lock:
                        entry.unlink()
            shutil.rmtree(self.home)

    def state(self) -> StackState | None:
        """None when no supervisor runs."""
        return load_state(self.layout) if supervised(self.layout) else None

    def orphans(self) -> list[ServerView]:
        """Servers that still run although their supervisor is gone."""
        state = load_state(self.layout)
        if state is None or supervised(self.layout):
            return []
        return [one for one in state.servers if one.process and processes.is_alive(one.process)]

    def addresses(self) -> assemble.Addresses | None:
        plan = load_plan(self.layout)
        return assemble.addresses(plan) if plan else None

    def _programs(self, running: Running, report: Report) -> Mapping[str, str]:
        source = binaries.Source(self.cache)
        finders: dict[str, Callable[[], Path]] = {
            "rabbitmq": lambda: rabbitmq_package.find_rabbitmq(report),
            "consul": lambda: binaries.find(binaries.CONSUL, source, report),
            "vault": lambda: binaries.find_vault(source, report),
            "nomad": lambda: binaries.find(binaries.NOMAD, source, report),
        }
        return {name: str(find()) for name, find in finders.items() if not running.address(name)}

    def _must_be_the_same(self, running: Running, *, controller: bool) -> None:
        """Asked for nothing in particular, an `up` is content with the stack as it is."""
        plan = load_plan(self.layout)
        plain = running == Running() and controller
        if not plain and plan is not None and (plan.running, plan.controller) != (running, controller):
            raise Refused("the stack is up, with other options", hint="`nomadflows dev down` first; data is kept")

    def _start(self, on_state: OnState, *, controller: bool) -> None:
        read_end, write_end = os.pipe()
        with self.layout.log("supervisor").open("ab") as log:
            supervisor = subprocess.Popen(  # noqa: S603 - our own module
                [
                    sys.executable,
                    "-m",
                    "nomadflows.devstack.supervisor",
                    f"--home={self.home}",
                    f"--handshake={read_end}",
                ],
                cwd=self.home,
                pass_fds=(read_end,),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        os.close(read_end)
        try:
            self._await_ready(supervisor, on_state)
            if controller:
                self._await_controller(supervisor, on_state)
            os.write(write_end, b"1")
        except BaseException:
            os.close(write_end)  # the supervisor takes everything down again
            supervisor.wait(timeout=_STOP_DEADLINE)
            raise
        os.close(write_end)
        supervisor.returncode = 0  # it lives on without us; nobody waits for it

    def _await_ready(self, supervisor: subprocess.Popen[bytes], on_state: OnState) -> None:
        deadline = time.monotonic() + _START_DEADLINE
        while True:
            state = self._state_of(supervisor)
            if state is not None:
                on_state(state)
                if state.phase == "ready":
                    return
                if state.phase == "failed":
                    raise NomadflowsError(state.why, hint=self._last_words(state))
            if time.monotonic() > deadline:
                waiting = [f"{one.name}: {one.why or one.state}" for one in state.servers] if state else ["supervisor"]
                raise NomadflowsError(f"not ready after {_START_DEADLINE:.0f} s: {'; '.join(waiting)}")
            time.sleep(0.05)

    def _await_controller(self, supervisor: subprocess.Popen[bytes], on_state: OnState) -> None:
        """The servers are of use without it, so a controller that does not come up is shown, not fatal."""
        deadline = time.monotonic() + _CONTROLLER_DEADLINE
        while time.monotonic() < deadline:
            state = self._state_of(supervisor)
            if state is not None:
                on_state(state)
                ours = [state.server(name) for name in OURS]
                if all(one is None or one.state == "ready" for one in ours):
                    return
            time.sleep(0.05)

    def _state_of(self, supervisor: subprocess.Popen[bytes]) -> StackState | None:
        if supervisor.poll() is not None:
            log = self.layout.log("supervisor")
            raise NomadflowsError(f"the supervisor ended with code {supervisor.returncode}", hint=f"its log: {log}")
        state = load_state(self.layout)
        return state if state is not None and state.supervisor.pid == supervisor.pid else None

    def _last_words(self, state: StackState) -> str:
        failed = [one for one in state.servers if one.state == "restarting"]
        lines = []
        for one in failed:
            with contextlib.suppress(FileNotFoundError):
                tail = Path(one.log).read_text(errors="replace").splitlines()[-5:]
                lines += [f"{one.log}:", *(f"  {line}" for line in tail)]
        return "\n  ".join(lines)

    def _stop_orphans(self, state: StackState | None) -> bool:
        """The supervisor was killed: its servers are known by the pids it wrote down."""
        plan = load_plan(self.layout)
        left = self.orphans()
        if state is None or plan is None:
            return False
        stop_servers(left, self.layout, plan.programs.get("nomad", ""))
        self.layout.state_file.unlink(missing_ok=True)
        self.layout.settings_file.unlink(missing_ok=True)
        return bool(left)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with held(self.layout.command_lock) as mine:
            if not mine:
                raise Refused("another `nomadflows dev` command is at work on this stack")
            yield


def _unmount_below(home: Path) -> None:
    """Nomad, as root, keeps secrets in small memory file systems; they must go before their folders can."""
    if sys.platform != "linux":
        return
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for mount in sorted((one for one in mounts if one.startswith(f"{home}/")), reverse=True):
        subprocess.run(["umount", "-l", mount], check=False, capture_output=True)  # noqa: S603, S607
