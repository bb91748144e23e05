"""Component versions that flows work with, set beside what is deployed. Reads the store; `model.freshness` decides."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import click

from nomadflows.model.freshness import Behind, behind, component_of, drafted, newest, pins, used

if TYPE_CHECKING:
    from nomadflows.model.component import ComponentVersion
    from nomadflows.store import FlowRecord, Store

Json = dict[str, Any]


class Fresh:
    """Reads each component once, however many flows are asked about."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._versions: dict[str, list[ComponentVersion]] = {}
        self._marks: dict[str, Json] = {}

    def of(self, record: FlowRecord) -> list[Behind]:
        """Of the version that is active; of one that is not, what the newest one pins."""
        status = record.status.value
        number = status.version or record.meta.value.latest
        version = self._store.version(record.ref.version(number)) if number else None
        definition = (version or {}).get("definition", {})
        pinned = pins(definition)
        return self._among(status.components or pinned, pinned, definition)

    def of_draft(self, record: FlowRecord, definition: Json) -> list[Behind]:
        """Of a definition that may become the draft: its own pins, and what runs where it pins nothing."""
        return self._among(drafted(definition, record.status.value.components), pins(definition), definition)

    def deprecated_in(self, definition: Json) -> list[Behind]:
        """Steps of a definition that would start with something deprecated."""
        names = {str(step["id"]): component_of(step) for step in definition.get("steps", ())}
        self._read(set(names.values()))
        best = {name: newest(versions, self._marks) for name, versions in self._versions.items()}
        pinned = pins(definition)
        resolved = {step: found.ref if (found := best[name]) else name for step, name in names.items()} | pinned
        return [one for one in self._among(resolved, pinned, definition) if one.deprecated]

    def _among(self, resolved: Mapping[str, str], pinned: Collection[str], definition: Json) -> list[Behind]:
        self._read({ref.partition("@")[0] for ref in resolved.values()})
        return behind(resolved, pinned, self._versions, self._marks, used(definition))

    def _read(self, names: set[str]) -> None:
        for name in names - self._versions.keys():
            self._versions[name] = self._store.component_versions(name)
            self._marks |= self._store.deprecations(name)


def lines(found: Iterable[Behind]) -> list[str]:
    """One sentence a step."""
    return [f"{one.step}: {one.component} {_said(one)}" for one in found]


def _said(one: Behind) -> str:
    said = [f"is deprecated ({one.deprecated})"] if one.deprecated else []
    if one.newest:
        number = one.newest.partition("@")[2]
        said.append(f"pinned; {number} is there" if one.pinned else f"runs; {number} is there")
    return ", ".join(said)


def warn(store: Store, definition: Json) -> list[Behind]:
    """Say on standard error which steps would start with something deprecated; those."""
    found = Fresh(store).deprecated_in(definition)
    for line in lines(found):
        click.echo(f"Warning: {line}", err=True)
    return found
