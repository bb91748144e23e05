"""The one process that owns a stack: starts its servers, restarts what ends, stops all of them at SIGTERM.

`up` starts it and keeps one end of a pipe. Until `up` has said that it saw everything ready, the end of the
pipe means that `up` is gone: then all is stopped again, so that nothing is ever left half started.
"""

from __future__ import annotations

import argparse
import os
import select
import shutil
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Final

from nomadflows.devstack import assemble
from nomadflows.devstack.layout import Layout, write_private
from nomadflows.devstack.plan import OURS, StackPlan, load_plan
from nomadflows.devstack.processes import identify
from nomadflows.devstack.server import Server
from nomadflows.devstack.shutdown import stop_servers
from nomadflows.devstack.state import Phase, StackState, load_state, try_lock
from nomadflows.devstack.watch import Watched

_LOG_LIMIT: Final = 20 << 20
_ROTATE_EVERY: Final = 60.0
_TRIES_BEFORE_FIRST_READY: Final = 3
_BUSY_PAUSE: Final = 0.05
_CALM_PAUSE: Final = 0.2


class Supervisor:
    """`handshake`: the file descriptor at whose other end `up` waits."""

    def __init__(self, plan: StackPlan, handshake: int) -> None:
        self._plan = plan
        self._layout = Layout(plan.home)
        self._handshake: int | None = handshake
        self._watched = [self._watch(server) for server in assemble.servers(plan)]
        self._phase: Phase = "starting"
        self._why = ""
        self._saved: StackState | None = None
        self._stop = False
        self._rotate_at = 0.0
        me = identify(os.getpid())
        if me is None:
            raise RuntimeError("this process does not find itself in the process table")
        self._me = me

    def _watch(self, server: Server) -> Watched:
        watched = Watched(server, self._layout.log(server.name))
        if server.name in OURS:
            watched.before_start = self._write_settings
        return watched

    def run(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._asked_to_stop)
        self._stop_leftovers()
        try:
            while not self._stop:
                self._turn()
                self._pause()
        finally:
            self._shut_down()

    def _turn(self) -> None:
        now = time.monotonic()
        ready = {one.name for one in self._watched if one.state == "ready"}
        for one in self._watched:
            one.tick(now, ready)
            self._save()  # at once: a pid that only this process knows could not be found again
        self._decide_phase()
        self._save()
        if now >= self._rotate_at:
            self._rotate_logs()
            self._rotate_at = now + _ROTATE_EVERY

    def _decide_phase(self) -> None:
        if self._phase != "starting":
            return
        servers = [one for one in self._watched if one.name not in OURS]
        for one in servers:
            if one.failures >= _TRIES_BEFORE_FIRST_READY and not one.ever_ready:
                self._phase, self._why = "failed", f"{one.name} does not start: {one.why}"
                return
        if all(one.state == "ready" for one in servers):
            self._write_settings()
            self._phase = "ready"

    def _write_settings(self) -> None:
        write_private(self._layout.settings_file, assemble.as_toml(assemble.settings(self._plan)))

    def _pause(self) -> None:
        calm = self._phase == "ready" and all(one.state == "ready" for one in self._watched)
        pause = _CALM_PAUSE if calm else _BUSY_PAUSE
        if self._handshake is None:
            time.sleep(pause)
            return
        if select.select([self._handshake], [], [], pause)[0]:
            said = os.read(self._handshake, 1)
            os.close(self._handshake)
            self._handshake = None
            self._stop = not said

    def _save(self) -> None:
        state = StackState(self._me, self._phase, self._why, tuple(one.view() for one in self._watched))
        if state != self._saved:
            _tell(self._saved, state)
            state.save(self._layout)
            self._saved = state

    def _stop_leftovers(self) -> None:
        """A supervisor that was killed could not stop its servers; they would hold ports and data."""
        left = load_state(self._layout)
        if left is not None:
            views = [one for one in left.servers if one.process]
            stop_servers(views, self._layout, nomad_program="")  # steps stay: the new Nomad takes them over

    def _shut_down(self) -> None:
        self._phase = "stopping"
        self._save()
        program = self._plan.programs.get("nomad", "")
        stop_servers([one.view() for one in self._watched], self._layout, program)
        for one in self._watched:
            if one.process is not None:
                one.process.wait()
        _tell(None, StackState(self._me, "stopping", "all servers have ended"))
        self._layout.settings_file.unlink(missing_ok=True)
        self._layout.state_file.unlink(missing_ok=True)

    def _rotate_logs(self) -> None:
        """Servers append to their log, so it can be copied and emptied under them."""
        for log in (self._layout.home / "log").glob("*.log"):
            if log.stat().st_size > _LOG_LIMIT:
                shutil.copyfile(log, log.with_name(f"{log.name}.1"))
                os.truncate(log, 0)

    def _asked_to_stop(self, _number: int, _frame: object) -> None:
        self._stop = True


def _tell(before: StackState | None, now: StackState) -> None:
    """One line in the supervisor's log for each server that changed its state."""
    stamp = datetime.now(UTC).isoformat(timespec="milliseconds")
    for one in now.servers:
        old = before.server(one.name) if before else None
        if old is None or (old.state, old.process) != (one.state, one.process):
            pid = f" (pid {one.process.pid})" if one.process else ""
            print(f"{stamp} {one.name} {one.state}{pid}{': ' if one.why else ''}{one.why}", flush=True)
    if before is None or before.phase != now.phase:
        print(f"{stamp} stack {now.phase}{': ' if now.why else ''}{now.why}", flush=True)


def _lock(layout: Layout) -> IO[str] | None:
    """Somebody who only asks whether we live may hold it for a moment."""
    deadline = time.monotonic() + 2
    while (lock := try_lock(layout.supervisor_lock)) is None and time.monotonic() < deadline:
        time.sleep(0.01)
    return lock


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--handshake", type=int, required=True, help="descriptor of the pipe to `up`")
    options = parser.parse_args()
    layout = Layout(options.home)
    lock = _lock(layout)
    if lock is None:
        print("another supervisor has this stack")
        return 1
    plan = load_plan(layout)
    if plan is None:
        print(f"no plan in {layout.plan_file}")
        return 1
    with lock:
        Supervisor(plan, options.handshake).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
