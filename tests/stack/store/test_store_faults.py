"""Consul down, frozen, restarted; leaders that lose what they hold."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest

from nomadflows.model.errors import Conflict, InputError, ServerUnreachable
from nomadflows.model.states import Event, FlowState, Status
from nomadflows.store import LostLeadership, Store, requests
from nomadflows.store.leadership import Leadership
from tests.stack.store.harness import until


@pytest.fixture
def frozen(consul):
    consul.freeze()
    yield consul
    consul.thaw()
    until(consul._answers, 15)


def test_a_server_that_is_not_there_is_named_at_once():
    store = Store("http://127.0.0.1:9", timeout=4.0)
    began = time.monotonic()
    with pytest.raises(
        ServerUnreachable, match=r"Consul at http://127.0.0.1:9 cannot be reached: connection refused"
    ) as caught:
        store.flows()
    assert time.monotonic() - began < 1
    assert "nomadflows dev up" in str(caught.value)


def test_a_server_that_does_not_answer_is_named_within_five_seconds(store, frozen):
    began = time.monotonic()
    with pytest.raises(ServerUnreachable, match=frozen.address):
        store.flows()
    assert time.monotonic() - began < 5


def test_a_blocking_query_outlasts_its_wait_by_the_margin_only(store, frozen):
    began = time.monotonic()
    with pytest.raises(ServerUnreachable):
        store.inbox(1, 1.0)
    assert 1.5 < time.monotonic() - began < 4.5


def test_an_address_that_is_none_is_the_users_mistake():
    with pytest.raises(InputError, match="unix:///run/consul"):
        Store("unix:///run/consul")


def test_the_store_goes_on_after_a_restart(consul, store, ref):
    consul.stop()
    with pytest.raises(ServerUnreachable):
        store.flow(ref)
    consul.start()
    until(lambda: _answers(store, ref), 10)
    assert store.flow(ref).ref == ref


def _answers(store, ref) -> bool:
    try:
        return store.flow(ref) is not None
    except ServerUnreachable:
        return False


def test_a_leader_writes_and_a_candidate_does_not(store, ref, leadership):
    leader = leadership("one")
    assert leader.wait(5)
    candidate = leadership("two")
    store.write_status(ref, Status(FlowState.STARTING), [Event("1", "A", "a")], expected_index=0, fence=leader)

    index = store.flow(ref).status.index
    with pytest.raises(LostLeadership):
        store.write_status(ref, Status(), expected_index=index, fence=candidate)
    with pytest.raises(Conflict, match="status") as caught:
        store.write_status(ref, Status(), expected_index=index - 1, fence=leader)
    assert not isinstance(caught.value, LostLeadership)
    raw = store.client.get(store.keys.leader)
    assert raw.value.startswith(b'{\n  "who": "one",\n  "since": "')


class Watched(Store):
    """Tells when a blocking query is about to be sent."""

    def __init__(self, *args, **more):
        super().__init__(*args, **more)
        self.client.asked_to_wait = threading.Event()
        watch = self.client.watch

        def watched(key, index, wait_s):
            if index:
                self.client.asked_to_wait.set()
            return watch(key, index, wait_s)

        self.client.watch = watched


def test_a_release_hands_over_within_a_second(store, leadership):
    one = leadership("one")
    assert one.wait(5)
    two = leadership("two", store_type=Watched)
    assert two._client.asked_to_wait.wait(5)

    began = time.monotonic()
    one.release()
    assert two.wait(5)
    assert time.monotonic() - began < 1
    assert not one.is_leader


LEAD_UNTIL_KILLED = """
import sys, time
from nomadflows.store.leadership import Leadership
from nomadflows.store.store import Store
one = Leadership(Store(sys.argv[1], prefix=sys.argv[2]), "one")
one.campaign()
assert one.wait(20)
print("leads", flush=True)
time.sleep(60)
"""


def test_a_leader_that_was_killed_on_this_machine_is_not_waited_for(store, leadership):
    with subprocess.Popen(
        [sys.executable, "-c", LEAD_UNTIL_KILLED, store.client.address, store.keys.prefix], stdout=subprocess.PIPE
    ) as one:
        assert any(line == b"leads\n" for line in one.stdout)
        two = leadership("two")
        assert not two.wait(2)  # while it lives
        one.kill()
        one.wait()
    assert two.wait(8)  # its session would live for ten seconds at least


class Deaf(Leadership):
    """A leader that is frozen: it neither renews nor notices, and believes it leads."""

    @property
    def is_leader(self) -> bool:
        return bool(self._session)

    def _hold(self) -> str:
        self._ended.wait()
        return "released"


def test_a_frozen_leader_that_wakes_up_after_its_time_changes_nothing(store, ref):
    # Given a leader that is frozen after it has read a status
    frozen = Deaf(store, "frozen")
    frozen.campaign()
    until(lambda: frozen.is_leader, 5)
    index = store.write_status(ref, Status(FlowState.STARTING), expected_index=0, fence=frozen)
    # When its session ends and another leads
    store.client.destroy_session(frozen._session)
    other = Leadership(Store(store.client.address, prefix=store.keys.prefix), "other")
    other.campaign()
    assert other.wait(5)
    # Then its late write is refused, although the status is still the one it read; so is taking from the inbox
    with pytest.raises(LostLeadership):
        store.write_status(ref, Status(), [Event("1", "A", "a")], expected_index=index, fence=frozen)
    entries, _ = store.inbox(0, 1)
    with pytest.raises(LostLeadership):
        store.done(*entries, fence=frozen)
    with pytest.raises(LostLeadership):
        requests.stop(store, _started(store, ref), by="controller", fence=frozen)
    assert store.flow(ref).status.value.state is FlowState.STARTING
    assert store.events(ref) == []
    frozen.release()
    assert other.is_leader  # a late release takes nothing from the successor
    other.release()


def _started(store, ref):
    requests.start(store, ref, by="b")
    return ref


def test_a_session_destroyed_behind_the_leaders_back_is_made_anew(store, ref, leadership):
    told: list[str] = []
    leader = leadership("one", gained=lambda: told.append("gained"), lost=lambda: told.append("lost"))
    assert leader.wait(5)
    first = leader._session

    store.client.destroy_session(first)

    until(lambda: leader._session not in {first, ""}, 5)
    until(lambda: told == ["gained", "lost", "gained"], 2)
    store.write_status(ref, Status(), expected_index=0, fence=leader)


def test_a_leaders_key_deleted_by_hand_is_taken_again(store, leadership):
    leader = leadership("one")
    assert leader.wait(5)
    first = leader._session

    store.client._consul.kv.delete(store.keys.leader)

    until(lambda: leader._session not in {first, ""} and leader.is_leader, 5)


def test_leadership_survives_a_restart_of_consul(consul, store, ref, leadership):
    leader = leadership("one")
    assert leader.wait(5)
    consul.stop()
    consul.start()
    until(lambda: leader.is_leader and _writes(store, ref, leader), 25)


def _writes(store, ref, leader) -> bool:
    try:
        store.write_status(ref, Status(), expected_index=store.flow(ref).status.index, fence=leader)
    except (ServerUnreachable, LostLeadership):
        return False
    return True


def test_a_leader_without_consul_counts_itself_deposed_after_the_ttl(consul, store, leadership):
    leader = leadership("one")
    assert leader.wait(5)
    consul.freeze()
    try:
        assert 5 < until(lambda: not leader.is_leader, 12) <= 10.5
        with pytest.raises(LostLeadership):
            leader.held()
    finally:
        consul.thaw()
    until(lambda: leader.is_leader, 25)
