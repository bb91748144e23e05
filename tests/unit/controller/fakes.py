"""The four servers in memory, as far as a reconciler uses them, and the processes that Nomad would run.

Every call of the controller passes `Servers.hook` before and after its effect: a test puts a message in there, or
ends the controller. The clock only moves when a test moves it. What each server promises is kept: compare-and-set,
a registration that insists on an index, messages that are given back when their process dies.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, TypeVar

from nomadflows.broker.broker import Depth
from nomadflows.broker.difference import Difference
from nomadflows.broker.faults import QueueFull
from nomadflows.broker.management import QueueTotals
from nomadflows.broker.topology import Binding, Topology, wake_bindings
from nomadflows.broker.totals import Totals
from nomadflows.cluster.views import AllocView, JobView
from nomadflows.model.component import ComponentVersion
from nomadflows.model.errors import Conflict, ServerUnreachable
from nomadflows.model.graph import RunStep
from nomadflows.model.names import FlowRef, VersionRef
from nomadflows.model.states import Event, Status
from nomadflows.store.documents import FlowRecord, Versioned
from nomadflows.store.keys import DESIRED, Keys
from nomadflows.store.transaction import Change, Held, LostLeadership, Set
from tests.unit.controller.servers import Queue, Servers

Json = dict[str, Any]
F = TypeVar("F", bound=Callable[..., Any])


class LeaderDied(BaseException):
    """The controller's process ends here. No error that any of its code could catch."""


def call(function: F) -> F:
    """A request of the controller to a server: it may be away, and something may happen before and after."""

    @functools.wraps(function)
    def asked(self: Any, *args: Any, **kwargs: Any) -> Any:
        servers: Servers = self.servers
        servers.hook(f"before {function.__name__}")
        if self.name in servers.away:
            raise ServerUnreachable(self.name, "memory", "it is away")
        answer = function(self, *args, **kwargs)
        servers.hook(f"after {function.__name__}")
        return answer

    return asked  # type: ignore[return-value]


class FakeStore:
    name = "Consul"

    def __init__(self, servers: Servers) -> None:
        self.servers = servers
        self.keys = Keys()

    @call
    def flow(self, ref: FlowRef) -> FlowRecord:
        s = self.servers
        desired = Versioned(s.read_desired(), s.desired.index)
        return FlowRecord(ref, Versioned(s.meta, 1), desired, Versioned(s.read_status(), s.status.index))

    @call
    def workspace(self, _name: str) -> Versioned[Json]:
        return Versioned({"type": self.servers.workspace.value}, 1)

    @call
    def version(self, ref: VersionRef) -> Json | None:
        return self.servers.versions.get(ref.number)

    def component(self, name: str, version: str) -> ComponentVersion:
        return ComponentVersion(name, version, "python", {"triggers": {"receive": {}}}, {"path": "/components/probe"})

    def newest_component(self, name: str) -> ComponentVersion:
        return self.component(name, "1.0.0")

    @call
    def write_status(
        self,
        ref: FlowRef,
        status: Status,
        events: Sequence[Event] = (),
        *,
        expected_index: int,
        fence: Any,
        also: Sequence[Change] = (),
    ) -> int:
        s = self.servers
        wishes = [change for change in also if isinstance(change, Set) and change.key == self.keys.flow(ref, DESIRED)]
        if expected_index != s.status.index or any(change.cas != s.desired.index for change in wishes):
            raise Conflict("somebody else was quicker")
        fence.held()
        before = s.read_status().state.value
        s.status = Versioned(json.loads(json.dumps(status.to_json())), s.next_index())
        for change in wishes:
            s.desired = Versioned(change.value, s.next_index())  # type: ignore[arg-type]
        s.history += [(before, status.state.value, event) for event in events]
        return s.status.index


class FakeNomad:
    name = "Nomad"

    def __init__(self, servers: Servers) -> None:
        self.servers = servers

    def ensure_namespace(self, _namespace: str) -> None:
        return

    def parse(self, hcl: str) -> Json:
        parsed: Json = json.loads(hcl)
        return parsed

    @call
    def job(self, _namespace: str, job_id: str) -> JobView | None:
        raw = self.servers.jobs.get(job_id)
        return JobView.from_json(raw) if raw else None

    @call
    def register(self, job: Json, enforce_index: int | None = None, **_: str) -> int:
        present = self.servers.jobs.get(job["ID"])
        if enforce_index is not None and enforce_index != (present["JobModifyIndex"] if present else 0):
            raise Conflict(f"job {job['ID']} was changed")
        index = self.servers.next_index()
        self.servers.jobs[job["ID"]] = {"Stop": False, **job, "JobModifyIndex": index}
        self.servers.signal()
        return index

    def register_counts(self, job: JobView, counts: Mapping[str, int]) -> int:
        index: int = self.register(job.with_counts(counts), job.modify_index)
        return index

    @call
    def deregister(self, _namespace: str, job_id: str, *, purge: bool) -> None:
        assert purge
        self.servers.jobs.pop(job_id, None)
        self.servers.signal()

    @call
    def allocations(self, _namespace: str, job_id: str) -> list[AllocView]:
        if job_id not in self.servers.jobs:
            return []  # a purged job's are not found any more
        return [
            AllocView(
                p.id,
                "default",
                p.group,
                p.state,
                "stop" if p.leaving else "run",
                p.restarts,
                p.state == "failed",
                p.note,
                "",
                "node",
                0,
                out_of_memory=p.note == "OOM Killed",
            )
            for p in self.servers.processes
            if p.job == job_id
        ]

    @call
    def stop_alloc(self, _namespace: str, alloc_id: str) -> None:
        """The process is told to leave; Nomad starts another in its place."""
        for process in self.servers.processes:
            if process.id == alloc_id:
                process.leaving = True
        self.servers.signal()


class FakeBroker:
    name = "RabbitMQ"

    def __init__(self, servers: Servers) -> None:
        self.servers = servers
        self.management = SimpleNamespace(
            user=lambda name: name in servers.users or None,
            queue=lambda _vhost, _name: {},
            progress=lambda _vhost, _name: {},
        )

    def ensure_vhost(self, _workspace: str) -> None:
        return

    @call
    def ensure_user(self, version: VersionRef, _password: str, _steps: Collection[str]) -> None:
        self.servers.users.add(version.broker_user)

    @call
    def declare(self, _version: VersionRef, topology: Topology) -> None:
        s = self.servers
        s.exchanges |= {exchange.name for exchange in topology.exchanges}
        s.hook("between exchanges and queues")
        for queue in topology.step_queues:
            s.queues.setdefault(queue.name, Queue(int(dict(queue.arguments)["x-max-length"])))
        s.hook("between queues and bindings")
        for binding in topology.bindings:
            bound = s.bindings.setdefault((binding.source, binding.key), [])
            if binding.destination not in bound:
                bound.append(binding.destination)

    @call
    def drift(self, version: VersionRef, topology: Topology) -> Difference:
        s = self.servers
        queues = [queue for queue in topology.step_queues if queue.name not in s.queues]
        bindings = [binding for binding in topology.bindings if not self._is_bound(version, binding)]
        return Difference(missing=(*queues, *bindings))

    def _is_bound(self, version: VersionRef, binding: Binding) -> bool:
        if binding in wake_bindings(version):
            return version.exchange in self.servers.fed
        return binding.destination in self.servers.bindings.get((binding.source, binding.key), ())

    def has_rights(self, version: VersionRef, _steps: Collection[str]) -> bool:
        return version.broker_user in self.servers.users

    @call
    def set_aside(self, _ref: FlowRef) -> None:
        """Rebounds wait elsewhere here; nothing is in anybody's way."""

    @call
    def has_aside(self, _ref: FlowRef) -> bool:
        return False

    @call
    def waiting(self, _workspace: str, queue: str) -> int:
        found = self.servers.queues.get(queue)
        return len(found.ready) if found else 0

    @call
    def bring_back(self, _version: VersionRef) -> int:
        return 0

    @call
    def depths(self, version: VersionRef, steps: Collection[str]) -> dict[str, Depth | None]:
        found: dict[str, Depth | None] = {}
        for step in steps:
            queue = self.servers.queues.get(version.queue(step))
            found[step] = Depth(len(queue.ready), len(queue.consumers)) if queue else None
            self.servers.hook("between depths")
        return found

    @call
    def totals(self, version: VersionRef, steps: Collection[str]) -> Totals:
        queues = {step: self.servers.queues.get(version.queue(step)) for step in steps}
        known = {step: QueueTotals(len(q.ready), len(q.unacked)) for step, q in queues.items() if q}
        return Totals(known, sum(rebound.version == version.number for rebound in self.servers.rebounding))

    @call
    def published_(self, version: VersionRef) -> int:
        return self.servers.published[version.exchange]

    def published(self, version: VersionRef) -> int:
        found: int = self.published_(version)
        return found

    @call
    def feed_wake(self, version: VersionRef) -> None:
        if version.exchange in self.servers.exchanges:
            self.servers.fed.add(version.exchange)

    @call
    def unfeed_wake(self, version: VersionRef) -> None:
        self.servers.fed.discard(version.exchange)

    @call
    def move(self, _workspace: str, source: str, exchange: str, key: str) -> int:
        s, moved = self.servers, 0
        queue = s.queues.get(source)
        while queue and queue.ready:
            number = queue.ready[0]
            if exchange and not s.publish_to(exchange, key, number):
                raise QueueFull("the queue is full")
            if not exchange:
                s.dead.append(number)
            queue.ready.popleft()
            moved += 1
            s.hook("between moves")
        return moved

    @call
    def move_rebounds(self, old: VersionRef, new: VersionRef) -> int:
        """They wait on for the new version; those whose step it does not have are dead."""
        s = self.servers
        moved = [rebound for rebound in s.rebounding if rebound.version == old.number]
        for rebound in moved:
            rebound.version = new.number
            if new.queue(rebound.step) not in s.queues:
                s.rebounding.remove(rebound)
                s.dead.append(rebound.message)
        return len(moved)

    @call
    def purge(self, version: VersionRef, steps: Collection[str]) -> int:
        s, count = self.servers, 0
        for name in (*(version.queue(step) for step in steps), version.ref.aside_queue):
            if queue := s.queues.get(name):
                s.dropped += queue.ready
                count += len(queue.ready)
                queue.ready.clear()
        gone = s.drop_rebounds(version)
        return count + gone

    @call
    def close_input(self, version: VersionRef) -> None:
        self.servers.exchanges.discard(version.exchange)

    @call
    def delete_version(self, version: VersionRef, topology: Topology) -> int:
        s = self.servers
        s.exchanges -= {exchange.name for exchange in topology.exchanges}
        s.fed.discard(version.exchange)
        s.users.discard(version.broker_user)
        gone = s.drop_rebounds(version)
        return gone + sum(s.delete_queue(queue.name) for queue in topology.step_queues)


def route_again(broker: FakeBroker, version: VersionRef, topology: Topology) -> int:
    """In place of `nomadflows.broker.astray`."""
    s = broker.servers
    keys = {binding.key for binding in topology.bindings}
    ours = [entry for entry in s.unrouted if entry[0] == version.exchange and entry[1] in keys]
    for entry in ours:
        s.unrouted.remove(entry)
        s.publish_to(*entry)
        s.hook("between moves")
    return len(ours)


class FakeVault:
    name = "Vault"

    def __init__(self, servers: Servers) -> None:
        self.servers = servers

    @call
    def version_secret(self, _version: VersionRef) -> Any:
        return SimpleNamespace(amqp_password="secret")

    @call
    def ensure_role(self, version: VersionRef, _credentials: Sequence[str]) -> None:
        self.servers.roles.add(version.vault_role)

    @call
    def role_differs(self, version: VersionRef, _credentials: Sequence[str]) -> bool:
        return version.vault_role not in self.servers.roles

    @call
    def delete_version(self, version: VersionRef) -> None:
        self.servers.roles.discard(version.vault_role)


class FakeFence:
    """A controller leads for as long as it lives, unless a test deposes it."""

    is_leader = True

    def held(self) -> Held:
        if not self.is_leader:
            raise LostLeadership("this controller does not lead; nothing was changed")
        return Held("nomadflows/leader", "session")


def rendered(
    version: VersionRef, kind: object, digest: str, steps: Sequence[RunStep], components: object,
    counts: Mapping[str, int], site: object, **_: object,
) -> str:  # fmt: skip
    """Instead of HCL: the document that `FakeNomad.parse` gives back."""
    tasks = [{"Resources": {"MemoryMB": 256}}]
    groups = [{"Name": step.id, "Count": counts[step.id], "Tasks": tasks} for step in steps]
    job = {"ID": version.job_id, "Namespace": version.workspace, "Status": "running", "TaskGroups": groups, "Meta": {}}
    return json.dumps(job)
