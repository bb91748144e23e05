"""Whether the Node steps of a flow understand one another: old versions of the step library send messages without an id,
on which new ones stop for ever. A mapper between them gives each message one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from nomadflows.model.component import ComponentVersion
from nomadflows.model.flow import FlowDefinition
from nomadflows.model.graph import predecessors
from nomadflows.model.problems import Problem
from nomadflows.model.semver import semver_key

_FIRST_WITH_IDS: Final = semver_key("2.2.0")
_FIRST_THAT_NEEDS_THEM: Final = semver_key("2.7.7")


def problems(definition: FlowDefinition, found: Mapping[int, ComponentVersion]) -> Iterator[Problem]:
    """`found`: the version with which each step would run today, by its place."""
    before = predecessors(definition.steps)
    versions = {definition.steps[index].id: version for index, version in found.items()}
    for index, version in sorted(found.items()):
        step = definition.steps[index]
        if not _needs_ids(version):
            continue
        sources = versions if step.error_handler else before[step.id]
        old = [
            source
            for source in sources
            if source in versions and step.edge(source).changes_nothing and _sends_none(versions[source])
        ]
        if old:
            yield Problem(
                ("steps", index),
                f"{old[0]!r} is of a component with version {versions[old[0]].library} of Node's library, whose messages "
                f"{step.id!r} cannot finish; allowed: a mapping between them, `map: $` changes nothing",
            )


def _sends_none(version: ComponentVersion) -> bool:
    return bool(version.library) and semver_key(version.library) < _FIRST_WITH_IDS


def _needs_ids(version: ComponentVersion) -> bool:
    """Also where the version of the library is not known."""
    return version.language == "node" and (not version.library or semver_key(version.library) >= _FIRST_THAT_NEEDS_THEM)
