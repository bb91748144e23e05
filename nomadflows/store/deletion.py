"""Deleting flows, bringing them back, and removing them for good.

A deleted flow is one whose `meta` has become `deleted`: nothing that looks for flows finds it, nothing that insists
on its `meta` can be written, and all its other documents stay where they are until it is restored or removed.
"""

from __future__ import annotations

from datetime import timedelta

from nomadflows.model import requests as rules
from nomadflows.model.errors import Conflict, NotFound
from nomadflows.model.names import FlowRef
from nomadflows.model.states import Deleted
from nomadflows.store import inbox
from nomadflows.store.documents import Versioned
from nomadflows.store.keys import DELETED, DESIRED, META
from nomadflows.store.request import Request, existing, insist
from nomadflows.store.store import Store
from nomadflows.store.transaction import Check, Delete, DeleteTree, Fence, Set


def delete(store: Store, ref: FlowRef, *, by: str, keep: timedelta = rules.KEPT) -> Deleted:
    """Hide a stopped flow; it can be restored for as long as `keep` says."""
    record, keys, request = existing(store, ref), store.keys, Request(store, ref, by)
    insist(rules.may_delete(ref, record.desired.value, record.status.value))
    mark = rules.deleted(record.meta.value, by=by, now=request.at, until=request.now + keep)
    request.commit(
        [
            Delete(keys.flow(ref, META), record.meta.index),
            Set(keys.flow(ref, DELETED), mark.to_json(), 0),
            Check(keys.flow(ref, DESIRED), record.desired.index),  # while that is so, it stays stopped
        ],
        tell=inbox.DELETED,
    )
    return mark


def forget(store: Store, ref: FlowRef, *, by: str) -> Deleted:
    """A deleted flow need not be kept any longer: the leader removes it for good."""
    found, request = _deleted(store, ref), Request(store, ref, by)
    mark = rules.deleted(found.value.meta, by=by, now=found.value.at, until=request.now)
    request.commit([Set(store.keys.flow(ref, DELETED), mark.to_json(), found.index)], tell=inbox.DELETED)
    return mark


def restore(store: Store, ref: FlowRef, *, by: str) -> None:
    """Bring a deleted flow back as it was: stopped, with its draft, versions, history and snapshots."""
    found, request = _deleted(store, ref), Request(store, ref, by)
    insist(rules.may_restore(ref, found.value, request.now))
    request.commit(
        [
            Set(store.keys.flow(ref, META), found.value.meta.to_json(), 0),
            Delete(store.keys.flow(ref, DELETED), found.index),
        ]
    )


def purge(store: Store, ref: FlowRef, mark: Versioned[Deleted], *, fence: Fence | None) -> None:
    """Remove every document of a deleted flow. Conflict if it is not (any more) what `mark` says. What the other
    servers hold of it must be gone by then: afterwards nobody knows of it."""
    keys = store.keys
    try:
        store.transact(
            [Check(keys.flow(ref, DELETED), mark.index), Check(keys.flow(ref, META), 0), DeleteTree(keys.tree(ref))],
            fence,
        )
    except Conflict as conflict:
        if (found := store.deleted_flow(ref)) is not None and found.index == mark.index:
            raise
        raise Conflict(f"flow {ref} is not deleted any more; it was not removed") from conflict


def _deleted(store: Store, ref: FlowRef) -> Versioned[Deleted]:
    found = store.deleted_flow(ref)
    if found is not None:
        return found
    if store.flow(ref) is not None:
        raise NotFound(f"flow {ref} is not deleted")
    raise NotFound(f"there is no deleted flow {ref}", hint=f"nomadflows flow list --deleted -w {ref.workspace}")
