"""What somebody deletes of a flow comes back: at a full round, at a wake, or when steps fail for want of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from nomadflows.broker.standing import needed
from nomadflows.broker.topology import Topology, fed
from nomadflows.controller.rounds import Rounds
from nomadflows.controller.versions import Versions
from nomadflows.model.errors import NotFound, ServerUnreachable
from nomadflows.model.names import FlowRef, VersionRef, data_key
from nomadflows.model.states import Desired, FlowState, Status, WantedState
from nomadflows.store.documents import FlowRecord, Unreadable, Versioned
from tests.unit.controller.fakes import FakeStore
from tests.unit.controller.servers import FLOW
from tests.unit.controller.simulation import Simulation, in_memory

V1 = FLOW.version(1)
QUEUE = V1.queue("note")


def delete_queue(sim: Simulation) -> None:
    sim.servers.delete_queue(QUEUE)


def delete_binding(sim: Simulation) -> None:
    sim.servers.bindings[V1.exchange, data_key("receive")].remove(QUEUE)


def delete_user(sim: Simulation) -> None:
    sim.servers.users.clear()


def delete_role(sim: Simulation) -> None:
    sim.servers.roles.clear()


def delete_wake_binding(sim: Simulation) -> None:
    sim.servers.fed.clear()


def becomes(sim: Simulation, state: FlowState) -> None:
    assert sim.live(60, lambda: sim.servers.read_status().state is state), sim.servers.read_status()


def full_round(sim: Simulation) -> None:
    sim.hints.add("full")
    sim.signal()
    sim.turn()


def repairs(sim: Simulation) -> list[str]:
    return [event.message for *_, event in sim.servers.history if event.reason == "DriftRepaired"]


DAMAGES: list[tuple[Callable[[Simulation], None], str]] = [
    (delete_queue, f"queue {QUEUE} missing"),
    (delete_binding, f"binding of {QUEUE} to receive.data missing"),
    (delete_user, "broker user default.orders.v1 missing"),
    (delete_role, "Vault role nomadflows.default.orders.v1 differs"),
]
PARKED = (*DAMAGES, (delete_wake_binding, "binding of nomadflows.wake to *.input missing"))


@pytest.mark.parametrize(("damage", "said"), PARKED)
def test_a_sleeping_flow_that_was_damaged_is_whole_after_a_full_round(
    damage: Callable[[Simulation], None], said: str
) -> None:
    with in_memory() as sim:
        sim.publish()
        sim.wish(WantedState.RUNNING)
        becomes(sim, FlowState.SLEEPING)
        damage(sim)
        full_round(sim)
        assert sim.servers.read_status().state is FlowState.SLEEPING
        assert said in repairs(sim)[-1]
        full_round(sim)
        assert len(repairs(sim)) == 1
        sim.send(5)
        assert sim.live(60, sim.at_rest)
        assert len(sim.servers.done) == 5


@pytest.mark.parametrize(("damage", "said"), DAMAGES)
def test_a_suspended_flow_that_was_damaged_is_whole_after_a_full_round(
    damage: Callable[[Simulation], None], said: str
) -> None:
    with in_memory() as sim:
        sim.publish()
        sim.wish(WantedState.RUNNING)
        becomes(sim, FlowState.RUNNING)
        sim.wish(WantedState.SUSPENDED)
        becomes(sim, FlowState.SUSPENDED)
        damage(sim)
        full_round(sim)
        assert said in repairs(sim)[-1]
        assert not sim.live_processes()


def test_a_flow_that_wakes_without_a_queue_gets_it_back_at_once() -> None:
    with in_memory() as sim:
        sim.publish()
        sim.wish(WantedState.RUNNING)
        becomes(sim, FlowState.SLEEPING)
        delete_queue(sim)
        sim.send()
        becomes(sim, FlowState.RUNNING)
        sim.live(1)
        assert "missing queues: note; messages that were sent to them while the flow slept are lost" in repairs(sim)[-1]
        assert QUEUE in sim.servers.queues
        sim.send(1, "note")
        assert sim.live(60, lambda: sim.sent in sim.servers.done)


def test_steps_that_may_not_log_in_get_their_account_back_before_the_flow_is_suspended() -> None:
    with in_memory() as sim:
        sim.publish()
        sim.wish(WantedState.RUNNING)
        becomes(sim, FlowState.SLEEPING)
        delete_user(sim)
        sim.send(3)
        assert sim.live(60, sim.at_rest), sim.servers.read_status()
        assert len(sim.servers.done) == 3
        assert "broker user default.orders.v1 missing" in repairs(sim)[-1]


def test_a_drained_stop_whose_steps_may_not_log_in_is_finished_after_a_full_round() -> None:
    with in_memory() as sim:
        sim.publish()
        sim.wish(WantedState.RUNNING)
        becomes(sim, FlowState.RUNNING)
        sim.send(3)
        delete_user(sim)
        for process in sim.live_processes():
            sim.die(process)
        sim.wish(WantedState.STOPPED, drain=True)
        sim.live(20)
        assert sim.servers.read_status().state is FlowState.STOPPING
        full_round(sim)
        becomes(sim, FlowState.STOPPED)
        assert len(sim.servers.done) == 3
        assert "so that" in repairs(sim)[-1]


# ── which flows a round looks at ──────────────────────────────────────────────────────────────────────────────


DOCUMENT = {"number": 1, "definition": {"flow": "orders", "steps": [{"id": "receive", "use": "probe:receive"}]}}


class Listings:
    """A cluster with one flow that sleeps, whole."""

    def __init__(self) -> None:
        self.reads = 0
        version = Versions().get(self.store, V1)  # type: ignore[arg-type]
        parked: Topology = fed(version.topology, V1)
        self.standing = set(needed(V1, parked, ["receive"]))
        self.roles: Callable[[], set[str]] = lambda: {V1.vault_role}
        self.reads = 0

    @property
    def store(self) -> Any:
        return SimpleNamespace(version=self._version)

    def _version(self, _ref: VersionRef) -> Any:
        self.reads += 1
        return DOCUMENT

    def clients(self) -> Any:
        job = SimpleNamespace(namespace="default", id=V1.job_id, modify_index=7, stopped=False)
        broker = SimpleNamespace(workspace_totals=lambda _ws: {}, standing=lambda _ws, _queues: self.standing)
        nomad = SimpleNamespace(jobs=lambda: [job])
        return SimpleNamespace(store=self.store, nomad=nomad, broker=broker, vault=SimpleNamespace(roles=self.roles))


def record(state: FlowState) -> FlowRecord:
    status = Status(state=state, version=1, observed_generation=1, job_index=7)
    desired = Desired(WantedState.RUNNING, version=1, generation=1)
    return FlowRecord(FLOW, Versioned(None, 1), Versioned(desired, 1), Versioned(status, 1))  # type: ignore[arg-type]


def test_a_round_passes_over_a_sleeping_flow_that_is_whole_and_reads_its_version_once() -> None:
    listings = Listings()
    rounds = Rounds(listings.clients)
    for _ in range(3):
        assert rounds.unquiet([record(FlowState.SLEEPING)]) == []
    assert listings.reads == 1
    assert len(rounds.unquiet([record(FlowState.RUNNING)])) == 1


def test_a_round_looks_at_a_sleeping_flow_of_which_anything_is_missing() -> None:
    listings = Listings()
    rounds = Rounds(listings.clients)
    for mark in list(listings.standing):
        listings.standing.remove(mark)
        assert len(rounds.unquiet([record(FlowState.SLEEPING)])) == 1
        listings.standing.add(mark)
    listings.roles = set
    assert len(rounds.unquiet([record(FlowState.SLEEPING)])) == 1


def test_a_vault_that_is_away_holds_up_no_round() -> None:
    def away() -> set[str]:
        raise ServerUnreachable("Vault", "memory", "it is away")

    listings = Listings()
    listings.roles = away
    assert Rounds(listings.clients).unquiet([record(FlowState.SLEEPING)]) == []


# ── a server that is away when a flow is to be compared ──────────────────────────────────────────────────────


def test_a_sleeping_flow_wakes_though_vault_is_away_at_a_full_round() -> None:
    with in_memory() as sim:
        sim.publish()
        sim.wish(WantedState.RUNNING)
        becomes(sim, FlowState.SLEEPING)
        sim.servers.away.add("Vault")
        full_round(sim)
        sim.send(3)
        becomes(sim, FlowState.RUNNING)
        assert sim.live(60, sim.at_rest)
        assert len(sim.servers.done) == 3


def test_a_running_flow_is_stopped_though_vault_is_away_since_the_leader_began() -> None:
    with in_memory(idle_s=60) as sim:
        sim.publish()
        sim.wish(WantedState.RUNNING)
        becomes(sim, FlowState.RUNNING)
        sim.servers.away.add("Vault")
        sim.next_controller()
        sim.turn()
        sim.wish(WantedState.STOPPED)
        becomes(sim, FlowState.STOPPED)
        assert not sim.servers.queues


def test_a_running_flow_is_stopped_though_its_component_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    with in_memory(idle_s=60) as sim:
        sim.publish()
        sim.wish(WantedState.RUNNING)
        becomes(sim, FlowState.RUNNING)
        monkeypatch.setattr(FakeStore, "component", lambda *_: None)
        sim.next_controller()
        sim.turn()
        sim.wish(WantedState.STOPPED)
        becomes(sim, FlowState.STOPPED)


def test_what_could_not_be_compared_is_put_right_at_a_later_round() -> None:
    with in_memory() as sim:
        sim.publish()
        sim.wish(WantedState.RUNNING)
        becomes(sim, FlowState.SLEEPING)
        delete_queue(sim)
        sim.servers.away.add("Vault")
        full_round(sim)
        assert QUEUE not in sim.servers.queues
        sim.servers.away.clear()
        full_round(sim)
        assert QUEUE in sim.servers.queues


# ── one workspace that is not as it should be ─────────────────────────────────────────────────────────────────


def test_a_workspace_that_lists_nothing_has_its_flows_looked_at_and_holds_up_no_other() -> None:
    listings = Listings()
    broken = dataclasses.replace(record(FlowState.SLEEPING), ref=FlowRef("broken", "orders"))

    def clients() -> Any:
        made = listings.clients()
        whole = made.broker.workspace_totals

        def totals(workspace: str) -> Any:
            if workspace == "broken":
                raise NotFound("RabbitMQ has no vhost")
            return whole(workspace)

        made.broker.workspace_totals = totals
        return made

    assert Rounds(clients).unquiet([broken, record(FlowState.SLEEPING)]) == [broken]


def test_a_version_that_cannot_be_read_is_looked_at_and_holds_up_no_round() -> None:
    listings = Listings()

    def clients() -> Any:
        made = listings.clients()

        def version(ref: VersionRef) -> Any:
            if ref.flow == "spoilt":
                raise Unreadable("flows/default/spoilt/versions/1", "not a JSON object")
            return DOCUMENT

        made.store = SimpleNamespace(version=version)
        return made

    spoilt = dataclasses.replace(record(FlowState.SLEEPING), ref=FlowRef("default", "spoilt"))
    assert Rounds(clients).unquiet([spoilt, record(FlowState.SLEEPING)]) == [spoilt]
