"""How results are printed: aligned columns for people, JSON or YAML for programs."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import click

from nomadflows.model.states import parse_timestamp

_COLOURS = {
    "Running": "green", "Sleeping": "blue", "Stopped": "white", "Suspended": "red",
    "Starting": "yellow", "Stopping": "yellow", "Suspending": "yellow", "Shutting Down": "yellow",
}  # fmt: skip


def emit(output: str, data: Any, for_people: Callable[[], str]) -> None:
    """Print `data` for programs, or what `for_people` makes of it."""
    if output == "json":
        click.echo(json.dumps(data, indent=2, ensure_ascii=False))
    elif output == "yaml":
        import yaml

        click.echo(yaml.safe_dump(data, sort_keys=False, allow_unicode=True), nl=False)
    elif text := for_people():
        click.echo(text)


def table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, none: str = "") -> str:
    """Columns as wide as their widest cell; numbers to the right. `none` is said of no rows at all."""
    if not rows:
        return none
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max(len(row[i]) for row in [list(columns), *cells]) for i in range(len(columns))]
    right = [all(isinstance(row[i], int | float | None) for row in rows) for i in range(len(columns))]

    def line(texts: Sequence[str], *, head: bool) -> str:
        padded = [text.rjust(w) if r else text.ljust(w) for text, w, r in zip(texts, widths, right, strict=True)]
        return "  ".join(padded if head else [_coloured(text) for text in padded]).rstrip()

    return "\n".join([line(list(columns), head=True), *(line(row, head=False) for row in cells)])


def fields(pairs: Sequence[tuple[str, object]]) -> str:
    """`name  value` lines; pairs without a value are left out."""
    shown = [(name, _cell(value)) for name, value in pairs if value not in (None, "")]
    width = max((len(name) for name, _ in shown), default=0)
    return "\n".join(f"{name.ljust(width)}  {_coloured(text)}" for name, text in shown)


def ago(stamp: str | None, now: datetime | None = None) -> str:
    """A stored time as people say it: `5s`, `3m`, `2h`, `4d` ago; "" for none."""
    if not stamp:
        return ""
    return span(((now or datetime.now(UTC)) - parse_timestamp(stamp)).total_seconds())


def span(seconds: float | None) -> str:
    """A duration in its largest fitting unit."""
    if seconds is None:
        return ""
    whole = max(0, int(seconds))
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if whole >= 2 * size:
            return f"{whole // size}{unit}"
    return f"{whole}s"


def coloured_state(state: str) -> str:
    return click.style(state, fg=_COLOURS[state]) if state in _COLOURS else state


def _coloured(text: str) -> str:
    state = text.strip()
    return text.replace(state, coloured_state(state), 1) if state in _COLOURS else text


def _cell(value: object) -> str:
    return "" if value is None else f"{value:.2f}" if isinstance(value, float) else str(value)
