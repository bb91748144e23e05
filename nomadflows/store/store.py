"""The state of flows in Consul: reading it, changing it by compare-and-set, waiting for it to change.

It knows documents and keys, not rules: whether something may be done is decided in `model.requests`, what is to
be done next in `plan`. A flow's definition is plain JSON here.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from nomadflows.model.component import ComponentVersion
from nomadflows.model.errors import NotFound
from nomadflows.model.freshness import newest
from nomadflows.model.names import FlowRef, VersionRef
from nomadflows.model.semver import semver_key
from nomadflows.model.states import Deleted, Event, Status
from nomadflows.store import history
from nomadflows.store.consul_client import ConsulClient, Entry
from nomadflows.store.documents import FlowRecord, InboxEntry, Unreadable, Versioned, decode
from nomadflows.store.inbox import MOST_AT_ONCE, read_entry
from nomadflows.store.keys import DELETED, DRAFT, EVENTS, META, STATUS, Keys
from nomadflows.store.listing import read_flow, read_flows
from nomadflows.store.transaction import Change, Delete, Exists, Fence, Set, commit

Json = dict[str, Any]


class Store:
    """Made without a word to Consul; safe to share between threads."""

    def __init__(
        self, addr: str, token: str = "", prefix: str = "nomadflows", *, cacert: str = "", timeout: float = 5.0
    ) -> None:
        self.client = ConsulClient(addr, token, cacert=cacert, timeout=timeout)
        self.keys = Keys(prefix.strip("/"))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection of the calling thread."""
        self.client.close()

    # Flows

    def flow(self, ref: FlowRef) -> FlowRecord | None:
        """One flow as of one moment. Unreadable if one of its documents is broken."""
        return read_flow(self.client, self.keys, ref)

    def flows(self, workspace: str | None = None) -> list[FlowRecord]:
        """All flows, sorted. A flow that cannot be read is told by its `problem`."""
        return read_flows(self.client, self.keys, workspace)

    def flow_refs(self, workspace: str | None = None) -> list[FlowRef]:
        """Names alone: a tenth of the cost of `flows`."""
        refs, _ = self.keys.flow_names(self.client.names(self.keys.flows(workspace)))
        return refs

    def deleted_flow(self, ref: FlowRef) -> Versioned[Deleted] | None:
        """What stands in the place of a flow that was deleted and can be restored; None if there is no such one."""
        found = self.client.get(self.keys.flow(ref, DELETED))
        return _deleted(found) if found else None

    def deleted_flows(self, workspace: str | None = None) -> dict[FlowRef, Versioned[Deleted]]:
        """Every flow that was deleted and can be restored, sorted."""
        found = ((ref, self.deleted_flow(ref)) for ref in self.deleted_refs(workspace))
        return {ref: mark for ref, mark in found if mark is not None}

    def deleted_refs(self, workspace: str | None = None) -> list[FlowRef]:
        """Their names alone."""
        return self.keys.deleted_flows(self.client.names(self.keys.flows(workspace)))

    def wait_flow(self, ref: FlowRef, index: int, wait_s: float) -> tuple[FlowRecord, int]:
        """The flow once its status differs from what `index` stands for, or the wait is over; index 0: at once.
        NotFound if there is no such flow (any more)."""
        _, seen = self.client.watch(self.keys.flow(ref, STATUS), index, wait_s)
        record = self.flow(ref)
        if record is None:
            raise NotFound(f"there is no flow {ref}", hint="`nomadflows flow list` shows what there is")
        return record, seen

    def draft(self, ref: FlowRef) -> Versioned[Json] | None:
        return self._document(self.keys.flow(ref, DRAFT))

    def version(self, vref: VersionRef) -> Json | None:
        found = self._document(self.keys.version(vref))
        return found.value if found else None

    def versions(self, ref: FlowRef) -> list[Json]:
        """Every published version that is kept, oldest first."""
        entries = [entry for entry in self.client.below(self.keys.versions(ref)) if _last_word(entry).isdecimal()]
        return [decode(entry) for entry in sorted(entries, key=lambda entry: int(_last_word(entry)))]

    def events(self, ref: FlowRef) -> list[Event]:
        """What happened, oldest first."""
        found = self._document(self.keys.flow(ref, EVENTS))
        return history.read(found.value) if found else []

    def write_status(
        self,
        ref: FlowRef,
        status: Status,
        events: Sequence[Event] = (),
        *,
        expected_index: int,
        fence: Fence | None,
        also: Sequence[Change] = (),
    ) -> int:
        """The status, what led to it and changes that belong to it, together; answers with the new index.

        Conflict if the status is not the one read before, or the flow is gone; LostLeadership if the fence is.
        """
        key = self.keys.flow(ref, STATUS)
        changes: list[Change] = [Exists(self.keys.flow(ref, META)), Set(key, status.to_json(), expected_index), *also]
        if events:
            changes.append(self._appended(ref, events))
        return self.transact(changes, fence)[key]

    def transact(self, changes: Sequence[Change], fence: Fence | None = None) -> dict[str, int]:
        """All changes or none; answers with the new index of each key set."""
        return commit(self.client, changes, fence)

    def _appended(self, ref: FlowRef, events: Sequence[Event]) -> Set:
        key = self.keys.flow(ref, EVENTS)
        found = self.client.get(key)
        try:
            known = decode(found) if found else {}
        except Unreadable:  # a history spoilt by hand is begun anew: it may not keep the flow from being worked on
            known = {}
        return Set(key, history.appended(known, events), found.index if found else 0)

    # Snapshots

    def snapshot(self, ref: FlowRef, step: str) -> Versioned[Json] | None:
        return self._document(self.keys.snapshot(ref, step))

    def snapshots(self, ref: FlowRef) -> dict[str, Json]:
        """step → its snapshot."""
        below = self.keys.snapshots(ref)
        return {entry.key.removeprefix(below): decode(entry) for entry in self.client.below(below)}

    def put_snapshot(
        self, ref: FlowRef, step: str, value: Json, *, cas: int | None = None, fence: Fence | None = None
    ) -> int:
        """Conflict if there is no such flow (any more), or `cas` is given and not the snapshot's index."""
        key = self.keys.snapshot(ref, step)
        return self.transact([Exists(self.keys.flow(ref, META)), Set(key, value, cas)], fence)[key]

    def delete_snapshot(self, ref: FlowRef, step: str) -> None:
        self.transact([Delete(self.keys.snapshot(ref, step))])

    # Components and workspaces

    def components(self) -> dict[str, list[ComponentVersion]]:
        """name → its versions, newest first."""
        found: dict[str, list[ComponentVersion]] = {}
        for entry in self.client.below(self.keys.components):
            if "/versions/" not in entry.key:
                continue
            version = _component(entry)
            found.setdefault(version.name, []).append(version)
        return {name: _newest_first(versions) for name, versions in found.items()}

    def component_versions(self, name: str) -> list[ComponentVersion]:
        """Newest first, in semver's order."""
        return _newest_first([_component(entry) for entry in self.client.below(self.keys.component_versions(name))])

    def component(self, name: str, version: str) -> ComponentVersion | None:
        entry = self.client.get(self.keys.component(name, version))
        return _component(entry) if entry else None

    def put_component(self, component: ComponentVersion, *also: Change) -> None:
        """Record a new version. Conflict if it is there already: a component version never changes."""
        key = self.keys.component(component.name, component.version)
        self.transact([Set(key, component.to_json(), cas=0), *also])

    def delete_component(self, name: str, version: str, *also: Change) -> None:
        gone = [Delete(self.keys.component(name, version)), Delete(self.keys.deprecation(name, version))]
        self.transact([*gone, *also])

    def highest_component(self, name: str) -> Versioned[Json]:
        """What is on record of the highest version there ever was; {} if nothing is."""
        return self._document(self.keys.highest_component(name)) or Versioned({})

    def deprecations(self, name: str) -> dict[str, Json]:
        """name@version → why, by whom and when it was marked."""
        below = self.keys.deprecations(name)
        return {f"{name}@{entry.key.removeprefix(below)}": decode(entry) for entry in self.client.below(below)}

    def deprecated_versions(self) -> set[str]:
        """name@version of all that is marked, of whatever component."""
        return self.keys.deprecated(self.client.names(self.keys.components))

    def put_deprecation(self, name: str, version: str, mark: Json | None) -> None:
        """Mark a version, or with None take the mark away. Conflict if there is no such version (any more)."""
        key = self.keys.deprecation(name, version)
        change = Delete(key) if mark is None else Set(key, mark, None)
        self.transact([Exists(self.keys.component(name, version)), change])

    def newest_component(self, name: str) -> ComponentVersion | None:
        """What a step gets that names no version. One read: a flow's start waits for it."""
        entries = self.client.below(f"{self.keys.components}{name}/")
        marked, numbered = self.keys.deprecations(name), self.keys.component_versions(name)
        versions = [_component(entry) for entry in entries if entry.key.startswith(numbered)]
        marks = {f"{name}@{entry.key.removeprefix(marked)}" for entry in entries if entry.key.startswith(marked)}
        return newest(_newest_first(versions), marks)

    def workspace(self, name: str) -> Versioned[Json] | None:
        return self._document(self.keys.workspace(name))

    def workspaces(self) -> dict[str, Json]:
        """name → what is recorded of it."""
        below = self.keys.workspaces
        return {entry.key.removeprefix(below): decode(entry) for entry in self.client.below(below)}

    def put_workspace(self, name: str, value: Json, *, cas: int | None) -> int:
        key = self.keys.workspace(name)
        return self.transact([Set(key, value, cas)])[key]

    def installation_limits(self) -> Versioned[Json] | None:
        return self._document(self.keys.limits)

    def put_installation_limits(self, value: Json, *, cas: int) -> int:
        return self.transact([Set(self.keys.limits, value, cas)])[self.keys.limits]

    # The leader's inbox

    def inbox(self, index: int = 0, wait_s: float = 60.0) -> tuple[list[InboxEntry], int]:
        """What waits for the leader, oldest request first, once that differs from what `index` stands for."""
        entries, seen = self.client.watch_prefix(self.keys.inbox, index, wait_s)
        found = [read_entry(self.keys, entry) for entry in entries]
        return sorted(found, key=lambda entry: (entry.at, entry.key)), seen

    def done(self, *entries: InboxEntry, fence: Fence | None = None) -> None:
        """Take requests off the inbox. With a fence a deposed leader cannot take its successor's."""
        for start in range(0, len(entries), MOST_AT_ONCE):
            self.transact([Delete(entry.key) for entry in entries[start : start + MOST_AT_ONCE]], fence)

    def _document(self, key: str) -> Versioned[Json] | None:
        entry = self.client.get(key)
        return Versioned(decode(entry), entry.index) if entry else None


def _last_word(entry: Entry) -> str:
    return entry.key.rpartition("/")[2]


def _deleted(entry: Entry) -> Versioned[Deleted]:
    try:
        return Versioned(Deleted.from_json(decode(entry)), entry.index)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Unreadable(entry.key, error) from error


def _component(entry: Entry) -> ComponentVersion:
    data = decode(entry)
    try:
        return ComponentVersion.from_json(data)
    except TypeError as error:
        raise Unreadable(entry.key, error) from error


def _newest_first(versions: list[ComponentVersion]) -> list[ComponentVersion]:
    return sorted(versions, key=lambda version: semver_key(version.version), reverse=True)
