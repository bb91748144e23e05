"""Consul: what is wanted of flows, how they are, who leads.

`store` reads and writes documents, `requests` is what people ask of a flow, `leadership` the leader's lock (to be
imported from there: only a controller needs it), `transaction` compare-and-set over several keys. The rules are in
`nomadflows.model`.
"""

from nomadflows.store.documents import FlowRecord, InboxEntry, Unreadable, Versioned
from nomadflows.store.store import Store
from nomadflows.store.transaction import Change, Check, Delete, DeleteTree, Exists, Fence, LostLeadership, Set

__all__ = [
    "Change", "Check", "Delete", "DeleteTree", "Exists", "Fence", "FlowRecord", "InboxEntry", "LostLeadership", "Set",
    "Store", "Unreadable", "Versioned",
]  # fmt: skip
