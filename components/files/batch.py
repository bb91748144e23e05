"""Records → message bodies: types, nested columns, groups."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

Json = dict[str, Any]

_NUMBER: Final = re.compile(r"-?(?:0|[1-9]\d{0,14})(?:\.\d{1,15})?")  # what a double holds without a change


class Layout(NamedTuple):
    """How records become bodies."""

    format: str
    group_by: str
    lines: tuple[str, ...]
    typed: bool

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Layout:
        """ValueError names the field that makes no sense."""
        kind = config.get("format") or "csv"
        if kind not in {"csv", "jsonl"}:
            raise ValueError(f"format is csv or jsonl, not {kind!r}")
        lines = config.get("lines") or ()
        if isinstance(lines, str):
            lines = [name.strip() for name in lines.split(",") if name.strip()]
        group_by = str(config.get("group_by") or "")
        if lines and not group_by:
            raise ValueError("lines needs group_by: which rows belong together")
        return cls(kind, group_by, tuple(lines), config.get("types") != "text" and kind == "csv")


def messages(rows: list[Json], layout: Layout) -> list[Json]:
    """Bodies, in the order in which their first rows stand."""
    if not layout.group_by:
        return [_body(row, layout) for row in rows]
    groups: dict[Any, list[Json]] = {}
    for row in rows:
        if layout.group_by not in row:
            raise ValueError(f"group_by: there is no column {layout.group_by!r}; there are: {', '.join(row)}")
        groups.setdefault(str(row[layout.group_by]), []).append(row)
    return [_grouped(group, layout) for group in groups.values()]


def _grouped(rows: list[Json], layout: Layout) -> Json:
    """The first row, and of every row the columns that make a line; without `lines` a line is the whole row."""
    first = {name: value for name, value in rows[0].items() if name not in layout.lines}
    columns = layout.lines or tuple(rows[0])
    if not layout.lines:
        first = {layout.group_by: rows[0][layout.group_by]}
    body = _body(first, layout)
    body["lines"] = [_body({name: row[name] for name in columns if name in row}, layout) for row in rows]
    return body


def _body(row: Json, layout: Layout) -> Json:
    """A column `customer.name` becomes {"customer": {"name": …}}, unless `customer` is a column itself."""
    body: Json = {}
    for name, value in row.items():
        typed = _typed(value) if layout.typed else value
        *path, last = name.split(".") if layout.format == "csv" else (name,)
        target = body
        for part in path:
            below = target.setdefault(part, {})
            if not isinstance(below, dict):
                target, last = body, name
                break
            target = below
        target[last] = typed
    return body


def _typed(text: str) -> Any:
    if not text:
        return None
    if not _NUMBER.fullmatch(text):
        return text
    return float(text) if "." in text else int(text)
