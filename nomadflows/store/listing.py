"""Reading the documents of many flows in few round trips.

A recursive read of `flows/` would drag every version and every event along: hundreds of megabytes for some
thousand flows. So the names are listed first (names are cheap), then what is wanted of each flow is read in
transactions of 64 keys, all documents of a flow in the same one, a few transactions at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from nomadflows.model.names import FlowRef
from nomadflows.store.consul_client import ConsulClient, Entry
from nomadflows.store.documents import FlowRecord, Unreadable, flow_record, unreadable_record
from nomadflows.store.keys import DESIRED, DRAFT, META, STATUS, Keys
from nomadflows.store.transaction import MOST_OPERATIONS

_DOCUMENTS: Final = (META, DESIRED, STATUS)
_BATCH: Final = MOST_OPERATIONS // len(_DOCUMENTS)
_AT_ONCE: Final = 4
_WORTH_THREADS: Final = 4  # batches; fewer are read one after the other


def read_flow(client: ConsulClient, keys: Keys, ref: FlowRef) -> FlowRecord | None:
    """One flow as of one moment, in one round trip. Unreadable if a document of it is broken."""
    meta, desired, status, draft = client.get_many([keys.flow(ref, name) for name in (*_DOCUMENTS, DRAFT)])
    if not meta.index:
        return None
    return flow_record(ref, meta, desired, status, has_draft=draft.index > 0)


def read_flows(client: ConsulClient, keys: Keys, workspace: str | None) -> list[FlowRecord]:
    """Every flow, sorted by workspace and name."""
    refs: list[FlowRef] = []
    drafts: set[FlowRef] = set()
    for key in client.names(keys.flows(workspace)):
        match keys.flow_document(key):
            case (ref, "meta"):
                refs.append(ref)
            case (ref, "draft"):
                drafts.add(ref)
    refs.sort()
    batches = [refs[start : start + _BATCH] for start in range(0, len(refs), _BATCH)]

    def read(batch: Sequence[FlowRef]) -> list[Entry]:
        return client.get_many([keys.flow(ref, name) for ref in batch for name in _DOCUMENTS])

    if len(batches) < _WORTH_THREADS:
        answers = [read(batch) for batch in batches]
    else:
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="read-flows") as pool:
            answers = list(pool.map(read, batches))
    return [
        record
        for batch, entries in zip(batches, answers, strict=True)
        for record in _records(batch, entries, drafts)
    ]


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
