"""Component versions that flows work with, set beside what is deployed. Reads the store; `model.freshness` decides."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from nomadflows.model.freshness import Behind, behind, pins

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
        pinned = pins((version or {}).get("definition", {}))
        return self.among(status.components or pinned, pinned)

    def of_draft(self, record: FlowRecord, definition: Json) -> list[Behind]:
        """Of a definition that may become the draft: its own pins, and what runs where it pins nothing."""
        pinned = pins(definition)
        return self.among({**record.status.value.components, **pinned}, pinned)

    def among(self, resolved: dict[str, str], pinned: Iterable[str]) -> list[Behind]:
        for name in {ref.partition("@")[0] for ref in resolved.values()} - self._versions.keys():
            self._versions[name] = self._store.component_versions(name)
            self._marks |= self._store.deprecations(name)
        return behind(resolved, set(pinned), self._versions, self._marks)


def lines(found: Iterable[Behind]) -> list[str]:
    """One sentence a step."""
    return [f"{one.step}: {one.component} {_said(one)}" for one in found]


def _said(one: Behind) -> str:
    said = [f"is deprecated ({one.deprecated})"] if one.deprecated else []
    if one.newest:
        number = one.newest.partition("@")[2]
        said.append(f"pinned; {number} is there" if one.pinned else f"runs; {number} is there")
    return ", ".join(said)
