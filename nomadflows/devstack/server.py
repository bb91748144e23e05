"""What the supervisor needs to know of a server; one module per server fills it in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Command:
    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Health:
    """`why` says what is missing while `ready` is false."""

    ready: bool
    why: str = ""


READY = Health(ready=True)


class Server(Protocol):
    """A server of the stack: ours to start, or running already (`command` gives None)."""

    @property
    def name(self) -> str: ...

    @property
    def needs(self) -> tuple[str, ...]:
        """Servers that must be ready before this one starts."""

    def command(self) -> Command | None:
        """Write the configuration and say how to start; called before each start."""

    def check(self) -> Health:
        """Ask the server. May finish its set-up (unseal, enable a mount) when that is what is missing."""
