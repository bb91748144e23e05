"""Records → message bodies: types, nested columns, groups."""

from __future__ import annotations

import codecs
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

Json = dict[str, Any]

_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")
_DIGITS: Final = 15  # a double holds so many without a change


class Row(NamedTuple):
    """A record, and the number of the line in which it begins."""

    line: int
    values: Json


class Layout(NamedTuple):
    """How records become bodies."""

    format: str
    group_by: str
    lines: tuple[str, ...]
    typed: bool
    delimiter: str
    encoding: str

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
        typed = config.get("types") != "text" and kind == "csv"
        delimiter, encoding = _delimiter(config.get("delimiter")), _encoding(config.get("encoding"))
        return cls(kind, group_by, tuple(lines), typed, delimiter, encoding)

    def check_header(self, columns: Sequence[str]) -> None:
        """ValueError if the columns of a CSV file cannot become what is wanted."""
        if "" in columns:
            raise ValueError(f"column {columns.index('') + 1} has no name in the header")
        twice = [name for name, count in Counter(columns).items() if count > 1]
        if twice:
            raise ValueError(f"the header names column {twice[0]!r} twice")
        for setting, names in (("group_by", [self.group_by] if self.group_by else []), ("lines", self.lines)):
            for name in names:
                if name not in columns:
                    raise ValueError(f"{setting}: there is no column {name!r}; there are: {', '.join(columns)}")


def _delimiter(given: Any) -> str:
    delimiter = str(given or ",").replace("\\t", "\t")
    if len(delimiter) != 1 or delimiter in '"\r\n':
        raise ValueError(f"delimiter is one character, not {delimiter!r}")
    return delimiter


def _encoding(given: Any) -> str:
    try:
        name = codecs.lookup(str(given or "utf-8")).name.removesuffix("-sig")  # a byte order mark is skipped anyway
        by_lines = "\n".encode(name) == b"\n"
    except LookupError:
        raise ValueError(f"encoding: there is none called {given!r}") from None
    if not by_lines:
        raise ValueError(f"encoding: {name} is not read; save the file as UTF-8")
    return name


def messages(rows: list[Row], layout: Layout) -> list[Row]:
    """Bodies, in the order in which their first rows stand."""
    if not layout.group_by:
        return [Row(row.line, _body(row.values, layout)) for row in rows]
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(str(row.values[layout.group_by]), []).append(row)
    return [Row(group[0].line, _grouped([row.values for row in group], layout)) for group in groups.values()]


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
    if not _NUMBER.fullmatch(text) or sum(map(str.isdigit, text)) > _DIGITS or text == "-0":
        return text
    return float(text) if "." in text else int(text)
