"""What people ask of a flow, each as one compare-and-set transaction with a key in the leader's inbox.

Whether it may be done is decided by `model.requests` on what was read; the transaction holds only if that is still
so. Of two that change the same flow at once one wins, the other gets a Conflict that says who was first.
"""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from nomadflows.model import requests as rules
from nomadflows.model.errors import Conflict, InputError, NotFound, Refused
from nomadflows.model.names import FlowRef
from nomadflows.model.requests import NothingToPublish
from nomadflows.model.states import Desired, Kind, Meta, WantedState, timestamp, utc_now
from nomadflows.store import inbox
from nomadflows.store.documents import FlowRecord
from nomadflows.store.keys import DESIRED, DRAFT, META, STATUS
from nomadflows.store.store import Store
from nomadflows.store.transaction import Change, Check, Delete, DeleteTree, Fence, LostLeadership, Set

__all__ = [
    "Applied", "NothingToPublish", "apply", "delete", "publish", "resume", "run_now", "set_kind", "start", "stop", "suspend", "whoami",
]  # fmt: skip

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Applied:
    """What an `apply` did. `draft`: whether a draft now waits to be published."""

    created: bool
    changed: bool
    draft: bool


def whoami() -> str:
    """`user@host`, for callers that know no better name."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):  # a user id without a name, as in containers
        user = f"uid-{os.getuid()}"
    return f"{user}@{socket.gethostname()}"


def apply(store: Store, ref: FlowRef, definition: Json, *, by: str) -> Applied:
    """Make the definition the flow's draft. A definition that is published already leaves no draft."""
    request = _Request(store, ref, by)
    kind = Kind.parse(str(definition.get("kind", Kind.ORDINARY)))
    record = store.flow(ref)
    if record is None:
        return _create(request, definition, kind)
    _insist(rules.may_apply(ref, record.meta.value, kind))
    draft, draft_key = store.draft(ref), store.keys.flow(ref, DRAFT)
    changes: list[Change]
    if _published(store, record) == rules.digest(definition):
        if draft is None:
            return Applied(created=False, changed=False, draft=False)
        changes = [Delete(draft_key, draft.index), Check(store.keys.flow(ref, META), record.meta.index)]
    elif draft is not None and draft.value.get("definition") == definition:
        return Applied(created=False, changed=False, draft=True)
    else:
        document = request.draft(definition, based_on=record.meta.value.latest)
        changes = [Set(draft_key, document, draft.index if draft else 0), _kept(store, record, kind)]
    request.commit(changes)
    return Applied(created=False, changed=True, draft=isinstance(changes[0], Set))


def publish(
    store: Store, ref: FlowRef, *, by: str, strategy: str = "replace", note: str = "", force: bool = False
) -> int:
    """Make the draft the next version; a running flow is to run it. Answers with the version's number."""
    if strategy not in rules.STRATEGIES:
        raise InputError(f"unknown strategy {strategy!r}", hint=f"known: {', '.join(rules.STRATEGIES)}")
    request, record, keys = _Request(store, ref, by), _existing(store, ref), store.keys
    meta, desired, draft = record.meta.value, record.desired.value, store.draft(ref)
    definition: Json = {} if draft is None else draft.value.get("definition") or {}
    latest = _definition(store, ref, meta.latest)
    current = _definition(store, ref, desired.version) if desired.state is WantedState.SUSPENDED else None
    _insist(rules.may_publish(ref, desired, definition or None, latest, current, forced=force))
    number = meta.latest + 1
    version = {
        "number": number,
        "author": by,
        "at": request.at,
        "note": note,
        "digest": rules.digest(definition),
        "definition": definition | {"kind": meta.kind.value},
    }
    changes: list[Change] = [
        Set(keys.version(ref.version(number)), version, 0),
        Set(keys.flow(ref, META), replace(meta, latest=number).to_json(), record.meta.index),
        Delete(keys.flow(ref, DRAFT), draft.index if draft else 0),
    ]
    if desired.state is WantedState.RUNNING:
        why = f"version {number} published" + (f": {note}" if note else "")
        wished = rules.replaced(desired, number, strategy, by=by, at=request.at, why=why)
        changes.append(_wished(store, record, wished))
    else:
        changes.append(Check(keys.flow(ref, DESIRED), record.desired.index))
    request.commit(changes)
    return number


def start(store: Store, ref: FlowRef, *, by: str, why: str = "") -> Desired:
    """Run the newest version."""
    record = _existing(store, ref)
    meta, desired = record.meta.value, record.desired.value
    _insist(rules.may_start(ref, meta, desired, record.status.value))
    return _run_latest(_Request(store, ref, by), record, why, force=False)


def stop(
    store: Store, ref: FlowRef, *, by: str, why: str = "", drain: bool = False, fence: Fence | None = None
) -> Desired:
    """End the flow and drop its messages; with `drain` let it finish them first. A stopped flow stays as it is."""
    request, record = _Request(store, ref, by), _existing(store, ref)
    desired = record.desired.value
    if not rules.stop_changes(desired, record.status.value, drain=drain):
        return desired
    wished = rules.wish(desired, WantedState.STOPPED, version=desired.version, by=by, at=request.at, why=why)
    wished = replace(wished, drain=drain)
    request.commit([_wished(store, record, wished)], fence=fence)
    return wished


def suspend(store: Store, ref: FlowRef, *, by: str, why: str = "", fence: Fence | None = None) -> Desired:
    """End the flow's processes and keep its messages."""
    request, record = _Request(store, ref, by), _existing(store, ref)
    desired = record.desired.value
    _insist(rules.may_suspend(ref, desired))
    wished = rules.wish(desired, WantedState.SUSPENDED, version=desired.version, by=by, at=request.at, why=why)
    request.commit([_wished(store, record, wished)], fence=fence)
    return wished


def resume(store: Store, ref: FlowRef, *, by: str, why: str = "", force: bool = False) -> Desired:
    """Go on after a suspension, with the newest version."""
    record = _existing(store, ref)
    _insist(rules.may_resume(ref, record.desired.value))
    return _run_latest(_Request(store, ref, by), record, why, force=force)


def set_kind(store: Store, ref: FlowRef, kind: Kind, *, by: str) -> Meta:
    """Make a stopped flow real-time or ordinary, from its next start on. Nothing to do if it is so already."""
    request, record = _Request(store, ref, by), _existing(store, ref)
    meta, desired, status = record.meta.value, record.desired.value, record.status.value
    if meta.kind is kind:
        return meta
    _insist(rules.may_set_kind(ref, meta, desired, status, kind))
    changed = replace(meta, kind=kind)
    why = "real-time enabled" if kind is Kind.REALTIME else "real-time disabled"
    wished = rules.wish(desired, desired.state, version=desired.version, by=by, at=request.at, why=why)
    request.commit([
        Set(store.keys.flow(ref, META), changed.to_json(), record.meta.index),
        _wished(store, record, wished),
        Check(store.keys.flow(ref, STATUS), record.status.index),
    ])
    return changed


def run_now(store: Store, ref: FlowRef, *, by: str) -> None:
    """One extra tick for the trigger of an active flow."""
    record = _existing(store, ref)
    _insist(rules.may_run_now(ref, record.desired.value))
    _Request(store, ref, by).commit([Check(store.keys.flow(ref, DESIRED), record.desired.index)], tell=inbox.RUN_NOW)


def delete(store: Store, ref: FlowRef, *, by: str) -> None:
    """Remove a stopped flow with its versions, history and snapshots. The leader is told, to clear what is elsewhere."""
    record, keys = _existing(store, ref), store.keys
    _insist(rules.may_delete(ref, record.desired.value, record.status.value))
    _Request(store, ref, by).commit(
        [
            Check(keys.flow(ref, META), record.meta.index),
            Check(keys.flow(ref, DESIRED), record.desired.index),
            Check(keys.flow(ref, STATUS), record.status.index),
            DeleteTree(keys.tree(ref)),
        ],
        tell=inbox.DELETED,
    )


@dataclass(frozen=True, slots=True)
class _Request:
    """Who asks what flow when."""

    store: Store
    ref: FlowRef
    by: str
    now: datetime = field(default_factory=utc_now)

    @property
    def at(self) -> str:
        return timestamp(self.now)

    def draft(self, definition: Json, *, based_on: int) -> Json:
        return {"by": self.by, "at": self.at, "based_on": based_on, "definition": definition}

    def commit(self, changes: Sequence[Change], *, tell: str = inbox.CHANGED, fence: Fence | None = None) -> None:
        """The changes and the notice to the leader, or nothing."""
        notice = inbox.notice(self.store.keys, self.ref, tell, by=self.by, at=self.now)
        try:
            self.store.transact([*changes, notice], fence)
        except LostLeadership:
            raise
        except Conflict as conflict:
            raise Conflict(
                f"flow {self.ref} was changed at the same time{self._who()}; nothing was done",
                hint=f"look at it (`nomadflows flow show {self.ref.flow}`), then repeat the command",
            ) from conflict

    def _who(self) -> str:
        """Who was first, as far as the flow tells."""
        record = self.store.flow(self.ref)
        if record is None:
            return ": it was deleted"
        desired = record.desired.value
        return f" by {desired.by}: {desired.why or desired.state}" if desired.by and desired.by != self.by else ""


def _create(request: _Request, definition: Json, kind: Kind) -> Applied:
    ref, keys, at = request.ref, request.store.keys, request.at
    request.commit([
        Set(keys.flow(ref, META), Meta(ref.flow, kind, created=at).to_json(), 0),
        Set(keys.flow(ref, DRAFT), request.draft(definition, based_on=0), 0),
        Set(keys.flow(ref, DESIRED), Desired(by=request.by, at=at, why="created").to_json(), 0),
    ])
    return Applied(created=True, changed=True, draft=True)


def _run_latest(request: _Request, record: FlowRecord, why: str, *, force: bool) -> Desired:
    """The wish to run the newest version, provided it is the newest still."""
    version, desired = record.meta.value.latest, record.desired.value
    wished = rules.wish(desired, WantedState.RUNNING, version=version, by=request.by, at=request.at, why=why)
    wished = replace(wished, force=force)
    meta_key = request.store.keys.flow(record.ref, META)
    request.commit([_wished(request.store, record, wished), Check(meta_key, record.meta.index)])
    return wished


def _wished(store: Store, record: FlowRecord, wished: Desired) -> Set:
    return Set(store.keys.flow(record.ref, DESIRED), wished.to_json(), record.desired.index)


def _kept(store: Store, record: FlowRecord, kind: Kind) -> Change:
    """The kind of a flow follows its draft until it is first published, then it is the flow's own."""
    key = store.keys.flow(record.ref, META)
    if record.meta.value.kind is kind:
        return Check(key, record.meta.index)
    return Set(key, replace(record.meta.value, kind=kind).to_json(), record.meta.index)


def _definition(store: Store, ref: FlowRef, number: int) -> Json | None:
    version = store.version(ref.version(number)) if number else None
    return None if version is None else version.get("definition")


def _published(store: Store, record: FlowRecord) -> str:
    """Digest of the newest version's definition; "" if there is none."""
    definition = _definition(store, record.ref, record.meta.value.latest)
    return "" if definition is None else rules.digest(definition)


def _existing(store: Store, ref: FlowRef) -> FlowRecord:
    record = store.flow(ref)
    if record is None:
        raise NotFound(f"there is no flow {ref}", hint="`nomadflows flow list` shows what there is")
    return record


def _insist(refusal: Refused | None) -> None:
    if refusal is not None:
        raise refusal
