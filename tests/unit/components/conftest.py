"""Built-in components as their step process loads them: the folder on the path, the module by the descriptor."""

from __future__ import annotations

import logging
import resource
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nomadflows.runtime.api import Message, Snapshot, SnapshotUpdate
from nomadflows.runtime.component import Component, load

ROOT = Path(__file__).parents[3] / "components"


class Run:
    """Calls `process` and sorts what comes out, keeping the snapshot as the runtime would."""

    def __init__(self, component: Component, config: dict[str, Any]) -> None:
        self.component = component
        self.config = config
        self.snapshot: dict[str, Any] = {}
        self.errors: list[str] = []
        self.snapshots = 0
        self.context = SimpleNamespace(
            logger=logging.getLogger("component"), variables={}, previous_step="", redelivered=False, emit=self._emit,
            flow="f", step="s", message_id="m", thread_id="t",
        )  # fmt: skip
        component.run_hook("init", config)

    def _emit(self, event: str, value: Any) -> None:
        assert event == "error"
        self.errors.append(str(value))

    def items(self, body: Any = None, **more: Any) -> Iterator[Any]:
        """One by one, so that a test can stop in the middle; each snapshot counts once it was asked past."""
        arguments = [Message(body, **more), self.config, self.snapshot]
        result = self.component.process(*arguments, *([self.context] if self.component.takes_context else []))
        for item in [result] if result is None or isinstance(result, (Message, dict)) else result:
            if isinstance(item, Snapshot):
                self.snapshot = item.state
                self.snapshots += 1
            elif isinstance(item, SnapshotUpdate):
                self.snapshot |= item.changes
            elif item is not None:
                yield item if isinstance(item, Message) else Message(item)

    def __call__(self, body: Any = None, **more: Any) -> list[Any]:
        return [message.body for message in self.items(body, **more)]


@pytest.fixture
def run() -> Iterator[Callable[..., Run]]:
    """`run("files", "watch", path=…)`: modules of another component must not answer for this one's."""
    before = set(sys.modules)
    path = list(sys.path)
    data = resource.getrlimit(resource.RLIMIT_DATA)

    def start(name: str, function: str, **config: Any) -> Run:
        return Run(load(str(ROOT / name), function), config)

    yield start
    resource.setrlimit(resource.RLIMIT_DATA, data)  # an `init` may limit its process
    sys.path[:] = path
    for name in set(sys.modules) - before:
        if str(ROOT) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]
