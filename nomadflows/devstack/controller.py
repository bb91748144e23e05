"""The controller as one more program of the stack: `nomadflows controller run`, told where this stack is."""

from __future__ import annotations

import socket
import sys
from dataclasses import dataclass
from pathlib import Path

from nomadflows.devstack.server import READY, Command, Health


@dataclass(frozen=True, slots=True)
class Controller:
    home: Path
    settings_file: Path
    component_api_port: int
    needs: tuple[str, ...]
    name: str = "controller"

    def command(self) -> Command | None:
        env = {"NOMADFLOWS_HOME": str(self.home), "NOMADFLOWS_CONFIG": str(self.settings_file)}
        return Command((sys.executable, "-m", "nomadflows", "controller", "run"), cwd=self.home, env=env)

    def check(self) -> Health:
        try:
            with socket.create_connection(("127.0.0.1", self.component_api_port), timeout=1):
                return READY
        except OSError as error:
            return Health(ready=False, why=f"component API: {error.strerror or error}")
