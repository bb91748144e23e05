"""What people ask of a flow, each as one compare-and-set transaction with a key in the leader's inbox.

Whether it may be done is decided by `model.requests` on what was read; the transaction holds only if that is still
so. Of two that change the same flow at once one wins, the other gets a Conflict that says who was first.

The wishes are here; drafts and versions are in `publishing`, the end of a flow in `deletion`.
"""

from __future__ import annotations

import getpass
import os
import socket
from dataclasses import replace
from typing import Any

from nomadflows.model import requests as rules
from nomadflows.model.errors import InputError
from nomadflows.model.names import FlowRef
from nomadflows.model.requests import NothingToPublish
from nomadflows.model.states import Desired, Kind, Meta, WantedState
from nomadflows.store import inbox
from nomadflows.store.deletion import delete, forget, purge, restore
from nomadflows.store.documents import FlowRecord
from nomadflows.store.keys import DESIRED, META
from nomadflows.store.publishing import Applied, apply, create, discard, draft_of, publish, redraft, revert
from nomadflows.store.request import Request, definition_of, existing, insist, wish
from nomadflows.store.store import Store
from nomadflows.store.transaction import Check, Fence, Set

__all__ = [
    "Applied", "NothingToPublish", "apply", "create", "delete", "discard", "draft_of", "existing", "forget", "publish",
    "purge", "redraft", "restore", "resume", "revert", "run_now", "scale", "set_kind", "set_repair", "start", "stop", "suspend", "whoami",
]  # fmt: skip

Json = dict[str, Any]


def whoami() -> str:
    """`user@host`, for callers that know no better name."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):  # a user id without a name, as in containers
        user = f"uid-{os.getuid()}"
    return f"{user}@{socket.gethostname()}"


def start(store: Store, ref: FlowRef, *, by: str, why: str = "") -> Desired:
    """Run the newest version."""
    record = existing(store, ref)
    meta, desired = record.meta.value, record.desired.value
    insist(rules.may_start(ref, meta, desired, record.status.value))
    return _run_latest(Request(store, ref, by), record, why, force=False)


def stop(
    store: Store, ref: FlowRef, *, by: str, why: str = "", drain: bool = False, fence: Fence | None = None
) -> Desired:
    """End the flow and drop its messages; with `drain` let it finish them first. A stopped flow stays as it is."""
    request, record = Request(store, ref, by), existing(store, ref)
    desired = record.desired.value
    if not rules.stop_changes(desired, record.status.value, drain=drain):
        return desired
    wished = rules.wish(desired, WantedState.STOPPED, version=desired.version, by=by, at=request.at, why=why)
    wished = replace(wished, drain=drain)
    request.commit([wish(store, record, wished)], fence=fence)
    return wished


def suspend(store: Store, ref: FlowRef, *, by: str, why: str = "", fence: Fence | None = None) -> Desired:
    """End the flow's processes and keep its messages."""
    request, record = Request(store, ref, by), existing(store, ref)
    desired = record.desired.value
    insist(rules.may_suspend(ref, desired))
    wished = rules.wish(desired, WantedState.SUSPENDED, version=desired.version, by=by, at=request.at, why=why)
    request.commit([wish(store, record, wished)], fence=fence)
    return wished


def resume(store: Store, ref: FlowRef, *, by: str, why: str = "", force: bool = False) -> Desired:
    """Go on after a suspension, with the newest version."""
    record = existing(store, ref)
    insist(rules.may_resume(ref, record.desired.value))
    return _run_latest(Request(store, ref, by), record, why, force=force)


def set_kind(store: Store, ref: FlowRef, kind: Kind, *, by: str) -> Meta:
    """Make a stopped flow real-time or ordinary, from its next start on. Nothing to do if it is so already."""
    request, record = Request(store, ref, by), existing(store, ref)
    meta, desired, status = record.meta.value, record.desired.value, record.status.value
    if meta.kind is kind:
        return meta
    insist(rules.may_set_kind(ref, meta, desired, status, kind))
    changed = replace(meta, kind=kind)
    why = "real-time enabled" if kind is Kind.REALTIME else "real-time disabled"
    wished = rules.wish(desired, desired.state, version=desired.version, by=by, at=request.at, why=why)
    # No check of the status: while nobody wishes otherwise, a stopped flow stays stopped.
    request.commit(
        [
            Set(store.keys.flow(ref, META), changed.to_json(), record.meta.index),
            wish(store, record, wished),
        ]
    )
    return changed


def scale(store: Store, ref: FlowRef, step: str, count: int | None, *, by: str) -> Desired:
    """So many processes of a step, from now on; None: as its version says. What runs is not restarted. Nothing to do
    if it is so already."""
    request, record = Request(store, ref, by), existing(store, ref)
    desired = record.desired.value
    active = desired.state is WantedState.RUNNING
    definition = definition_of(store, ref, desired.version if active else record.meta.value.latest)
    insist(rules.may_scale(ref, definition, step, count))
    assert definition is not None, "may_scale refuses a flow without a version"
    if (count or 0) > 1 and step == definition["steps"][0]["id"] and _is_polling(store, definition["steps"][0]):
        raise InputError(f"{step} remembers what it has read, two would read it twice; allowed: 1")
    changed = rules.scaled(desired, definition, step, count)
    if changed == desired.scale:
        return desired
    why = f"step {step} scaled to {count}" if count else f"step {step} scaled as its version says"
    wished = rules.adjusted(desired, by=by, at=request.at, why=why, scale=changed)
    request.commit([wish(store, record, wished), Check(store.keys.flow(ref, META), record.meta.index)])
    return wished


def set_repair(store: Store, ref: FlowRef, *, repair: bool, by: str, why: str = "") -> Desired:
    """Whether the controller may put right what others change in the servers. Nothing to do if it is so already."""
    request, record = Request(store, ref, by), existing(store, ref)
    desired = record.desired.value
    if desired.repair is repair:
        return desired
    said = ("repair resumed" if repair else "repair paused") + (f": {why}" if why else "")
    wished = rules.adjusted(desired, by=by, at=request.at, why=said, repair=repair)
    request.commit([wish(store, record, wished), Check(store.keys.flow(ref, META), record.meta.index)])
    return wished


def run_now(store: Store, ref: FlowRef, *, by: str) -> None:
    """One extra tick for the trigger of an active flow."""
    record = existing(store, ref)
    insist(rules.may_run_now(ref, record.desired.value))
    Request(store, ref, by).commit([Check(store.keys.flow(ref, DESIRED), record.desired.index)], tell=inbox.RUN_NOW)


def _run_latest(request: Request, record: FlowRecord, why: str, *, force: bool) -> Desired:
    """The wish to run the newest version, provided it is the newest still."""
    version, desired = record.meta.value.latest, record.desired.value
    wished = rules.wish(desired, WantedState.RUNNING, version=version, by=request.by, at=request.at, why=why)
    wished = replace(wished, force=force)
    meta_key = request.store.keys.flow(record.ref, META)
    request.commit([wish(request.store, record, wished), Check(meta_key, record.meta.index)])
    return wished


def _is_polling(store: Store, step: Json) -> bool:
    """Whether a trigger wants ticks; a component that nobody has recorded says nothing."""
    component, _, function = str(step["use"]).partition(":")
    name, _, pinned = component.partition("@")
    found = store.component(name, pinned) if pinned else store.newest_component(name)
    return found is not None and found.is_polling(function)
