"""Drafts and versions: `apply`, `publish`, `revert`, each one compare-and-set transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from nomadflows.model import limits
from nomadflows.model import requests as rules
from nomadflows.model.errors import InputError, Refused
from nomadflows.model.freshness import pins
from nomadflows.model.names import FlowRef
from nomadflows.model.queuelimits import QueueLimits
from nomadflows.model.states import Desired, Kind, Meta, WantedState
from nomadflows.store.documents import FlowRecord
from nomadflows.store.keys import DELETED, DESIRED, DRAFT, META
from nomadflows.store.request import Request, definition_of, existing, insist, wish
from nomadflows.store.store import Store
from nomadflows.store.transaction import Change, Check, Delete, Set

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Applied:
    """What an `apply` did. `draft`: whether a draft now waits to be published."""

    created: bool
    changed: bool
    draft: bool


@dataclass(frozen=True, slots=True)
class Strategy:
    """How a version takes the place of one that runs. `ready_timeout`: seconds it may take to come up; 0: as it says."""

    name: str = "replace"
    ready_timeout: float = 0.0

    def __post_init__(self) -> None:
        if self.name not in rules.STRATEGIES:
            raise InputError(f"unknown strategy {self.name!r}", hint=f"known: {', '.join(rules.STRATEGIES)}")


def apply(store: Store, ref: FlowRef, definition: Json, *, by: str) -> Applied:
    """Make the definition the flow's draft. A definition that is published already leaves no draft."""
    record = store.flow(ref)
    if record is None:
        return create(store, ref, definition, by=by)
    kind = _kind(definition)
    insist(rules.may_apply(ref, record.meta.value, kind))
    draft, draft_key = store.draft(ref), store.keys.flow(ref, DRAFT)
    request = Request(store, ref, by)
    changes: list[Change]
    if _published(store, record) == rules.digest(definition):
        if draft is None:
            return Applied(created=False, changed=False, draft=False)
        changes = [Delete(draft_key, draft.index), Check(store.keys.flow(ref, META), record.meta.index)]
    elif draft is not None and draft.value.get("definition") == definition:
        return Applied(created=False, changed=False, draft=True)
    else:
        document = _draft(request, definition, based_on=record.meta.value.latest)
        changes = [Set(draft_key, document, draft.index if draft else 0), _kept(store, record, kind)]
    request.commit(changes)
    return Applied(created=False, changed=True, draft=isinstance(changes[0], Set))


def draft_of(store: Store, record: FlowRecord) -> Json | None:
    """What a new draft begins with: the draft there is, else the newest version's definition."""
    draft = store.draft(record.ref)
    return draft.value["definition"] if draft else definition_of(store, record.ref, record.meta.value.latest)


def redraft(store: Store, ref: FlowRef, definition: Json, *, by: str) -> None:
    """Make the definition the flow's draft though it may be the one that is published: components that it does not pin
    have newer versions, and a publish takes those."""
    record = existing(store, ref)
    draft, request = store.draft(ref), Request(store, ref, by)
    document = _draft(request, definition, based_on=record.meta.value.latest)
    request.commit(
        [
            Set(store.keys.flow(ref, DRAFT), document, draft.index if draft else 0),
            Check(store.keys.flow(ref, META), record.meta.index),
        ]
    )


def create(store: Store, ref: FlowRef, definition: Json, *, by: str) -> Applied:
    """A new flow, with a draft. Refused if there is one, or was one until lately."""
    if store.flow(ref) is not None:
        raise Refused(f"there is a flow {ref} already", hint="`nomadflows flow apply FILE` makes a new draft of it")
    if (mark := store.deleted_flow(ref)) is not None:
        raise rules.name_is_taken(ref, mark.value)
    request, keys = Request(store, ref, by), store.keys
    request.commit(
        [
            Set(keys.flow(ref, META), Meta(ref.flow, _kind(definition), created=request.at).to_json(), 0),
            Set(keys.flow(ref, DRAFT), _draft(request, definition, based_on=0), 0),
            Set(keys.flow(ref, DESIRED), Desired(by=by, at=request.at, why="created").to_json(), 0),
            Check(keys.flow(ref, DELETED), 0),
        ]
    )
    return Applied(created=True, changed=True, draft=True)


def discard(store: Store, ref: FlowRef, *, by: str) -> None:
    """Throw the draft away; what is published stays as it is."""
    record, draft = existing(store, ref), store.draft(ref)
    insist(rules.may_discard(ref, record.meta.value, draft.value if draft else None))
    assert draft is not None, "may_discard refuses a flow without a draft"
    Request(store, ref, by).commit(
        [Delete(store.keys.flow(ref, DRAFT), draft.index), Check(store.keys.flow(ref, META), record.meta.index)]
    )


def publish(
    store: Store,
    ref: FlowRef,
    *,
    by: str,
    strategy: str = "replace",
    note: str = "",
    force: bool = False,
    ready_timeout: float = 0.0,
) -> int:
    """Make the draft the next version; a running flow is to run it. Answers with the version's number."""
    how = Strategy(strategy, ready_timeout)
    record, draft = existing(store, ref), store.draft(ref)
    definition: Json = {} if draft is None else draft.value.get("definition") or {}
    published = Delete(store.keys.flow(ref, DRAFT), draft.index if draft else 0)
    return _publish(Request(store, ref, by), record, definition or None, how, note=note, force=force, also=[published])


def revert(
    store: Store,
    ref: FlowRef,
    number: int,
    *,
    by: str,
    strategy: str = "replace",
    note: str = "",
    force: bool = False,
    ready_timeout: float = 0.0,
) -> int:
    """Make what version `number` says the next version. A draft stays what it is. Answers with the new number."""
    how = Strategy(strategy, ready_timeout)
    record, definition = existing(store, ref), definition_of(store, ref, number)
    insist(rules.may_revert(ref, record.meta.value, number, definition))
    note = note or f"as version {number}"
    return _publish(Request(store, ref, by), record, definition, how, note=note, force=force, also=())


def queue_limits(store: Store, workspace: str, definition: Json) -> QueueLimits:
    """What a version published now would have."""
    recorded, installation = store.workspace(workspace), store.installation_limits()
    return limits.resolve(
        definition, recorded.value if recorded else None, installation.value if installation else None
    )


def _publish(
    request: Request,
    record: FlowRecord,
    definition: Json | None,
    how: Strategy,
    *,
    note: str,
    force: bool,
    also: Sequence[Change],
) -> int:
    store, ref, keys = request.store, request.ref, request.store.keys
    meta, desired = record.meta.value, record.desired.value
    latest = definition_of(store, ref, meta.latest)
    if definition is not None and latest is not None and rules.digest(definition) == rules.digest(latest):
        force = force or _components_behind(store, record)
    current = definition_of(store, ref, desired.version) if desired.state is WantedState.SUSPENDED else None
    insist(rules.may_publish(ref, desired, definition, latest, current, forced=force))
    assert definition is not None, "may_publish refuses a flow without a draft"
    number = meta.latest + 1
    version = {
        "number": number,
        "author": request.by,
        "at": request.at,
        "note": note,
        "digest": rules.digest(definition),
        "definition": definition | {"kind": meta.kind.value},
        "limits": queue_limits(store, ref.workspace, definition).to_json(),
    }
    request.commit(
        [
            Set(keys.version(ref.version(number)), version, 0),
            Set(keys.flow(ref, META), replace(meta, latest=number).to_json(), record.meta.index),
            *also,
            _wanted(request, record, version, rules.carried_scale(desired.scale, latest, definition), how),
        ]
    )
    return number


def _components_behind(store: Store, record: FlowRecord) -> bool:
    """Whether the active version would run other components if it were published as it is."""
    pinned = pins(definition_of(store, record.ref, record.status.value.version) or {})
    running = {step: ref for step, ref in record.status.value.components.items() if step not in pinned}
    names = {ref.partition("@")[0] for ref in running.values()}
    return any((best := store.newest_component(name)) and best.ref not in running.values() for name in sorted(names))


def _wanted(request: Request, record: FlowRecord, version: Json, scale: dict[str, int], how: Strategy) -> Change:
    """What becomes of the wish: an active flow is to run the version, any other stays as it is."""
    desired, number = record.desired.value, version["number"]
    at, by, note = request.at, request.by, version["note"]
    why = f"version {number} published" + (f": {note}" if note else "")
    if desired.state is WantedState.RUNNING:
        wished = rules.replaced(desired, number, how.name, by=by, at=at, why=why, ready_timeout=how.ready_timeout)
        return wish(request.store, record, replace(wished, scale=scale))
    if scale != desired.scale:
        return wish(request.store, record, rules.adjusted(desired, by=by, at=at, why=why, scale=scale))
    return Check(request.store.keys.flow(request.ref, DESIRED), record.desired.index)


def _kind(definition: Json) -> Kind:
    return Kind.parse(str(definition.get("kind", Kind.ORDINARY)))


def _draft(request: Request, definition: Json, *, based_on: int) -> Json:
    return {"by": request.by, "at": request.at, "based_on": based_on, "definition": definition}


def _kept(store: Store, record: FlowRecord, kind: Kind) -> Change:
    """The kind of a flow follows its draft until it is first published, then it is the flow's own."""
    key = store.keys.flow(record.ref, META)
    if record.meta.value.kind is kind:
        return Check(key, record.meta.index)
    return Set(key, replace(record.meta.value, kind=kind).to_json(), record.meta.index)


def _published(store: Store, record: FlowRecord) -> str:
    """Digest of the newest version's definition; "" if there is none."""
    definition = definition_of(store, record.ref, record.meta.value.latest)
    return "" if definition is None else rules.digest(definition)
