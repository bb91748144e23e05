"""The inbox: one small key per request, so that the leader watches one short prefix instead of all flows."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Final

from nomadflows.model.names import FlowRef
from nomadflows.model.states import timestamp
from nomadflows.store.consul_client import Entry
from nomadflows.store.documents import InboxEntry
from nomadflows.store.keys import Keys
from nomadflows.store.transaction import MOST_OPERATIONS, Set

MOST_AT_ONCE: Final = MOST_OPERATIONS - 1  # deletions in a transaction that also checks the fence

CHANGED: Final = "changed"
DELETED: Final = "deleted"
RUN_NOW: Final = "run-now"


def notice(keys: Keys, ref: FlowRef, request: str, *, by: str, at: datetime) -> Set:
    """The change that makes the leader look at a flow; it belongs into the transaction it tells of."""
    value = {"flow": str(ref), "request": request, "by": by, "at": timestamp(at)}
    return Set(keys.inbox_entry(ref, at), value, cas=0)


def read_entry(keys: Keys, entry: Entry) -> InboxEntry:
    """Whatever a hand may have put there: an entry nobody can read must not block those behind it."""
    try:
        data = json.loads(entry.value)
    except ValueError:
        data = None
    if not isinstance(data, dict):
        return InboxEntry(entry.key, entry.index, keys.inbox_flow(entry.key))
    flow: FlowRef | None
    try:
        flow = FlowRef.parse(str(data.get("flow", "")))
    except ValueError:
        flow = keys.inbox_flow(entry.key)
    text = {name: str(data[name]) for name in ("request", "by", "at") if name in data}
    return InboxEntry(entry.key, entry.index, flow, **text)
