"""What a publish or a start would change, in sentences. Pure; `flow plan` prints it.

Two sides are compared: what is active now (or nothing), and what would be. Nomad's own dry run is read here too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

from nomadflows.model.flow import FlowDefinition
from nomadflows.model.graph import RunStep
from nomadflows.model.names import VersionRef
from nomadflows.model.states import Kind

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Side:
    """One version, published or about to be."""

    ref: VersionRef
    kind: Kind
    definition: FlowDefinition
    steps: tuple[RunStep, ...]
    credentials: tuple[str, ...] = ()  # that its job may read

    @property
    def schedule(self) -> str:
        cron = self.definition.cron(self.kind)
        return f"{cron} ({self.definition.timezone})" if cron else "none"


@dataclass(frozen=True, slots=True)
class Line:
    """`sign` is + added, - removed, ~ changed, ! in the way."""

    area: str  # steps | settings | job | queues | user | policy | schedule
    sign: str
    text: str


_SHOWN: Final = {"use": "component", "pinned": "component version", "config": "settings"}


def step_lines(old: Side | None, new: Side) -> Iterator[Line]:
    """Steps as they run, mappers included."""
    before = {step.id: step for step in old.steps} if old else {}
    after = {step.id: step for step in new.steps}
    for name, step in after.items():
        if name not in before:
            yield Line("steps", "+", f"{name} ({step.kind}, {step.use}:{step.function})")
        elif changed := _changed(before[name], step):
            yield Line("steps", "~", f"{name}: {', '.join(changed)}")
    for name in before.keys() - after.keys():
        yield Line("steps", "-", name)


def _changed(old: RunStep, new: RunStep) -> list[str]:
    """Values are shown where they are short and plain; settings by their names."""
    found = []
    for field in fields(RunStep):
        before, after = getattr(old, field.name), getattr(new, field.name)
        if before == after:
            continue
        if isinstance(before, dict):
            keys = [key for key in sorted({*before, *after}) if before.get(key) != after.get(key)]
            found.append(f"{_SHOWN.get(field.name, field.name)} {', '.join(keys)}")
        else:
            found.append(f"{_SHOWN.get(field.name, field.name)} {_plain(before)} → {_plain(after)}")
    return found


def _plain(value: object) -> str:
    if isinstance(value, tuple):
        return "+".join(value) or "nothing"
    return "none" if value in (None, "") else str(value)


def setting_lines(old: Side | None, new: Side) -> Iterator[Line]:
    """Settings of the flow as a whole; its kind is not the definition's, its schedule has lines of its own."""
    before, after = (side.definition.to_json() if side else {} for side in (old, new))
    for name in sorted({*before, *after} - {"flow", "kind", "steps", "schedule", "timezone"} if old else ()):
        if before.get(name) != after.get(name):
            yield Line("settings", "~", f"{name} {_setting(before.get(name))} → {_setting(after.get(name))}")


def _setting(value: object) -> str:
    return "default" if value is None else _short(str(value))


def queue_lines(old: Side | None, new: Side, drift: Sequence[str]) -> Iterator[Line]:
    """A version has queues of its own. `drift`: what is not as it should be of a version that is active."""
    if old is not None and old.ref == new.ref:
        yield from (Line("queues", "~", text) for text in drift)
        return
    for step in new.steps:
        yield Line("queues", "+", new.ref.queue(step.id))
    if old is not None:
        for step in old.steps:
            yield Line("queues", "-", f"{old.ref.queue(step.id)}, what is left in it moves on")


def user_lines(old: Side | None, new: Side, drift: Sequence[str]) -> Iterator[Line]:
    """A version has an account of its own on the broker."""
    if old is not None and old.ref == new.ref:
        yield from (Line("user", "~", text) for text in drift)
        return
    yield Line("user", "+", f"{new.ref.broker_user}: writes {new.ref.exchange}, reads its queues")
    if old is not None:
        yield Line("user", "-", old.ref.broker_user)


def policy_lines(old: Side | None, new: Side, absent: Sequence[str], *, differs: bool = False) -> Iterator[Line]:
    """Whose secrets the version may read. `absent`: credentials nobody has set; `differs`: an active version's role
    is not as it should be."""
    reads = ", ".join(new.credentials) or "no credential"
    if old is None or old.ref != new.ref:
        yield Line("policy", "+", f"{new.ref.vault_role}: reads {reads}")
        if old is not None:
            yield Line("policy", "-", old.ref.vault_role)
    elif differs:
        yield Line("policy", "~", f"{new.ref.vault_role}: put right, reads {reads}")
    for name in absent:
        yield Line(
            "policy",
            "!",
            f"credential {name} does not exist: `nomadflows credential set {name} -w {new.ref.workspace}`",
        )


def schedule_lines(old: Side | None, new: Side) -> Iterator[Line]:
    if old is None:
        yield Line("schedule", "+", new.schedule)
    elif old.schedule != new.schedule:
        yield Line("schedule", "~", f"{old.schedule} → {new.schedule}")


def job_lines(answer: Json, job_id: str, counts: Mapping[str, int]) -> Iterator[Line]:
    """Nomad's dry run: the difference it sees, and groups it could not place."""
    diff = answer.get("Diff") or {}
    if diff.get("Type") == "Added":
        yield Line("job", "+", f"{job_id}: {len(counts)} groups, {sum(counts.values())} processes")
    elif diff.get("Type") not in {None, "None"}:
        yield from (Line("job", "~", f"{job_id}: {text}") for text in _edits(diff))
    for group, metric in (answer.get("FailedTGAllocs") or {}).items():
        yield Line("job", "!", f"{group} cannot be placed now: {_why_not(metric)}")


def _edits(diff: Json, path: str = "") -> Iterator[str]:
    for field in diff.get("Fields") or ():
        if field["Type"] != "None":
            yield f"{path}{field['Name']} {_short(field['Old'])} → {_short(field['New'])}"
    for member in ("TaskGroups", "Tasks", "Objects"):
        for part in diff.get(member) or ():
            if part["Type"] in {"Added", "Deleted"}:
                yield f"{path}{part['Name']} {part['Type'].lower()}"
            elif part["Type"] == "Edited":
                yield from _edits(part, f"{path}{part['Name']}.")


def _short(text: str, longest: int = 40) -> str:
    line = text.replace("\n", "⏎")
    return "nothing" if not line else line if len(line) <= longest else line[: longest - 1] + "…"


def _why_not(metric: Json) -> str:
    filtered = [f"{what} ({count} nodes)" for what, count in (metric.get("ConstraintFiltered") or {}).items()]
    exhausted = [f"no {what} left ({count} nodes)" for what, count in (metric.get("DimensionExhausted") or {}).items()]
    if reasons := filtered + exhausted:
        return ", ".join(reasons)
    return "no node is ready" if not metric.get("NodesEvaluated") else f"{metric['NodesEvaluated']} nodes do not fit"
