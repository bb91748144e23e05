"""What a published version consists of, read once: versions never change, and no number of one is used again."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from nomadflows.broker.topology import Topology, topology
from nomadflows.model.component import ComponentVersion
from nomadflows.model.errors import NotFound
from nomadflows.model.flow import FlowDefinition
from nomadflows.model.graph import RunStep, expand
from nomadflows.model.limits import of_version
from nomadflows.model.names import FlowRef, VersionRef
from nomadflows.model.queuelimits import QueueLimits
from nomadflows.store.store import Store

_KEPT: Final = 1_000


@dataclass(frozen=True, slots=True)
class Version:
    """A published definition and the steps it runs as."""

    ref: VersionRef
    definition: FlowDefinition
    steps: tuple[RunStep, ...]
    digest: str
    limits: QueueLimits  # of its queues, as they were when it was published

    @property
    def replicas(self) -> dict[str, int]:
        return {step.id: step.replicas for step in self.steps}

    @property
    def topology(self) -> Topology:
        return topology(self.ref, self.steps, self.limits)

    @property
    def trigger(self) -> RunStep:
        return self.steps[0]

    def resolve(self, store: Store) -> dict[str, str]:
        """step id → component version, the newest where the definition names none. NotFound if there is none."""
        return {step.id: _resolve(store, step).ref for step in self.steps}


class Versions:
    """Definitions and components by name, kept in memory. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._versions: OrderedDict[VersionRef, Version] = OrderedDict()
        self._components: OrderedDict[str, ComponentVersion] = OrderedDict()

    def get(self, store: Store, ref: VersionRef) -> Version:
        """NotFound if that version was never published."""
        with self._lock:
            if ref in self._versions:
                self._versions.move_to_end(ref)
                return self._versions[ref]
        document = store.version(ref)
        if document is None:
            raise NotFound(f"version {ref.number} of flow {ref.ref} is not in Consul")
        definition = FlowDefinition.from_json(document["definition"])
        version = Version(ref, definition, expand(definition), document.get("digest", ""), of_version(document))
        with self._lock:
            self._versions[ref] = version
            while len(self._versions) > _KEPT:
                self._versions.popitem(last=False)
        return version

    def forget(self, ref: FlowRef) -> None:
        """The flow is gone. One that is later made by the same name counts its versions from 1 again."""
        with self._lock:
            for version in [version for version in self._versions if version.ref == ref]:
                del self._versions[version]

    def components(self, store: Store, resolved: Mapping[str, str]) -> dict[str, ComponentVersion]:
        """step id → component, for what `Version.resolve` (or a status) names. NotFound if one is gone."""
        return {step: self._component(store, name) for step, name in resolved.items()}

    def _component(self, store: Store, ref: str) -> ComponentVersion:
        with self._lock:
            if ref in self._components:
                return self._components[ref]
        name, _, number = ref.partition("@")
        component = store.component(name, number)
        if component is None:
            raise NotFound(f"component {ref} is not known", hint="`nomadflows component list` shows what is")
        with self._lock:
            self._components[ref] = component
            while len(self._components) > _KEPT:
                self._components.popitem(last=False)
        return component


def credentials_of(version: Version, components: Mapping[str, ComponentVersion]) -> list[str]:
    """What the version's job must be able to read: what its steps name, and what fetches their images."""
    named = {step.credential for step in version.steps if step.credential}
    return sorted(named | {one.registry_credential for one in components.values() if one.registry_credential})


def _resolve(store: Store, step: RunStep) -> ComponentVersion:
    found = store.component(step.use, step.pinned) if step.pinned else store.newest_component(step.use)
    if found is None:
        wanted = f"{step.use}@{step.pinned}" if step.pinned else step.use
        raise NotFound(
            f"step {step.id}: component {wanted} is not known", hint="`nomadflows component list` shows what is"
        )
    return found
