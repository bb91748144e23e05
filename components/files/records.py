"""Bytes of a CSV or JSON-lines file → whole records, and where the last whole one ends."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from batch import Layout, Row

Json = dict[str, Any]

BATCH_BYTES: Final = 4 * 1024 * 1024  # so much of a file is held at once
csv.field_size_limit(16 * 1024 * 1024)


class Position(NamedTuple):
    """A place between two lines."""

    offset: int = 0
    line: int = 0  # so many lines before it


class Ripeness(NamedTuple):
    """What the time since the last change of a file says about its end."""

    complete: bool  # its last group has all its rows
    settled: bool  # its last line is a line, though it has no line end


class Batch(NamedTuple):
    """Whole records, from a position to `end`; and what is wrong with those that are left out."""

    rows: list[Row]
    end: Position
    problems: list[str]


class _Record(NamedTuple):
    """One record or what is wrong with it (neither: an empty line), and where it ends."""

    line: int
    end: Position
    torn: bool  # the file ends within it
    values: Json | None = None
    problem: str = ""


class _Lines:
    """Lines of a file as text; `end` is the position after the last one."""

    def __init__(self, file: Any, begin: Position, encoding: str) -> None:
        self._file = file
        self._encoding = encoding
        self.end = begin
        self.torn = False  # the last line has no line end
        self.over = False  # somebody asked for more than there is

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._next()
        text = line.decode(self._encoding)
        return text.removeprefix("\ufeff") if self.end.line == 1 else text

    def only_first(self, begin: Position) -> None:
        """Go on after the one line that follows `begin`, wherever a stray quote has led to."""
        self.end, self.over = begin, False
        self._next()

    def _next(self) -> bytes:
        self._file.seek(self.end.offset)
        line: bytes = self._file.readline()
        if not line:
            self.over = True
            raise StopIteration
        self.end = Position(self.end.offset + len(line), self.end.line + 1)
        self.torn = not line.endswith(b"\n")
        return line


def read_batch(file: Any, begin: Position, layout: Layout, *, until: int | None, ripe: Ripeness) -> Batch:
    """The records that follow; a group whose rows stand together is never cut in two. `until` repeats a batch whose
    end is known. Until the file is ripe, a last line without its end stays for later, and so does the last group."""
    first, problem = _skip_continuation(file, begin)
    seen: list[_Record] = [problem] if problem else []
    end, cut = first, not ripe.complete and until is None
    group: object = None
    for record in (_read_csv if layout.format == "csv" else _read_json)(file, first, layout):
        if until is not None and record.end.offset > until:
            break
        if record.torn and not ripe.settled and until is None:
            cut = True  # somebody is in the middle of a line
            break
        if record.values is not None:
            its_group = record.values.get(layout.group_by)
            full = until is None and end.offset - begin.offset >= BATCH_BYTES
            if full and not (layout.group_by and its_group == group):
                cut = False
                break
            group = its_group
        seen.append(record)
        end = record.end
    if layout.group_by and cut:
        seen, end = _without_last_group(seen, layout.group_by, begin)
    rows = [Row(record.line, record.values) for record in seen if record.values is not None]
    return Batch(rows, end, [record.problem for record in seen if record.problem])


def _without_last_group(seen: list[_Record], group_by: str, begin: Position) -> tuple[list[_Record], Position]:
    """Up to the last row of another group."""
    groups = [record.values[group_by] if record.values is not None else None for record in seen]
    last = next((group for group in reversed(groups) if group is not None), None)
    keep = len(seen)
    while keep and groups[keep - 1] in (None, last):
        keep -= 1
    return seen[:keep], seen[keep - 1].end if keep else begin


def _skip_continuation(file: Any, begin: Position) -> tuple[Position, _Record | None]:
    """A last line without its end was taken as whole after a while. If it went on, its rest is no record."""
    if not begin.offset:
        return begin, None
    file.seek(begin.offset - 1)
    if file.read(1) == b"\n":
        return begin, None
    rest = file.readline()
    end = Position(begin.offset + len(rest), begin.line)
    if not rest.strip():
        return end, None
    problem = f"line {begin.line} went on after it was read; its rest is left out"
    return end, _Record(begin.line, end, torn=False, problem=problem)


def _read_csv(file: Any, begin: Position, layout: Layout) -> Iterator[_Record]:
    heading = _Lines(file, Position(), layout.encoding)
    header = next(_cells(heading, layout), [])
    if heading.torn or heading.over:
        return  # not even the header is whole
    layout.check_header(header)
    lines = _Lines(file, max(begin, heading.end), layout.encoding)
    rows = _cells(lines, layout)
    while True:
        start = lines.end
        try:
            cells = next(rows)
        except StopIteration:
            return
        except (csv.Error, UnicodeDecodeError) as error:
            torn = lines.over or lines.torn  # over: the file ends inside a quoted cell
            lines.only_first(start)  # one stray quote spoils one row, not all that follow
            rows = _cells(lines, layout)
            yield _Record(start.line + 1, lines.end, torn, problem=_unreadable(start, error, layout))
            continue
        if not cells:
            yield _Record(start.line + 1, lines.end, lines.torn)
        elif len(cells) == len(header):
            yield _Record(start.line + 1, lines.end, lines.torn, dict(zip(header, cells, strict=True)))
        else:
            problem = f"line {start.line + 1} has {len(cells)} cells, the header {len(header)}"
            yield _Record(start.line + 1, lines.end, lines.torn, problem=problem)


def _cells(lines: _Lines, layout: Layout) -> Iterator[list[str]]:
    return csv.reader(lines, delimiter=layout.delimiter, strict=True)


def _unreadable(start: Position, error: Exception, layout: Layout) -> str:
    if isinstance(error, UnicodeDecodeError):  # its own text quotes the bytes
        return f"line {start.line + 1} is not {layout.encoding}"
    return f"the row that begins in line {start.line + 1} is not CSV: {error}"


def _read_json(file: Any, begin: Position, layout: Layout) -> Iterator[_Record]:
    lines = _Lines(file, begin, layout.encoding)
    while True:
        try:
            value, problem = _object(lines.__next__, layout)
        except StopIteration:
            return
        yield _Record(lines.end.line, lines.end, lines.torn, value, problem and f"line {lines.end.line} {problem}")


def _object(next_line: Callable[[], str], layout: Layout) -> tuple[Json | None, str]:
    """What a line holds, or what is wrong with it; neither for an empty one."""
    try:
        line = next_line()
        if not line.strip():
            return None, ""
        value = json.loads(line)
    except UnicodeDecodeError:
        return None, f"is not {layout.encoding}"
    except ValueError as error:
        return None, f"is not JSON: {error}"
    if not isinstance(value, dict):
        return None, "is no JSON object"
    if layout.group_by and value.get(layout.group_by) is None:
        return None, f"has no {layout.group_by!r} to group by"
    return value, ""
