"""Durations and sizes as people write them in files: `90s`, `5m`, `200MiB`."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from nomadflows.model.problems import shown

_SECONDS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)(ms|s|m|h|d)")
_BYTES: Final = {"KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
_SIZE: Final = re.compile(r"([0-9]{1,12})(KiB|MiB|GiB)")


def parse_duration(value: object) -> float:
    """`90s`, `5m`, `1.5h`, `250ms`, or a number of seconds → seconds. ValueError otherwise."""
    if isinstance(value, str) and (match := _DURATION.fullmatch(value)):
        return float(match[1]) * _SECONDS[match[2]]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    raise ValueError(f"{shown(value)} is no duration")


def duration_text(seconds: float) -> str:
    """Seconds as people write them: in the largest unit that divides them."""
    for unit in ("d", "h", "m", "s"):
        if seconds >= _SECONDS[unit] and seconds % _SECONDS[unit] == 0:
            return f"{int(seconds / _SECONDS[unit])}{unit}"
    return f"{round(seconds * 1000)}ms" if seconds else "0s"


def size_text(size: int) -> str:
    """Bytes as people write them: in the largest unit that divides them."""
    for unit, factor in reversed(_BYTES.items()):
        if size >= factor and size % factor == 0:
            return f"{size // factor}{unit}"
    return f"{size} bytes"


def parse_size(value: object) -> object:
    """`200MiB` → bytes; anything else is left as it is."""
    if isinstance(value, str) and (match := _SIZE.fullmatch(value)):
        return int(match[1]) * _BYTES[match[2]]
    return value


Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    PlainSerializer(duration_text),
    WithJsonSchema(
        {"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": f"^{_DURATION.pattern}$"}]}
    ),
]
Size = Annotated[
    int,
    BeforeValidator(parse_size),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": f"^{_SIZE.pattern}$"}]}),
]
