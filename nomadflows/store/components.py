"""A component version is recorded once and may go: its number then stands for nothing else, ever.

Processes, caches and people's notes know a version by its number. So the highest number a component has had stays on
record when versions are deleted, and what comes next must be higher than it. Every change of a component's versions
insists on the record it has read: of two deploys at once one is the first, and the other is measured against it.

Built-in components are part of the installation, and change with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from nomadflows.model.component import ComponentVersion
from nomadflows.model.descriptor import check_newer
from nomadflows.model.errors import Conflict, Refused
from nomadflows.model.semver import semver_key
from nomadflows.store.documents import Versioned
from nomadflows.store.store import Store
from nomadflows.store.transaction import Fence, Set

Json = dict[str, Any]

_ATTEMPTS: Final = 5  # each that fails means that somebody else's change was made


@dataclass(frozen=True, slots=True)
class Past:
    """What a component has, and the highest version it ever had."""

    versions: Sequence[ComponentVersion]  # newest first
    highest: Versioned[Json]

    @property
    def numbers(self) -> list[str]:
        """Of versions that are there or were the highest, highest first."""
        known = [version.version for version in self.versions]
        gone = str(self.highest.value.get("version", ""))
        return sorted({*known, gone} - {""}, key=semver_key, reverse=True)


def past(store: Store, name: str) -> Past:
    """As of two moments; who changes something insists on the index of the later one, which every change moves."""
    highest = store.highest_component(name)
    return Past(store.component_versions(name), highest)


def check_new(store: Store, component: ComponentVersion) -> Past:
    """Refused unless it may be the component's next version."""
    found = past(store, component.name)
    if any("builtin" in known.location for known in found.versions):
        raise Refused(f"{component.name} is a built-in component", hint="--name gives yours another name")
    there = [known.version for known in found.versions]
    check_newer(component.name, component.version, there, found.highest.value.get("version", ""))
    return found


def record(store: Store, component: ComponentVersion) -> None:
    """The component's next version. Refused if it comes too late to be that."""
    for _ in range(_ATTEMPTS):
        found = check_new(store, component)
        try:
            store.put_component(component, _highest(store, component, found.highest.index))
        except Conflict:
            continue
        return
    raise _crowded(component.name)


def record_builtin(store: Store, component: ComponentVersion, fence: Fence) -> bool:
    """What the installed package holds; a deployed component of the same name stays. True if the version is known with
    other code: it is the installation's code that runs, so the record follows it."""
    known = store.component(component.name, component.version)
    if known is not None and (known.location != component.location or known == component):
        return False
    key = store.keys.component(component.name, component.version)
    store.transact([Set(key, component.to_json(), None)], fence)
    return known is not None and known.digest != component.digest


def remove(store: Store, component: ComponentVersion) -> None:
    """Take a version away, and remember that its number is used."""
    for _ in range(_ATTEMPTS):
        found = past(store, component.name)
        kept = [] if not found.versions else [_highest_of(store, found)]
        try:
            store.delete_component(component.name, component.version, *kept)
        except Conflict:
            continue
        return
    raise _crowded(component.name)


def _highest_of(store: Store, found: Past) -> Set:
    """What is on record, or, of a component whose versions are older than that record, its newest version."""
    known = str(found.highest.value.get("version", ""))
    newest = found.versions[0]
    if known and semver_key(known) >= semver_key(newest.version):
        return Set(store.keys.highest_component(newest.name), found.highest.value, found.highest.index)
    return _highest(store, newest, found.highest.index)


def _highest(store: Store, component: ComponentVersion, index: int) -> Set:
    value = {"version": component.version, "digest": component.digest, "at": component.at}
    return Set(store.keys.highest_component(component.name), value, index)


def _crowded(name: str) -> Conflict:
    return Conflict(f"versions of component {name} come and go all the time; nothing was changed", hint="try again")
