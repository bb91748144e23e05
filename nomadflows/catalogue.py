"""The components a flow is checked against: what Consul has recorded, and what this installation ships."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from nomadflows.builtin import builtin_components

if TYPE_CHECKING:
    from nomadflows.model.component import ComponentVersion
    from nomadflows.store import Store

Catalogue = dict[str, list["ComponentVersion"]]  # name → versions, newest first


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

    found = store.components()
    for name, versions in shipped().items():
        known = found.setdefault(name, [])
        known += [version for version in versions if version.version not in {v.version for v in known}]
        known.sort(key=lambda version: semver_key(version.version), reverse=True)
    return found
