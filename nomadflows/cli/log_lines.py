"""Lines that steps log: records in JSON, of Python's and of Node's step library, or whatever a component prints."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

_TOLD_ELSEWHERE = {"time", "level", "message", "logger", "flow", "step", "stack"}
_LEVELS = {"10": "trace", "20": "debug", "30": "info", "40": "warning", "50": "error", "60": "fatal"}
_OF_THE_PROCESS = {"name", "hostname", "pid", "v", "tag", "level", "msg", "err"}


def dated(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Lines with their time; one without belongs to the line before it."""
    moment = ""
    for line in lines:
        moment = str((_record(line) or {}).get("time", moment))
        yield moment, line


def log_text(line: str) -> str:
    """A line for people: of a record in JSON time, level, message, what it adds and where it failed; else as it is."""
    record = _record(line)
    if record is None:
        return line
    more = [f"{key}={value}" for key, value in record.items() if key not in _TOLD_ELSEWHERE]
    cause = _cause(str(record.get("stack") or "").rstrip())
    time = str(record["time"])[11:23]
    text = " ".join([time, f"{str(record['level']).upper():<7}", str(record["message"]), *more])
    return f"{text}: {cause}" if cause else text


def _cause(stack: str) -> str:
    """The line that names the error: Python's last, Node's first."""
    first, _, more = stack.partition("\n")
    return first if more.lstrip().startswith("at ") else stack.rpartition("\n")[2]


def of_execution(line: str, execution: str) -> bool:
    """Whether a line was logged during a call of that execution; a line that is no record belongs to none."""
    return execution in line and (_record(line) or {}).get("threadId") == execution


def _record(line: str) -> dict[str, Any] | None:
    """A line of structured log, or None."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):  # a component may print anything
        return None
    if not isinstance(record, dict) or not {"time", "level"} <= record.keys():
        return None
    if "message" in record:
        return record
    return _from_node(record) if "msg" in record else None


def _from_node(record: dict[str, Any]) -> dict[str, Any]:
    """A line of elastic.io's Node library, which writes bunyan's, in our words; without what is said of the process."""
    said = {
        key: value for key, value in record.items() if key not in _OF_THE_PROCESS and not key.startswith("ELASTICIO_")
    }
    error = record.get("err")
    stack = {"stack": str(error.get("stack") or error.get("message") or "")} if isinstance(error, dict) else {}
    level = str(record["level"])
    return {**said, "level": _LEVELS.get(level, level), "message": record["msg"], **stack}
