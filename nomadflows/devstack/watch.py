"""One server under supervision: start it when what it needs is ready, check it, start it again when it ends.

::

    waiting ──needs ready──▶ starting ──check──▶ ready ◀──check──▶ unwell
       ▲                         │                 │                 │
       └──── back-off over ── restarting ◀──── process ended ────────┘
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from nomadflows.devstack import processes
from nomadflows.devstack.processes import Identity
from nomadflows.devstack.server import Server
from nomadflows.devstack.state import ServerState, ServerView

_FIRST_BACKOFF: Final = 0.25
_LAST_BACKOFF: Final = 15.0
_FORGIVEN_AFTER: Final = 60.0  # seconds ready: the next end counts as the first
_CHECK_STARTING: Final = 0.1
_CHECK_READY: Final = 3.0


@dataclass(slots=True)
class Watched:
    """One server and its process, started and restarted as `tick` is called."""

    server: Server
    log: Path
    before_start: Callable[[], None] = lambda: None
    state: ServerState = "waiting"
    why: str = ""
    process: subprocess.Popen[bytes] | None = None
    identity: Identity | None = None
    restarts: int = 0
    failures: int = 0  # ends in a row
    ever_ready: bool = False
    _ready_since: float = field(default=0.0)
    _start_at: float = field(default=0.0)
    _check_at: float = field(default=0.0)

    @property
    def name(self) -> str:
        return self.server.name

    def view(self) -> ServerView:
        return ServerView(self.name, self.state, self.why, self.identity, self.restarts, str(self.log))

    def tick(self, now: float, ready: Collection[str]) -> None:
        if self.process is not None and (code := self.process.poll()) is not None:
            self._ended(code, now)
        missing = [name for name in self.server.needs if name not in ready]
        if self.process is None:
            if missing and not self.ever_ready:
                self.state, self.why = "waiting", f"for {', '.join(missing)}"
                return
            if now < self._start_at:
                return
            self._start()
        if now >= self._check_at:
            self._check(now)

    def _start(self) -> None:
        command = self.server.command()
        if command is None:
            self.state = "starting" if self.state == "waiting" else self.state
            return
        self.before_start()
        env = processes.clean_environment(command.env)
        self.process = processes.start(command.argv, env=env, cwd=command.cwd, log=self.log)
        self.identity = processes.identify(self.process.pid)
        self.state, self.why, self._check_at = "starting", "", 0.0

    def _check(self, now: float) -> None:
        health = self.server.check()
        self.why = health.why
        if health.ready:
            self._ready_since = self._ready_since if self.state == "ready" else now
            self.state, self.ever_ready = "ready", True
            if now - self._ready_since > _FORGIVEN_AFTER:
                self.failures = 0
        elif self.state in ("ready", "unwell"):
            self.state = "unwell"
        else:
            self.state = "starting"
        self._check_at = now + (_CHECK_READY if health.ready else _CHECK_STARTING)

    def _ended(self, code: int, now: float) -> None:
        self.process = self.identity = None
        self.restarts += 1
        wait = min(_FIRST_BACKOFF * 2**self.failures, _LAST_BACKOFF)
        self.failures += 1
        self._start_at = now + wait
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        self.state, self.why = "restarting", f"ended with {how}; starts again in {wait:g} s"
