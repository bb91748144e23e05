"""What a publish or a start would change, as lines for people and data for programs. Pure: it compares what it is given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from nomadflows.broker.topology import Binding, Difference, Exchange, Queue
from nomadflows.model.flow import FlowDefinition
from nomadflows.model.graph import RunStep, expand

Json = dict[str, Any]

ADDED: Final = "+"
CHANGED: Final = "~"
REMOVED: Final = "-"
_SIGNS: Final = {"Added": ADDED, "Edited": CHANGED, "Deleted": REMOVED}


@dataclass(frozen=True, slots=True)
class Change:
    """`what` is a flow, step, job, group, exchange, queue, binding, user, role or schedule."""

    sign: str  # + ~ -
    what: str
    name: str
    detail: str = ""

    def to_json(self) -> Json:
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.sign} {self.what} {self.name}" + (f": {self.detail}" if self.detail else "")


def definition_changes(old: FlowDefinition | None, new: FlowDefinition) -> list[Change]:
    """Between two definitions of a flow: its settings, and its running steps, mappers included."""
    if old is None:
        return [*_schedule(None, new), *(Change(ADDED, "step", step.id, f"{step.use}:{step.function}") for step in expand(new))]
    before = {step.id: step for step in expand(old)}
    after = {step.id: step for step in expand(new)}
    return [*_settings(old, new), *_schedule(old, new), *_steps(before, after)]


def _settings(old: FlowDefinition, new: FlowDefinition) -> Iterator[Change]:
    was, now = old.to_json(), new.to_json()
    for name in sorted((was.keys() | now.keys()) - {"steps", "schedule", "timezone"}):
        if was.get(name) != now.get(name):
            yield Change(CHANGED, "flow", name, f"{_shown(was.get(name))} → {_shown(now.get(name))}")


def _schedule(old: FlowDefinition | None, new: FlowDefinition) -> Iterator[Change]:
    was = (old.schedule, old.timezone) if old else (None, "UTC")
    now = (new.schedule, new.timezone)
    if was == now:
        return
    sign = ADDED if was[0] is None else REMOVED if now[0] is None else CHANGED
    yield Change(sign, "schedule", f"{now[0] or was[0]} {now[1]}", f"was {was[0]} {was[1]}" if sign is CHANGED else "")


def _steps(before: Mapping[str, RunStep], after: Mapping[str, RunStep]) -> Iterator[Change]:
    for name in before.keys() - after.keys():
        yield Change(REMOVED, "step", name, "messages it still holds go to the dead queue")
    for name, step in after.items():
        old = before.get(name)
        if old is None:
            yield Change(ADDED, "step", name, f"{step.use}:{step.function}")
        elif old != step:
            yield Change(CHANGED, "step", name, ", ".join(_fields(old, step)))


def _fields(old: RunStep, new: RunStep) -> Iterator[str]:
    for name in RunStep.__dataclass_fields__:
        was, now = getattr(old, name), getattr(new, name)
        if was != now:
            yield f"{name} {_shown(was)} → {_shown(now)}"


def job_changes(plan: Json) -> list[Change]:
    """Of Nomad's dry run: the job and its groups, with the fields that differ."""
    diff = plan.get("Diff") or {}
    changes = []
    if diff.get("Type") in _SIGNS:
        changes.append(Change(_SIGNS[diff["Type"]], "job", diff.get("ID", ""), _diff_fields(diff)))
    for group in diff.get("TaskGroups") or ():
        if group.get("Type") in _SIGNS:
            changes.append(Change(_SIGNS[group["Type"]], "group", group.get("Name", ""), _diff_fields(group)))
    return changes


def _diff_fields(diff: Json) -> str:
    """`Count 0 → 1, Tasks.step.Env …` of the edited fields; what is added or deleted whole is not spelt out."""
    if diff.get("Type") != "Edited":
        return ""
    found = [f"{field['Name']} {field['Old']} → {field['New']}" for field in diff.get("Fields") or () if field.get("Type") == "Edited"]
    found += [part["Name"] for part in (*(diff.get("Objects") or ()), *(diff.get("Tasks") or ())) if part.get("Type") in _SIGNS]
    return ", ".join(found)


def topology_changes(difference: Difference) -> list[Change]:
    """What the broker lacks, or has with other arguments."""
    return [
        *(Change(ADDED, _kind(item), _name(item)) for item in difference.missing),
        *(Change(CHANGED, _kind(item), item.name, "exists with other arguments; stop the flow to let it be made anew")
          for item in difference.altered),
    ]


def _kind(item: Exchange | Queue | Binding) -> str:
    return type(item).__name__.lower()


def _name(item: Exchange | Queue | Binding) -> str:
    return f"{item.source} ─{item.key}→ {item.destination}" if isinstance(item, Binding) else item.name


def _shown(value: object) -> str:
    if isinstance(value, Mapping | Sequence) and not isinstance(value, str) and len(str(value)) > 60:
        return "…"
    return "nothing" if value is None else str(value)
