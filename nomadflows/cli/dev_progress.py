"""What `nomadflows dev` shows while it works: a spinner line on a terminal, one line per change elsewhere.

On stderr, so that `-o json` stays clean.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Self

from rich.console import Console

from nomadflows.devstack.state import StackState

_MARKS = {"ready": "[green]✓[/]", "starting": "…", "waiting": "·", "restarting": "[red]![/]", "unwell": "[red]![/]"}


class Progress:
    def __init__(self, titles: Mapping[str, str]) -> None:
        self._titles = titles
        self._console = Console(stderr=True, highlight=False)
        self._status = self._console.status("working", spinner="dots")
        self._said: dict[str, str] = {}

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal:
            self._status.stop()

    def report(self, text: str) -> None:
        if self._console.is_terminal:
            self._status.update(text)
        elif self._said.get("report") != (topic := text.partition(":")[0]):
            self._said["report"] = topic  # a download reports every megabyte; a log wants to hear of it once
            self._console.print(text, soft_wrap=True)

    def show(self, state: StackState) -> None:
        if self._console.is_terminal:
            self._status.update(
                "  ".join(f"{_MARKS.get(one.state, '·')} {self._title(one.name)}" for one in state.servers)
            )
            return
        for one in state.servers:
            if one.state in ("ready", "restarting") and self._said.get(one.name) != one.state:
                why = f": {one.why}" if one.why else ""
                self._console.print(f"{self._title(one.name)} {one.state}{why}", soft_wrap=True)
            self._said[one.name] = one.state

    def _title(self, name: str) -> str:
        return self._titles.get(name, name)
