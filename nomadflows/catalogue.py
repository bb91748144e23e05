"""The components a flow is checked against: what Consul has recorded, and what this installation ships."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from nomadflows.builtin import builtin_components

if TYPE_CHECKING:
    from nomadflows.model.component import ComponentVersion
    from nomadflows.store import Store

# name → versions: first the one that a step gets which names none, then the others, newest first
Catalogue = dict[str, list["ComponentVersion"]]


def shipped() -> Catalogue:
    """The built-in components alone; needs no server."""
    return {version.name: [version] for version in _builtin()}


@cache
def _builtin() -> tuple[ComponentVersion, ...]:
    """Read once: they change with the installation only."""
    return tuple(builtin_components())


def recorded(store: Store) -> Catalogue:
    """All components. A built-in one counts before a controller has recorded it."""
    from nomadflows.model.semver import semver_key

    found, marked = store.components(), store.deprecated_versions()
    for name, versions in shipped().items():
        known = found.setdefault(name, [])
        known += [version for version in versions if version.version not in {v.version for v in known}]
        known.sort(key=lambda version: semver_key(version.version), reverse=True)
    return {name: _as_chosen(versions, marked) for name, versions in found.items()}


def _as_chosen(versions: list[ComponentVersion], marked: set[str]) -> list[ComponentVersion]:
    from nomadflows.model.freshness import newest

    first = newest(versions, marked)
    return sorted(versions, key=lambda version: version is not first)
