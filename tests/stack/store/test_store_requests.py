"""Requests on a real Consul: what is written, and what happens when two ask at once."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from nomadflows.model.errors import Conflict, InputError, NotFound, Refused
from nomadflows.model.names import FlowRef
from nomadflows.model.states import FlowState, Kind, Status, WantedState
from nomadflows.store import Store, requests
from tests.stack.store.harness import DEFINITION, REF

OTHER = DEFINITION | {"steps": [{"id": "tick", "use": "timer:tick"}, {"id": "write", "use": "log@1.1.0:write"}]}
OTHER_GRAPH = DEFINITION | {"steps": [{"id": "tick", "use": "timer:tick"}, {"id": "store", "use": "sql:upsert"}]}


def inbox(store: Store) -> list[tuple[str, str]]:
    entries, _ = store.inbox(0, 1)
    return [(str(entry.flow), entry.request) for entry in entries]


def set_status(store: Store, state: FlowState) -> None:
    record = store.flow(REF)
    assert record is not None
    store.write_status(REF, Status(state), expected_index=record.status.index, fence=None)


def test_apply_makes_a_stopped_flow_with_a_draft_that_people_can_read(store):
    applied = requests.apply(store, REF, DEFINITION, by="anna")

    assert applied == requests.Applied(created=True, changed=True, draft=True)
    record = store.flow(REF)
    assert (record.desired.value.state, record.desired.value.generation) == (WantedState.STOPPED, 0)
    assert (record.has_draft, record.meta.value.latest) == (True, 0)
    raw = store.client.get(store.keys.flow(REF, "draft")).value.decode()
    assert raw.startswith('{\n  "by": "anna",\n  "at": "')
    assert json.loads(raw)["definition"] == DEFINITION
    assert inbox(store) == [("default/orders", "changed")]


def test_applying_the_same_again_changes_nothing(store, ref):
    assert requests.apply(store, ref, DEFINITION, by="b") == requests.Applied(created=False, changed=False, draft=False)
    assert requests.apply(store, ref, OTHER, by="b") == requests.Applied(created=False, changed=True, draft=True)
    assert requests.apply(store, ref, OTHER, by="b") == requests.Applied(created=False, changed=False, draft=True)
    # the draft is taken back: what is published already leaves none
    assert requests.apply(store, ref, DEFINITION, by="b") == requests.Applied(created=False, changed=True, draft=False)
    assert store.flow(ref).has_draft is False


def test_publish_makes_an_immutable_version_and_takes_the_draft(store, ref):
    requests.apply(store, ref, OTHER, by="ben")
    assert requests.publish(store, ref, by="ben", note="pin log") == 2

    one, two = store.versions(ref)
    assert (one["number"], one["author"], one["definition"]) == (1, "anna", DEFINITION)
    assert (two["number"], two["author"], two["note"], two["definition"]) == (2, "ben", "pin log", OTHER)
    assert one["digest"] != two["digest"]
    record = store.flow(ref)
    assert (record.meta.value.latest, record.has_draft) == (2, False)
    assert record.desired.value.generation == 0  # stopped: nothing is wanted of it


def test_publish_without_a_draft_or_without_a_change_is_refused(store, ref):
    with pytest.raises(Refused, match="has no draft"):
        requests.publish(store, ref, by="b")
    requests.start(store, ref, by="b")
    store.transact([])  # nothing to do is no error
    with pytest.raises(InputError, match="unknown strategy"):
        requests.publish(store, ref, by="b", strategy="other")


def test_publish_over_an_active_flow_is_a_new_wish(store, ref):
    requests.start(store, ref, by="b")
    requests.apply(store, ref, OTHER, by="ben")
    requests.publish(store, ref, by="ben", strategy="handover")

    desired = store.flow(ref).desired.value
    assert (desired.state, desired.version, desired.generation, desired.strategy) == (
        WantedState.RUNNING,
        2,
        2,
        "handover",
    )
    assert (desired.by, desired.why) == ("ben", "version 2 published")


def test_a_suspended_flow_is_mended_by_publish_and_resume_but_keeps_its_graph(store, ref):
    requests.start(store, ref, by="b")
    requests.suspend(store, ref, by="b", why="repair")
    requests.apply(store, ref, OTHER_GRAPH, by="b")
    with pytest.raises(Refused, match="its steps and what feeds them may not"):
        requests.publish(store, ref, by="b")
    requests.apply(store, ref, OTHER, by="b")
    requests.publish(store, ref, by="b")
    assert store.flow(ref).desired.value.state is WantedState.SUSPENDED

    desired = requests.resume(store, ref, by="b", force=True)
    assert (desired.state, desired.version, desired.force) == (WantedState.RUNNING, 2, True)


def test_start_stop_suspend_resume_count_generations(store, ref):
    assert requests.start(store, ref, by="b", why="go").generation == 1
    with pytest.raises(Refused, match="already running"):
        requests.start(store, ref, by="b")
    assert requests.suspend(store, ref, by="b").generation == 2
    assert requests.resume(store, ref, by="b").generation == 3
    set_status(store, FlowState.RUNNING)
    stopped = requests.stop(store, ref, by="b", drain=True)
    assert (stopped.generation, stopped.drain) == (4, True)
    assert requests.stop(store, ref, by="b", drain=True).generation == 4
    assert requests.stop(store, ref, by="b").generation == 5
    assert store.flow(ref).desired.value == requests.stop(store, ref, by="b")


def test_real_time_is_enabled_only_while_stopped_and_survives_the_next_publish(store, ref):
    requests.start(store, ref, by="b")
    with pytest.raises(Refused, match="only while it is stopped"):
        requests.set_kind(store, ref, Kind.REALTIME, by="b")
    requests.stop(store, ref, by="b")
    assert requests.set_kind(store, ref, Kind.REALTIME, by="b").kind is Kind.REALTIME
    desired = store.flow(ref).desired.value
    assert (desired.generation, desired.why) == (3, "real-time enabled")
    assert requests.set_kind(store, ref, Kind.REALTIME, by="b").kind is Kind.REALTIME
    assert store.flow(ref).desired.value.generation == 3
    with pytest.raises(Refused, match="disable-realtime"):
        requests.apply(store, ref, OTHER, by="b")
    requests.apply(store, ref, OTHER | {"kind": "realtime"}, by="b")
    requests.publish(store, ref, by="b")
    assert store.version(ref.version(2))["definition"]["kind"] == "realtime"


def test_run_now_is_a_key_in_the_inbox(store, ref):
    with pytest.raises(Refused, match="is stopped"):
        requests.run_now(store, ref, by="b")
    requests.start(store, ref, by="b")
    requests.run_now(store, ref, by="b")

    assert inbox(store)[-1] == ("default/orders", "run-now")
    assert store.flow(ref).desired.value.generation == 1


def test_a_deleted_flow_is_hidden_and_comes_back_as_it_was(store, ref):
    neighbour = FlowRef("default", "orders-2")
    requests.apply(store, neighbour, DEFINITION, by="b")
    store.put_snapshot(ref, "tick", {"at": 1})
    requests.start(store, ref, by="b")
    with pytest.raises(Refused, match="only a stopped flow"):
        requests.delete(store, ref, by="b")
    requests.stop(store, ref, by="b")
    requests.apply(store, ref, OTHER, by="anna")
    before = store.flow(ref)
    requests.delete(store, ref, by="b")

    assert store.flow(ref) is None
    assert [record.ref for record in store.flows()] == store.flow_refs() == [neighbour]
    assert list(store.deleted_flows()) == [ref]
    assert inbox(store)[-1] == ("default/orders", "deleted")
    for refused in (requests.start, requests.delete, requests.publish):
        with pytest.raises(NotFound, match=r"flow default/orders was deleted at .*\n.*flow restore orders"):
            refused(store, ref, by="b")
    with pytest.raises(Refused, match="delete orders --for-good"):
        requests.apply(store, ref, DEFINITION, by="b")
    with pytest.raises(Conflict):
        store.put_snapshot(ref, "tick", {"at": 2})  # a straggler does not bring it back
    with pytest.raises(Conflict):
        store.write_status(ref, Status(), expected_index=0, fence=None)

    requests.restore(store, ref, by="b")
    after = store.flow(ref)
    assert (after.meta.value, after.desired, after.has_draft) == (before.meta.value, before.desired, True)
    assert (len(store.versions(ref)), store.snapshots(ref), store.deleted_flows()) == (1, {"tick": {"at": 1}}, {})
    with pytest.raises(NotFound, match="is not deleted"):
        requests.restore(store, ref, by="b")


def test_a_flow_removed_for_good_leaves_nothing_and_its_name_is_free(store, ref):
    neighbour = FlowRef("default", "orders-2")
    requests.apply(store, neighbour, DEFINITION, by="b")
    requests.delete(store, ref, by="b")
    stale = store.deleted_flow(ref)
    requests.forget(store, ref, by="b")
    with pytest.raises(Refused, match="being removed for good"):
        requests.restore(store, ref, by="b")
    with pytest.raises(Conflict):
        requests.purge(store, ref, stale, fence=None)
    requests.purge(store, ref, store.deleted_flow(ref), fence=None)

    assert store.client.names(store.keys.tree(ref)) == []
    assert store.flow_refs() == [neighbour]
    with pytest.raises(NotFound, match="there is no deleted flow"):
        requests.forget(store, ref, by="b")
    assert requests.apply(store, ref, DEFINITION, by="b").created


def test_a_flow_that_was_restored_meanwhile_is_not_removed(store, ref):
    requests.delete(store, ref, by="b")
    mark = store.deleted_flow(ref)
    requests.restore(store, ref, by="b")

    with pytest.raises(Conflict, match="is not deleted any more"):
        requests.purge(store, ref, mark, fence=None)
    assert store.flow(ref) is not None


def test_an_old_version_comes_back_as_a_new_one_and_the_draft_stays(store, ref):
    requests.apply(store, ref, OTHER, by="anna")
    requests.publish(store, ref, by="anna")
    requests.start(store, ref, by="anna")
    requests.apply(store, ref, OTHER_GRAPH, by="anna")

    with pytest.raises(requests.NothingToPublish):
        requests.revert(store, ref, 2, by="b")
    with pytest.raises(Refused, match="has no version 9: versions 1 to 2 are published"):
        requests.revert(store, ref, 9, by="b")
    assert requests.revert(store, ref, 1, by="b", strategy="handover", ready_timeout=7.0) == 3

    assert store.version(ref.version(3))["definition"] == store.version(ref.version(1))["definition"]
    assert store.version(ref.version(3))["note"] == "as version 1"
    assert store.draft(ref).value["definition"] == OTHER_GRAPH
    desired = store.flow(ref).desired.value
    assert (desired.version, desired.strategy, desired.ready_timeout) == (3, "handover", 7.0)


def test_scale_is_a_setting_that_a_publish_of_other_replicas_ends(store, ref):
    requests.start(store, ref, by="b")
    requests.scale(store, ref, "write", 3, by="anna")
    wished = requests.scale(store, ref, "write", 3, by="ben")
    assert (wished.scale, wished.generation, wished.by) == ({"write": 3}, 2, "anna")
    with pytest.raises(InputError, match="no step 'x'"):
        requests.scale(store, ref, "x", 3, by="b")

    requests.apply(store, ref, OTHER, by="anna")
    requests.publish(store, ref, by="anna")
    assert store.flow(ref).desired.value.scale == {"write": 3}
    requests.stop(store, ref, by="b")
    more = DEFINITION | {"steps": [DEFINITION["steps"][0], DEFINITION["steps"][1] | {"replicas": 2}]}
    requests.apply(store, ref, more, by="anna")
    requests.publish(store, ref, by="anna")
    assert store.flow(ref).desired.value.scale == {}


def test_repair_is_paused_and_resumed_without_touching_the_wish(store, ref):
    requests.start(store, ref, by="b", why="go")
    requests.set_repair(store, ref, repair=False, by="anna", why="a look by hand")
    paused = store.flow(ref).desired.value
    requests.set_repair(store, ref, repair=False, by="ben")
    assert store.flow(ref).desired.value == paused
    assert (paused.state, paused.repair, paused.why) == (WantedState.RUNNING, False, "repair paused: a look by hand")
    requests.set_repair(store, ref, repair=True, by="anna")
    assert store.flow(ref).desired.value.repair


class Interrupted(Store):
    """Lets somebody else act between what a request reads and what it writes."""

    def __init__(self, *args, meanwhile, **more):
        super().__init__(*args, **more)
        self._meanwhile = meanwhile

    def transact(self, changes, fence=None):
        meanwhile, self._meanwhile = self._meanwhile, None
        if meanwhile:
            meanwhile()
        return super().transact(changes, fence)


@pytest.mark.parametrize(
    ("mine", "theirs", "said"),
    [
        (
            lambda s: requests.publish(s, REF, by="me"),
            lambda s: requests.publish(s, REF, by="ben"),
            "changed at the same time",
        ),
        (
            lambda s: requests.apply(s, REF, OTHER_GRAPH, by="me"),
            lambda s: requests.publish(s, REF, by="ben"),
            "changed at the same time",
        ),
        (lambda s: requests.start(s, REF, by="me"), lambda s: requests.start(s, REF, by="ben"), "by ben: running"),
        (
            lambda s: requests.start(s, REF, by="me"),
            lambda s: requests.publish(s, REF, by="ben"),
            "changed at the same time",
        ),
        (
            lambda s: requests.delete(s, REF, by="me"),
            lambda s: requests.start(s, REF, by="ben", why="needed"),
            "by ben: needed",
        ),
        (
            lambda s: requests.set_kind(s, REF, Kind.REALTIME, by="me"),
            lambda s: requests.start(s, REF, by="ben"),
            "by ben",
        ),
        (lambda s: requests.start(s, REF, by="me"), lambda s: requests.delete(s, REF, by="ben"), "it was deleted"),
        (
            lambda s: requests.scale(s, REF, "write", 2, by="me"),
            lambda s: requests.delete(s, REF, by="ben"),
            "it was deleted",
        ),
        (
            lambda s: requests.set_repair(s, REF, repair=False, by="me"),
            lambda s: requests.start(s, REF, by="ben"),
            "by ben: running",
        ),
    ],
)
def test_of_two_that_change_a_flow_at_once_one_wins_and_the_other_is_told(store, ref, mine, theirs, said):
    # Given a stopped flow with version 1 and a draft
    requests.apply(store, ref, OTHER, by="anna")
    before = len(inbox(store))
    # When somebody else is faster
    slow = Interrupted(store.client.address, prefix=store.keys.prefix, meanwhile=lambda: theirs(store))
    # Then the slower one changes nothing and is told by whom
    with pytest.raises(Conflict, match=said):
        mine(slow)
    assert len(inbox(store)) == before + 1
    assert len(store.versions(ref)) in {0, 1, 2}


def test_two_that_make_the_same_new_flow_do_not_overwrite_each_other(consul, store):
    slow = Interrupted(
        consul.address, prefix=store.keys.prefix, meanwhile=lambda: requests.apply(store, REF, DEFINITION, by="ben")
    )
    with pytest.raises(Conflict, match="at the same time by ben: created"):
        requests.apply(slow, REF, OTHER, by="me")
    assert store.draft(REF).value["definition"] == DEFINITION


def test_copies_of_a_flow_that_are_made_at_once_are_all_made(consul, store, ref):
    """Each is a flow of its own: nothing that they share counts them, or makes one wait for another."""
    copies = [FlowRef("default", f"copy-{number}") for number in range(8)]

    def copy(made):
        with Store(consul.address, prefix=store.keys.prefix) as own:
            definition = own.version(ref.version(1))["definition"]
            requests.apply(own, made, definition | {"flow": made.flow}, by="anna")
            return requests.publish(own, made, by="anna")

    with ThreadPoolExecutor(len(copies)) as pool:
        assert list(pool.map(copy, copies)) == [1] * len(copies)
    assert {record.ref for record in store.flows("default")} == {ref, *copies}


def test_a_definition_above_consuls_limit_is_refused_with_its_size_and_leaves_nothing(store):
    with pytest.raises(InputError, match=r"orders/draft: 6\d\d,\d\d\d bytes; Consul takes at most 524,288 bytes"):
        requests.apply(store, REF, DEFINITION | {"description": "x" * 600_000}, by="b")
    with pytest.raises(InputError, match=r"orders/draft: .*524,288 bytes \(512 KB\) a transaction"):
        requests.apply(store, REF, DEFINITION | {"description": "x" * 400_000}, by="b")
    assert store.flow(REF) is None
    requests.apply(store, REF, DEFINITION | {"description": "x" * 380_000}, by="b")
    assert requests.publish(store, REF, by="b") == 1


@pytest.mark.parametrize(
    "request_of_a_stopped_flow",
    [requests.delete, lambda s, ref, by: requests.set_kind(s, ref, Kind.REALTIME, by=by)],
)
def test_a_status_written_meanwhile_is_no_conflict_since_a_stopped_flow_stays_stopped(
    store, ref, request_of_a_stopped_flow
):
    slow = Interrupted(
        store.client.address, prefix=store.keys.prefix, meanwhile=lambda: set_status(store, FlowState.STOPPED)
    )
    request_of_a_stopped_flow(slow, ref, by="me")
