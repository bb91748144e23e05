"""Which component versions a flow works with, and which newer ones there are. Pure.

A step that names no version gets the newest when its flow starts. A version that is marked deprecated is passed over
as long as there is another: it goes on where it runs, and where a step names it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from nomadflows.model.component import ComponentVersion
from nomadflows.model.semver import semver_key

Json = dict[str, Any]
Marks = Mapping[str, Json]  # name@version → who marked it when and why


def newest(versions: Sequence[ComponentVersion], deprecated: Collection[str] = ()) -> ComponentVersion | None:
    """What a step gets that names no version; `versions` newest first."""
    return next((version for version in versions if version.ref not in deprecated), versions[0] if versions else None)


@dataclass(frozen=True, slots=True)
class Behind:
    """A step whose component has a newer version, or is deprecated. `newest` is "" where there is no newer one."""

    step: str
    component: str  # name@version
    newest: str
    pinned: bool
    deprecated: str = ""  # why, in a sentence; "": it is not

    def to_json(self) -> Json:
        return {
            "step": self.step,
            "component": self.component,
            "newest": self.newest or None,
            "pinned": self.pinned,
            "deprecated": self.deprecated or None,
        }


def behind(
    resolved: Mapping[str, str],
    pinned: Collection[str],
    catalogue: Mapping[str, Sequence[ComponentVersion]],
    marks: Marks,
    functions: Mapping[str, str] = MappingProxyType({}),
) -> list[Behind]:
    """Steps that do not work with the newest version, or with what is deprecated, in the order of `resolved` (step →
    name@version). `functions`: step → the function it runs."""
    found = []
    for step, ref in resolved.items():
        name, _, number = ref.partition("@")
        versions = catalogue.get(name, ())
        best = newest(versions, marks)
        newer = best.ref if best and semver_key(best.version) > semver_key(number) else ""
        version = next((version for version in versions if version.ref == ref), None)
        why = deprecation(version, marks, functions.get(step, "")) if version else _mark_said(marks.get(ref))
        if newer or why:
            found.append(Behind(step, ref, newer, step in pinned, why))
    return found


def deprecation(version: ComponentVersion, marks: Marks, function: str = "") -> str:
    """Why nothing new should use a version, or one of its functions, in a sentence; "": nobody says so."""
    if said := _mark_said(marks.get(version.ref)):
        return said
    if version.descriptor.get("deprecated") is True:
        return "its descriptor says so"
    return f"its descriptor says so of {function}" if function in deprecated_functions(version) else ""


def deprecated_functions(version: ComponentVersion) -> list[str]:
    """Triggers and actions that the descriptor advises against."""
    return [function for function in version.functions() if version.entry(function).get("deprecated") is True]


def _mark_said(mark: Json | None) -> str:
    if mark is None:
        return ""
    return str(mark.get("why") or "marked by " + str(mark.get("by") or "somebody"))


def component_of(step: Json) -> str:
    """The name of the component that a step of a definition uses, whatever version; "" if it names none."""
    return _named(step).partition("@")[0]


def _named(step: Json) -> str:
    """Component, or component@version, as `use` has it."""
    return str(step.get("use", "")).partition(":")[0]


def used(definition: Json) -> dict[str, str]:
    """step → the function it runs."""
    return {str(step["id"]): str(step.get("use", "")).partition(":")[2] for step in definition.get("steps", ())}


def drafted(definition: Json, running: Mapping[str, str]) -> dict[str, str]:
    """step → name@version, of a definition that may be published: what its steps pin, else what runs in them now, unless
    that is another component."""
    found = {}
    for step in definition.get("steps", ()):
        named = _named(step)
        ref = named if "@" in named else running.get(str(step["id"]), "")
        if ref.partition("@")[0] == component_of(step):
            found[str(step["id"])] = ref
    return found


def pins(definition: Json) -> dict[str, str]:
    """step → name@version, of the steps of a definition that name a version."""
    return {str(step["id"]): named for step in definition.get("steps", ()) if "@" in (named := _named(step))}


def uses(definition: Json, name: str) -> list[str]:
    """The steps of a definition that use a component, whatever version."""
    return [str(step["id"]) for step in definition.get("steps", ()) if component_of(step) == name]


def updated(definition: Json, outdated: Iterable[Behind]) -> Json:
    """The definition with its pinned steps moved to the newest versions; steps that name none get it anyway."""
    to = {one.step: one.newest for one in outdated if one.pinned and one.newest}
    steps = [
        {**step, "use": f"{to[step['id']]}:{str(step['use']).partition(':')[2]}"} if step["id"] in to else step
        for step in definition["steps"]
    ]
    return {**definition, "steps": steps}


def only_newer(found: Iterable[Behind]) -> list[Behind]:
    """Those with a newer version, without what is merely deprecated."""
    return [replace(one, deprecated="") for one in found if one.newest]
