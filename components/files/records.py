"""Bytes of a CSV or JSON-lines file → whole records, and where the last whole one ends."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from batch import Layout

Json = dict[str, Any]

BATCH_BYTES: Final = 1024 * 1024  # so much of a file is held at once
csv.field_size_limit(16 * 1024 * 1024)


class Batch(NamedTuple):
    """Whole records, from an offset to `end`; and what is wrong with those that are left out."""

    rows: list[Json]
    end: int
    problems: list[str]


class _Record(NamedTuple):
    """One record or what is wrong with it (neither: an empty line), and where it ends."""

    end: int
    torn: bool  # the file ends within it
    row: Json | None = None
    problem: str = ""


class _Lines:
    """Lines of a file as text; `end` is the offset after the last one."""

    def __init__(self, file: Any, offset: int) -> None:
        self._file = file
        self.end = offset
        self.torn = False  # the last line has no line end
        self.over = False  # somebody asked for more than there is

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        self._file.seek(self.end)
        line: bytes = self._file.readline()
        if not line:
            self.over = True
            raise StopIteration
        text = line.decode("utf-8-sig" if self.end == 0 else "utf-8", errors="replace")
        self.end += len(line)
        self.torn = not line.endswith(b"\n")
        return text


def read_batch(file: Any, offset: int, layout: Layout, *, until: int | None, complete: bool) -> Batch:
    """The records that follow; a group is never cut in two. `until` repeats a batch whose end is known. Unless the
    file is `complete`, a last line without its end stays for later, and so does the last group."""
    rows: list[Json] = []
    ends: list[int] = []
    begin, problems = _skip_continuation(file, offset)
    end = begin
    whole = complete or until is not None
    for record in (_read_csv if layout.format == "csv" else _read_json)(file, begin):
        if (record.torn and not whole) or (until is not None and record.end > until):
            break
        if record.row is not None:
            if end - offset >= BATCH_BYTES and until is None and _is_new_group(rows, record.row, layout.group_by):
                return Batch(rows, end, problems)
            rows.append(record.row)
            ends.append(record.end)
        elif record.problem:
            problems.append(record.problem)
        end = record.end
    if layout.group_by and not whole:
        return _without_last_group(rows, ends, problems, offset, layout.group_by)
    return Batch(rows, end, problems)


def _is_new_group(rows: list[Json], row: Json, group_by: str) -> bool:
    return not group_by or not rows or rows[-1].get(group_by) != row.get(group_by)


def _without_last_group(rows: list[Json], ends: list[int], problems: list[str], offset: int, group_by: str) -> Batch:
    keep = len(rows)
    while keep and rows[keep - 1].get(group_by) == rows[-1].get(group_by):
        keep -= 1
    return Batch(rows[:keep], ends[keep - 1] if keep else offset, problems if keep else [])


def _skip_continuation(file: Any, offset: int) -> tuple[int, list[str]]:
    """A last line without its end was taken as whole after a while. If it went on, its rest is no record."""
    if not offset:
        return 0, []
    file.seek(offset - 1)
    if file.read(1) == b"\n":
        return offset, []
    rest = file.readline()
    problem = f"the line before byte {offset} went on after it was read; its rest is left out"
    return offset + len(rest), [problem] if rest.strip() else []


def _read_csv(file: Any, offset: int) -> Iterator[_Record]:
    heading = _Lines(file, 0)
    header = next(csv.reader(heading), [])
    if heading.torn or heading.over:
        return  # not even the header is whole
    lines = _Lines(file, max(offset, heading.end))
    for cells in csv.reader(lines):
        torn = lines.torn or lines.over  # over: the file ends inside a quoted cell
        if not cells:
            yield _Record(lines.end, torn)
        elif len(cells) == len(header):
            yield _Record(lines.end, torn, dict(zip(header, cells, strict=True)))
        else:
            problem = f"the row before byte {lines.end} has {len(cells)} cells, the header {len(header)}"
            yield _Record(lines.end, torn, problem=problem)


def _read_json(file: Any, offset: int) -> Iterator[_Record]:
    lines = _Lines(file, offset)
    for line in lines:
        if not line.strip():
            yield _Record(lines.end, lines.torn)
            continue
        try:
            value = json.loads(line)
        except ValueError as error:
            yield _Record(lines.end, lines.torn, problem=f"the line before byte {lines.end} is not JSON: {error}")
            continue
        if isinstance(value, dict):
            yield _Record(lines.end, lines.torn, value)
        else:
            yield _Record(lines.end, lines.torn, problem=f"the line before byte {lines.end} is no JSON object")
