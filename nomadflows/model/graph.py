"""The steps a version really runs: the visible ones and, on edges with a mapping, mappers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class RunStep:
    """One process group: what to run, with what, fed by whom."""

    id: str
    kind: str  # trigger | action | mapper | router
    use: str  # component, without version
    pinned: str  # component version the definition names; "" = latest at flow start
    function: str
    config: dict[str, Any] = field(default_factory=dict)
    credential: str | None = None
    after: tuple[str, ...] = ()  # steps whose output it gets; () for the trigger
    replicas: int = 1
    prefetch: int = 1
    memory: int = 256  # MiB
    cpu: int = 100  # MHz
    passthrough: bool = True
    visible: bool = True
    error_handler: bool = False  # gets every error record of the flow instead of the output of `after`
