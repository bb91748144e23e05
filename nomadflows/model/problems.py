"""What is wrong with an input, where in it, and what is allowed there.

Turns the findings of pydantic into sentences for people. It knows no file and no line: a problem carries the
path of the field, and whoever read the text adds the line.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel, ValidationError

Path = tuple[str | int, ...]

_LONGEST_SHOWN: Final = 40


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong."""

    path: Path
    message: str
    line_offset: int = 0  # lines into a text of several lines

    def __str__(self) -> str:
        return f"{dotted(self.path)}: {self.message}" if self.path else self.message


@dataclass(frozen=True, slots=True)
class Allowed:
    """Annotation of a field: what may be written there, for people."""

    text: str


def dotted(path: Path) -> str:
    """`steps[1].map.total`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def choices(names: Iterable[str]) -> str:
    """The end of a message: what may stand there."""
    return f"allowed: {', '.join(names) or 'none'}"


def did_you_mean(word: str, names: Iterable[str]) -> str:
    """`; did you mean 'steps'?`, or nothing when no name is close."""
    close = difflib.get_close_matches(word, list(names), n=1) if len(word) <= _LONGEST_SHOWN * 2 else []
    return f"; did you mean {close[0]!r}?" if close else ""


def unknown(what: str, word: str, names: Sequence[str]) -> str:
    """`unknown field 'stpes'; did you mean 'steps'? allowed: flow, kind, steps`."""
    meant = did_you_mean(word, names)
    return f"{what} {shown(word)}{meant or ';'} {choices(names)}"


def shown(value: object) -> str:
    """A value in a message: short, and of a container only what kind it is."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list" if value else "an empty list"
    if value is None:
        return "nothing"
    text = ("true" if value else "false") if isinstance(value, bool) else repr(value)
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"


def shape_problems(model: type[BaseModel], error: ValidationError, data: object) -> Iterator[Problem]:
    """What pydantic found in `data`, in our words; one problem for each field."""
    seen: set[Path] = set()
    for detail in error.errors(include_url=False):
        path = tuple(detail["loc"])
        owner, allowed, depth = _resolve(model, path)
        if detail["type"] == "value_error":
            path = path[:depth]
        written = _written(data, path)
        if path in seen or (detail["type"] == "too_short" and written):  # bad items do not make a list short
            continue
        seen.add(path)
        yield Problem(path, _sentence(detail, owner, allowed, written))


def _sentence(detail: Any, owner: type[BaseModel] | None, allowed: str, value: Any) -> str:
    kind = detail["type"]
    if kind == "extra_forbidden" and owner is not None:
        return unknown("unknown field", str(detail["loc"][-1]), field_names(owner))
    if kind == "value_error":
        wrong = str(detail["ctx"]["error"])
    elif kind in {"string_too_long", "too_long"}:
        wrong = f"{len(value)} {'characters' if isinstance(value, str) else 'entries'} are too many"
    elif kind == "missing":
        wrong = "required, but missing"
    else:
        wrong = f"{shown(value)} {_FAULTS.get(kind, 'is of the wrong type')}"
    return f"{wrong}; allowed: {allowed}" if allowed else wrong


_FAULTS: Final = {
    "greater_than_equal": "is out of range",
    "less_than_equal": "is out of range",
    "too_short": "is not enough",
    "string_pattern_mismatch": "is not a valid name",
}


def _written(data: Any, path: Path) -> Any:
    """What stands at a path, or None; before pydantic turned it into something else."""
    for part in path:
        if isinstance(part, int) and isinstance(data, list | tuple) and part < len(data):
            data = data[part]
        elif isinstance(data, dict):
            data = data.get(part)
        else:
            return data
    return data


def field_names(model: type[BaseModel]) -> list[str]:
    """The fields of a model as they are written in a file."""
    return [info.alias or name for name, info in model.model_fields.items()]


def _resolve(model: type[BaseModel], path: Path) -> tuple[type[BaseModel] | None, str, int]:
    """The model that owns the field a path ends in, what that field allows, and how much of the path is the field."""
    owner: type[BaseModel] | None = model
    allowed, depth = "", len(path)
    for index, part in enumerate(path):
        if isinstance(part, int):
            continue
        info = next((i for n, i in owner.model_fields.items() if part == (i.alias or n)), None) if owner else None
        if info is None:
            break
        allowed = next((m.text for m in info.metadata if isinstance(m, Allowed)), "")
        inner = _inner_model(info.annotation)
        if inner is None:
            depth = index + 1
            break
        owner = inner if index + 1 < len(path) else owner
    return owner, allowed, depth


def _inner_model(annotation: Any) -> type[BaseModel] | None:
    """The model inside `Model`, `tuple[Model, …]` or `Model | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for arg in getattr(annotation, "__args__", ()) if (found := _inner_model(arg))), None)
