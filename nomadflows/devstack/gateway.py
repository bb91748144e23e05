"""The gateway as one more program of the stack: `nomadflows gateway run`, told where this stack is."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from nomadflows.devstack.probe import ask
from nomadflows.devstack.server import READY, Command, Health


@dataclass(frozen=True, slots=True)
class Gateway:
    home: Path
    settings_file: Path
    port: int
    needs: tuple[str, ...]
    name: str = "gateway"

    def command(self) -> Command | None:
        env = {"NOMADFLOWS_HOME": str(self.home), "NOMADFLOWS_CONFIG": str(self.settings_file)}
        return Command((sys.executable, "-m", "nomadflows", "gateway", "run"), cwd=self.home, env=env)

    def check(self) -> Health:
        answer = ask("GET", f"http://127.0.0.1:{self.port}/healthz", timeout=1)
        return READY if answer.ok else Health(ready=False, why=answer.text or f"HTTP {answer.status}")
