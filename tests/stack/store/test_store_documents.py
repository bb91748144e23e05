"""Reading, watching and changing documents on a real Consul."""

from __future__ import annotations

import threading
import time

import pytest

from nomadflows.model.component import ComponentVersion
from nomadflows.model.errors import Conflict, NotFound
from nomadflows.model.names import FlowRef
from nomadflows.model.states import EVENTS_KEPT, Event, FlowState, Status
from nomadflows.store import Set, Store, Unreadable, requests
from tests.stack.store.harness import DEFINITION, REF, until


def test_status_and_events_are_written_together_or_not_at_all(store, ref):
    index = store.write_status(ref, Status(FlowState.STARTING), [Event("1", "A", "a")], expected_index=0, fence=None)
    index = store.write_status(ref, Status(FlowState.RUNNING), [Event("2", "B", "b")], expected_index=index, fence=None)
    with pytest.raises(Conflict, match="orders/status"):
        store.write_status(ref, Status(), [Event("3", "C", "c")], expected_index=index - 1, fence=None)

    assert [event.reason for event in store.events(ref)] == ["A", "B"]
    record = store.flow(ref)
    assert (record.status.value.state, record.status.index) == (FlowState.RUNNING, index)


def test_what_belongs_to_a_status_is_written_along_with_it(store, ref):
    desired = store.flow(ref).desired
    also = [Set(store.keys.flow(ref, "desired"), {"state": "suspended"}, desired.index)]
    store.write_status(ref, Status(FlowState.SUSPENDING), expected_index=0, fence=None, also=also)

    assert store.flow(ref).desired.value.state == "suspended"


def test_the_history_is_bounded(store, ref):
    index = 0
    for start in range(0, EVENTS_KEPT + 20, 20):
        events = [Event(str(start + n), "R", "m") for n in range(20)]
        index = store.write_status(ref, Status(), events, expected_index=index, fence=None)

    events = store.events(ref)
    assert (len(events), events[0].at, events[-1].at) == (EVENTS_KEPT, "20", str(EVENTS_KEPT + 19))


def test_a_list_holds_every_flow_once_whatever_else_is_below(store):
    refs = [FlowRef(workspace, f"flow-{n:02}") for workspace in ("a", "b") for n in range(40)]
    for ref in refs:
        requests.apply(store, ref, DEFINITION, by="b")
    requests.publish(store, refs[0], by="b")
    store.put_snapshot(refs[0], "meta", {"looks": "like a flow"})

    records = store.flows()
    assert [record.ref for record in records] == refs
    assert [record.ref for record in store.flows("b")] == refs[40:]
    assert [record.has_draft for record in records[:2]] == [False, True]
    assert records[0] == store.flow(refs[0])
    assert store.flow_refs("a") == refs[:40]
    assert store.flows("c") == []


def test_a_document_spoilt_by_hand_is_named_and_hides_no_other_flow(store, ref):
    other = FlowRef("default", "other")
    requests.apply(store, other, DEFINITION, by="b")
    store.client._consul.kv.put(store.keys.flow(ref, "desired"), '{"state": ')

    broken, well = store.flows()
    assert "orders/desired in Consul cannot be read" in broken.problem
    assert (well.ref, well.problem) == (other, "")
    with pytest.raises(Unreadable, match="orders/desired"):
        requests.start(store, ref, by="b")


def test_components_are_listed_newest_first_and_never_change(store):
    for version in ("1.2.0", "1.10.0", "1.10.0-rc.1"):
        store.put_component(ComponentVersion("sql", version, "python", {"title": version}))

    assert [component.version for component in store.component_versions("sql")] == ["1.10.0", "1.10.0-rc.1", "1.2.0"]
    assert store.component("sql", "1.2.0").descriptor == {"title": "1.2.0"}
    assert store.component("sql", "9.9.9") is None
    assert list(store.components()) == ["sql"]
    with pytest.raises(Conflict):
        store.put_component(ComponentVersion("sql", "1.2.0", "python"))


def test_snapshots_and_workspaces(store, ref):
    index = store.put_snapshot(ref, "mapper:a:b", {"seen": 1}, cas=0)
    assert store.snapshot(ref, "mapper:a:b").index == index
    with pytest.raises(Conflict):
        store.put_snapshot(ref, "mapper:a:b", {"seen": 2}, cas=index - 1)
    assert store.snapshots(ref) == {"mapper:a:b": {"seen": 1}}
    store.delete_snapshot(ref, "mapper:a:b")
    assert store.snapshot(ref, "mapper:a:b") is None
    store.put_workspace("trial", {"type": "limited"}, cas=0)
    assert store.workspaces() == {"trial": {"type": "limited"}}


def test_the_inbox_wakes_its_reader_and_is_emptied(store):
    entries, index = store.inbox(0, 5)
    assert entries == []
    threading.Timer(
        0.3, requests.apply, (Store(store.client.address, prefix=store.keys.prefix), REF, DEFINITION), {"by": "b"}
    ).start()
    began = time.monotonic()
    while not entries:
        entries, index = store.inbox(index, 5)
    assert 0.2 < time.monotonic() - began < 1.5
    store.done(*entries)
    assert store.inbox(0, 1)[0] == []


def test_more_requests_than_fit_into_a_transaction_are_taken_off(store, ref):
    requests.start(store, ref, by="b")
    for _ in range(70):
        requests.run_now(store, ref, by="b")
    entries, _ = store.inbox(0, 1)
    assert len(entries) > 70
    assert [entry.at for entry in entries] == sorted(entry.at for entry in entries)
    store.done(*entries)
    store.done(*entries)  # twice is no error
    assert store.inbox(0, 1)[0] == []


def test_a_wait_ends_with_the_change_or_with_the_time(store, ref):
    record, index = store.wait_flow(ref, 0, 5)
    began = time.monotonic()
    same, seen = store.wait_flow(ref, index, 0.5)
    assert 0.4 < time.monotonic() - began < 2
    assert same == record
    writer = Store(store.client.address, prefix=store.keys.prefix)
    threading.Timer(
        0.2, writer.write_status, (ref, Status(FlowState.STARTING)), {"expected_index": 0, "fence": None}
    ).start()
    began = time.monotonic()
    changed, _ = store.wait_flow(ref, seen, 5)
    assert time.monotonic() - began < 2
    assert changed.status.value.state is FlowState.STARTING
    requests.delete(store, _stopped(store, ref), by="b")
    with pytest.raises(NotFound):
        store.wait_flow(ref, 0, 1)


def _stopped(store: Store, ref: FlowRef) -> FlowRef:
    store.write_status(ref, Status(), expected_index=store.flow(ref).status.index, fence=None)
    return ref


def test_a_watch_never_spins(store, ref):
    """Whatever index it is asked with: ten questions take at least nine pauses of 100 ms."""
    began = time.monotonic()
    for _ in range(10):
        store.wait_flow(ref, 0, 5)
    assert time.monotonic() - began >= 0.9


def test_an_index_from_the_future_begins_anew(store, ref):
    _, index = store.wait_flow(ref, 0, 1)
    _, seen = store.client.watch(store.keys.flow(ref, "meta"), index + 1_000_000, 0.3)
    assert seen == 0


def test_threads_share_a_store(store, ref):
    failures = []

    def read() -> None:
        try:
            for _ in range(30):
                assert store.flow(ref).ref == ref
        except Exception as error:  # noqa: BLE001 - whatever it is, the test is to show it
            failures.append(error)

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    until(lambda: not any(thread.is_alive() for thread in threads), 20)
    assert failures == []
