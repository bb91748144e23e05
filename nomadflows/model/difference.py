"""How two definitions differ, field by field as their author wrote them. Pure; `flow diff` prints it.

What a publish would change in the servers is `plan.preview`'s question.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

Json = dict[str, Any]

_ABSENT: Final = object()


@dataclass(frozen=True, slots=True)
class Change:
    """`sign` is + added, - removed, ~ changed. `old` and `new` are None where there is none."""

    sign: str
    path: str  # steps.store.map.total
    old: Any = None
    new: Any = None


def changes(old: Json, new: Json) -> list[Change]:
    """In the order of the file: settings of the flow first, then step by step. Steps are known by their ids."""
    steps_of_old, steps_of_new = (_steps(definition) for definition in (old, new))
    found = list(_members("", _without(old, "steps"), _without(new, "steps")))
    for name, step in steps_of_new.items():
        if name not in steps_of_old:
            found.append(Change("+", f"steps.{name}", new=step))
        else:
            found += _members(f"steps.{name}", _without(steps_of_old[name], "id"), _without(step, "id"))
    found += [Change("-", f"steps.{name}", old=step) for name, step in steps_of_old.items() if name not in steps_of_new]
    return found + list(_order(list(steps_of_old), list(steps_of_new)))


def _steps(definition: Json) -> dict[str, Json]:
    return {str(step["id"]): step for step in definition.get("steps", ())}


def _without(data: Json, name: str) -> Json:
    return {key: value for key, value in data.items() if key != name}


def _members(path: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    for name in [*old, *(name for name in new if name not in old)]:
        yield from _values(f"{path}.{name}" if path else name, old.get(name, _ABSENT), new.get(name, _ABSENT))


def _values(path: str, old: Any, new: Any) -> Iterator[Change]:
    if isinstance(old, dict) and isinstance(new, dict):
        yield from _members(path, old, new)
    elif old is _ABSENT:
        yield Change("+", path, new=new)
    elif new is _ABSENT:
        yield Change("-", path, old=old)
    elif old != new or isinstance(old, bool) is not isinstance(new, bool):  # True == 1
        yield Change("~", path, old, new)


def _order(old: list[str], new: list[str]) -> Iterator[Change]:
    """A step without `after` is fed by the one above it, so the order says something too."""
    common = set(old) & set(new)
    before, after = [name for name in old if name in common], [name for name in new if name in common]
    if before != after:
        yield Change("~", "order of steps", before, after)
