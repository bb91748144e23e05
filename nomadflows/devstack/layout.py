"""Where a stack keeps what: every path below its home, and files that only their owner may read."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Layout:
    home: Path

    @property
    def settings_file(self) -> Path:
        return self.home / "stack.toml"

    @property
    def plan_file(self) -> Path:
        return self.home / "plan.json"

    @property
    def state_file(self) -> Path:
        return self.home / "state.json"

    @property
    def ports_file(self) -> Path:
        return self.home / "ports.json"

    @property
    def supervisor_lock(self) -> Path:
        """Held (flock) by the supervisor as long as it lives."""
        return self.home / "supervisor.lock"

    @property
    def command_lock(self) -> Path:
        """Held by `up`, `down` and `reset`, so that two commands never work on one stack at once."""
        return self.home / "command.lock"

    def data(self, server: str) -> Path:
        return self.home / server

    def log(self, server: str) -> Path:
        return self.home / "log" / f"{server}.log"

    def create(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        self.home.chmod(0o700)
        (self.home / "log").mkdir(exist_ok=True)


def write_private(path: Path, text: str) -> None:
    """Replace a file in one step; nobody else may read it, not even for a moment."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)


def write_json(path: Path, value: Any) -> None:
    write_private(path, json.dumps(value, indent=2) + "\n")


def read_json(path: Path) -> Any | None:
    """None when the file does not exist; a file that is there but torn is the caller's error."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return None
