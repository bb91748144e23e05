"""Reading the documents of many flows in few round trips.

A recursive read of `flows/` would drag every version and every event along: hundreds of megabytes for some
thousand flows. So the names are listed first (names are cheap), then what is wanted of each flow is read in
transactions of 64 keys, all documents of a flow in the same one. Several at a time are no faster: decoding them
is most of the work.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from nomadflows.model.names import FlowRef
from nomadflows.store.consul_client import ConsulClient, Entry
from nomadflows.store.documents import FlowRecord, Unreadable, flow_record, unreadable_record
from nomadflows.store.keys import DESIRED, DRAFT, META, STATUS, Keys
from nomadflows.store.transaction import MOST_OPERATIONS

_DOCUMENTS: Final = (META, DESIRED, STATUS)
_BATCH: Final = MOST_OPERATIONS // len(_DOCUMENTS)


def read_flow(client: ConsulClient, keys: Keys, ref: FlowRef) -> FlowRecord | None:
    """One flow as of one moment, in one round trip. Unreadable if a document of it is broken."""
    meta, desired, status, draft = client.get_many([keys.flow(ref, name) for name in (*_DOCUMENTS, DRAFT)])
    if not meta.index:
        return None
    return flow_record(ref, meta, desired, status, has_draft=draft.index > 0)


def read_flows(client: ConsulClient, keys: Keys, workspace: str | None) -> list[FlowRecord]:
    """Every flow, sorted by workspace and name."""
    refs, drafts = keys.flow_names(client.names(keys.flows(workspace)))
    batches = [refs[start : start + _BATCH] for start in range(0, len(refs), _BATCH)]
    return [record for batch in batches for record in _records(batch, _documents(client, keys, batch), drafts)]


def _documents(client: ConsulClient, keys: Keys, batch: Sequence[FlowRef]) -> list[Entry]:
    return client.get_many([keys.flow(ref, name) for ref in batch for name in _DOCUMENTS])


def _records(batch: Sequence[FlowRef], entries: Sequence[Entry], drafts: set[FlowRef]) -> list[FlowRecord]:
    records = []
    for number, ref in enumerate(batch):
        meta, desired, status = entries[number * len(_DOCUMENTS) : (number + 1) * len(_DOCUMENTS)]
        if not meta.index:  # deleted since the names were listed
            continue
        try:
            records.append(flow_record(ref, meta, desired, status, has_draft=ref in drafts))
        except Unreadable as problem:
            records.append(unreadable_record(ref, problem.message, has_draft=ref in drafts))
    return records
