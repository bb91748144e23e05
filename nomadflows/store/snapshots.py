"""Snapshots set by people, while the flow is stopped: put, replaced, forgotten."""

from __future__ import annotations

from typing import Any

from nomadflows.model import requests as rules
from nomadflows.model.errors import Conflict, NotFound, Refused
from nomadflows.model.names import FlowRef
from nomadflows.store.documents import FlowRecord
from nomadflows.store.keys import DESIRED, META
from nomadflows.store.request import definition_of, existing, insist
from nomadflows.store.store import Store
from nomadflows.store.transaction import Change, Check, Delete, Set

Json = dict[str, Any]


def put(store: Store, ref: FlowRef, step: str, value: Json) -> None:
    """The first snapshot of a step. Refused if there is one."""
    record = _stopped(store, ref, step)
    if store.snapshot(ref, step) is not None:
        raise Refused(f"step {step} of flow {ref} has a snapshot already")
    _commit(store, record, Set(store.keys.snapshot(ref, step), value, 0))


def replace(store: Store, ref: FlowRef, step: str, value: Json) -> None:
    """Another snapshot instead of the one a step has. NotFound if it has none."""
    record, index = _stopped(store, ref, step), _index(store, ref, step)
    _commit(store, record, Set(store.keys.snapshot(ref, step), value, index))


def forget(store: Store, ref: FlowRef, step: str) -> None:
    """The step begins anew. A step that is gone may have left one, too."""
    record, index = existing(store, ref), _index(store, ref, step)
    insist(rules.may_set_snapshot(ref, record.desired.value, record.status.value))
    _commit(store, record, Delete(store.keys.snapshot(ref, step), index))


def _stopped(store: Store, ref: FlowRef, step: str) -> FlowRecord:
    """The flow, if it is stopped and has such a step: in its newest version, or in its draft before there is one."""
    record = existing(store, ref)
    insist(rules.may_set_snapshot(ref, record.desired.value, record.status.value))
    draft = store.draft(ref)
    drafted: Json = draft.value.get("definition") or {} if draft else {}
    published = definition_of(store, ref, record.meta.value.latest) or {}
    known = [str(one["id"]) for definition in (published, drafted) for one in definition.get("steps", ())]
    if step not in known:
        raise NotFound(f"flow {ref} has no step {step!r}; it has {', '.join(dict.fromkeys(known))}")
    return record


def _index(store: Store, ref: FlowRef, step: str) -> int:
    found = store.snapshot(ref, step)
    if found is None:
        raise NotFound(f"step {step!r} of flow {ref} has no snapshot")
    return found.index


def _commit(store: Store, record: FlowRecord, change: Change) -> None:
    """While nobody wishes otherwise, a stopped flow stays stopped."""
    keys, ref = store.keys, record.ref
    unchanged = [Check(keys.flow(ref, META), record.meta.index), Check(keys.flow(ref, DESIRED), record.desired.index)]
    try:
        store.transact([change, *unchanged])
    except Conflict as conflict:
        raise Conflict(f"flow {ref} was changed at the same time; nothing was done", hint="repeat it") from conflict
