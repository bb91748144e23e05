"""Looks at one flow through all servers. Asks only what the flow's state needs: a parked flow costs two reads."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

import structlog

from nomadflows.broker.broker import Broker
from nomadflows.clients import Clients
from nomadflows.cluster.client import Nomad
from nomadflows.controller.drift import drift, expected
from nomadflows.controller.hooks import see_hook
from nomadflows.controller.memory import Memory
from nomadflows.controller.versions import Version, Versions
from nomadflows.controller.watchdog import watched
from nomadflows.controller.workqueue import Hints
from nomadflows.model.errors import NotFound, ServerUnreachable
from nomadflows.model.graph import replicas
from nomadflows.model.names import FlowRef, vhost
from nomadflows.model.states import FlowState, Kind, WantedState, WorkspaceType, utc_now
from nomadflows.plan.autoscale import figures, is_calm, wanted_processes
from nomadflows.plan.seen import JobSeen, Processes, QueueSeen, Rules, Seen, VersionSeen
from nomadflows.store.documents import FlowRecord

log = structlog.get_logger()

FULL: Final = "full"  # hint: also look for what strangers changed
_LARGEST_MESSAGE: Final = 10_485_760
_KEPT_WHOLE: Final = frozenset({FlowState.RUNNING, FlowState.SLEEPING, FlowState.SUSPENDED})
_SUSPICIOUS: Final = 2  # failed starts in a row
_LIVE: Final = frozenset({"pending", "running"})


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen, and the documents it was seen through."""

    seen: Seen
    record: FlowRecord
    version: Version | None  # of status.version, or of desired.version where none runs yet


def look(
    ref: FlowRef,
    hints: Hints,
    clients: Clients,
    versions: Versions,
    memory: Memory,
    tick_in_s: float | None,
    lead_s: float,
    rules: Rules,
) -> Look | None:
    """None when the flow does not exist (any more)."""
    record = clients.store.flow(ref)
    if record is None:
        return None
    desired, status = record.desired.value, record.status.value
    number = status.version or desired.version
    version = versions.get(clients.store, ref.version(number)) if number else None
    seen = Seen(
        ref=ref,
        now=utc_now(),
        desired=desired,
        status=status,
        current=VersionSeen(number),
        kind=record.meta.value.kind,
        workspace=workspace_type(clients, ref),
        message="message" in hints,
        tick_in_s=tick_in_s,
        wake_lead_s=lead_s,
        rules=rules,
    )
    if version is None:
        return Look(seen, record, None)
    limits = version.definition.limits
    seen = replace(
        seen,
        replicas=replicas(version.steps, desired.scale),
        idle_after_s=version.definition.idle_after_s,
        queue_limits=(version.limits.messages, version.limits.bytes),
        retention_s=version.definition.retention_s,
        drain_s=limits.drain,
        ready_timeout_s=desired.ready_timeout or limits.ready_timeout,
    )
    seen = _through_servers(seen, version, clients, versions, memory)
    if _wants_drift(seen, hints):
        seen = replace(seen, drifted=_drifted(seen, version, clients, versions))
    return Look(seen, record, version)


def workspace_type(clients: Clients, ref: FlowRef) -> WorkspaceType:
    document = clients.store.workspace(ref.workspace)
    return WorkspaceType(document.value.get("type", "full")) if document else WorkspaceType.FULL


def _through_servers(seen: Seen, version: Version, clients: Clients, versions: Versions, memory: Memory) -> Seen:
    status = seen.status
    current = VersionSeen(version.ref.number, job=see_job(clients.nomad, version))
    _reset_clocks(seen, memory)
    if status.state is FlowState.STOPPED or (status.state is FlowState.SLEEPING and seen.message):
        return replace(seen, current=current)
    if status.state is not FlowState.SLEEPING:
        current = replace(current, processes=see_processes(clients.nomad, version, current.job))
    current = see_queues(clients.broker, version, current, unacked=_wants_unacked(seen))
    seen = replace(seen, current=current)
    if status.state in {FlowState.RUNNING, FlowState.STARTING}:
        seen = replace(seen, failures=_failures(seen, memory), out_of_memory=_kills(seen, memory))
    if status.state is FlowState.STARTING:
        seen = watched(seen, version, clients.broker, memory)
    if status.state is FlowState.STOPPING and status.components:
        seen = replace(seen, hook=see_hook(seen, version, clients, versions))
    if status.state is FlowState.RUNNING:
        seen = _autoscaled(seen, version, memory)
        seen = _fullness(seen, version, clients.broker, memory)
        seen = watched(seen, version, clients.broker, memory)
    if status.state is FlowState.SUSPENDED:
        seen = _suspended(seen, version, clients)
    if status.state is FlowState.RUNNING and seen.kind is Kind.ORDINARY and not status.parking:
        seen = replace(seen, idle_for_s=_idle_for(seen, version, clients.broker, memory))
    return _other_versions(seen, clients, versions)


def _reset_clocks(seen: Seen, memory: Memory) -> None:
    memory.of_version(seen.ref, seen.current.number)
    if seen.status.state in {FlowState.STOPPED, FlowState.SUSPENDED}:
        memory.begin_anew(seen.ref)
    if seen.status.state is not FlowState.RUNNING or seen.status.parking:
        memory.not_at_work(seen.ref)


def _suspended(seen: Seen, version: Version, clients: Clients) -> Seen:
    """What it keeps beside its queues, and whether a resume would run something else."""
    seen = replace(seen, current=_with_bytes(seen, version, clients.broker))
    try:
        seen = replace(seen, aside=clients.broker.waiting(seen.ref.workspace, seen.ref.aside_queue))
    except ServerUnreachable:
        return seen
    if seen.status.suspended_for != "OutOfMemory" or seen.desired.state is not WantedState.RUNNING:
        return seen
    return replace(seen, renewed=version.resolve(clients.store) != seen.status.components)


def _failures(seen: Seen, memory: Memory) -> dict[str, int]:
    """A step that is killed from outside again and again before it is ready has not failed to start."""
    processes = seen.current.processes
    failing = [step for step in seen.not_ready if step not in processes.killed]
    return memory.failures(seen.ref, processes.restarts, failing)


def _autoscaled(seen: Seen, version: Version, memory: Memory) -> Seen:
    """Wanted processes of steps with `autoscale`, by what waits for them. What `flow scale` says holds."""
    job, queues = seen.current.job, seen.current.queues
    if job is None or queues is None or seen.status.parking:
        return seen
    wanted, why = dict(seen.replicas), {}
    for step in version.steps:
        queue = queues.get(step.id)
        if step.scaling is None or queue is None or step.id in seen.desired.scale:
            continue
        present = job.counts.get(step.id, 0)
        drained = memory.drained_per_s(seen.ref, step.id, queue.ready)
        calm = memory.calm_for(seen.ref, step.id, calm=is_calm(step.scaling, present, queue.ready))
        wanted[step.id] = wanted_processes(step.scaling, present, queue.ready, drained, calm)
        why[step.id] = figures(queue.ready, drained)
    return replace(seen, replicas=wanted, autoscaled=why)


def _kills(seen: Seen, memory: Memory) -> dict[str, int]:
    processes = seen.current.processes
    window_s = seen.rules.out_of_memory_window_s
    return memory.out_of_memory(seen.ref, processes.restarts, set(processes.out_of_memory), window_s)


def _fullness(seen: Seen, version: Version, broker: Broker, memory: Memory) -> Seen:
    """Queues near their limits."""
    seen = replace(seen, current=_with_bytes(seen, version, broker))
    queues = seen.current.queues or {}
    full = {step: queue.ready for step, queue in queues.items() if queue and seen.is_overfull(step)}
    return replace(seen, overfull_s=memory.overfull(seen.ref, full))


def _with_bytes(seen: Seen, version: Version, broker: Broker) -> VersionSeen:
    """Sizes of the queues that could be over their limit of bytes, were all messages as large as they may be."""
    if seen.current.queues is None:
        return seen.current
    known = dict(seen.current.queues)
    mark = seen.rules.overfull_ratio * seen.queue_limits[1]
    for step, queue in known.items():
        if queue and queue.ready * _LARGEST_MESSAGE > mark:
            found = broker.management.queue(vhost(version.ref.workspace), version.ref.queue(step)) or {}
            known[step] = replace(queue, bytes=int(found.get("message_bytes_ready", 0)))
    return replace(seen.current, queues=known)


def _wants_drift(seen: Seen, hints: Hints) -> bool:
    """At full rounds; and where steps fail to start, since it may be their rights that they miss."""
    if seen.status.parking:
        return False
    if any(_SUSPICIOUS <= count < seen.rules.max_failures for count in seen.failures.values()):
        return True
    draining = seen.status.state is FlowState.STOPPING and seen.desired.drain
    return FULL in hints and (draining or seen.status.state in _KEPT_WHOLE)


def _drifted(seen: Seen, version: Version, clients: Clients, versions: Versions) -> tuple[str, ...]:
    """What cannot be told now is left to the next full round: a flow is woken and stopped though Vault is away."""
    wanted = expected(version, seen.status.state)
    try:
        components = versions.components(clients.store, seen.status.components)
        aside = seen.status.state is not FlowState.SUSPENDED and clients.broker.has_aside(seen.ref)
        found = drift(clients.broker, clients.vault, version, wanted, components).repairable
    except (ServerUnreachable, NotFound) as error:
        log.warning("not compared with what was published", flow=str(seen.ref), why=error.message)
        return ()
    return ("rebounds are set aside", *found) if aside else found


def _wants_unacked(seen: Seen) -> bool:
    """The management API is asked only where the answer can change a decision."""
    if seen.status.state is FlowState.STOPPING:
        return seen.desired.drain
    return seen.status.state is FlowState.RUNNING and seen.kind is Kind.ORDINARY and not seen.status.parking


def _idle_for(seen: Seen, version: Version, broker: Broker, memory: Memory) -> float | None:
    if seen.current.left != 0:
        memory.busy(seen.ref)
        return None
    try:
        published = broker.published(version.ref)
    except ServerUnreachable:
        memory.busy(seen.ref)
        return None
    return memory.idle_for(seen.ref, published)


def _other_versions(seen: Seen, clients: Clients, versions: Versions) -> Seen:
    status = seen.status
    if status.replacing:
        old = _find(seen.ref, status.replacing, clients, versions)
        seen = replace(seen, old=_see(status.replacing, old, clients))
    if status.incoming:
        new = _find(seen.ref, status.incoming, clients, versions)
        seen = replace(seen, incoming=_see(status.incoming, new, clients))
        own_s = new.definition.limits.ready_timeout if new else seen.ready_timeout_s
        seen = replace(seen, ready_timeout_s=seen.desired.ready_timeout or own_s)
    return seen


def _find(ref: FlowRef, number: int, clients: Clients, versions: Versions) -> Version | None:
    try:
        return versions.get(clients.store, ref.version(number))
    except NotFound:
        return None


def _see(number: int, version: Version | None, clients: Clients) -> VersionSeen:
    if version is None:
        return VersionSeen(number, queues={}, rebounding=0)
    job = see_job(clients.nomad, version)
    seen = VersionSeen(number, job=job, processes=see_processes(clients.nomad, version, job))
    return see_queues(clients.broker, version, seen, unacked=True)


def see_job(nomad: Nomad, version: Version) -> JobSeen | None:
    """The registered job of a version; a stopped one counts as none."""
    job = nomad.job(version.ref.workspace, version.ref.job_id)
    return None if job is None or job.stopped else JobSeen(job.modify_index, job.counts, job.memory)


def see_processes(nomad: Nomad, version: Version, job: JobSeen | None) -> Processes:
    """Allocations are found by the job's id also after the job was stopped or purged."""
    live: dict[str, int] = {}
    running: dict[str, int] = {}
    restarts: dict[str, int] = {}
    notes: dict[str, str] = {}
    killed: set[str] = set()
    out_of_memory: set[str] = set()
    for alloc in nomad.allocations(version.ref.workspace, version.ref.job_id):
        if alloc.client_status in _LIVE:
            live[alloc.group] = live.get(alloc.group, 0) + 1
            if alloc.killed:
                killed.add(alloc.group)
            if alloc.out_of_memory:
                out_of_memory.add(alloc.group)
            running[alloc.group] = running.get(alloc.group, 0) + (alloc.client_status == "running")
        restarts[alloc.group] = restarts.get(alloc.group, 0) + alloc.restarts
        if alloc.message and (alloc.client_status in _LIVE or alloc.failed):
            notes[alloc.group] = alloc.message
    memory = job.memory if job else {}
    notes |= {group: _ran_out(memory.get(group)) for group in out_of_memory}
    return Processes(live, running, restarts, frozenset(killed), frozenset(out_of_memory), notes)


def _ran_out(limit: int | None) -> str:
    """The kernel kills when the limit is reached and more is asked for: the peak is the limit."""
    return f"killed for its memory: it used all of its {limit} MiB" if limit else "killed for its memory"


def see_queues(broker: Broker, version: Version, seen: VersionSeen, *, unacked: bool = False) -> VersionSeen:
    """Depths by passive declare; unacknowledged and rebounding ones from the management API if asked for and
    if nothing is ready anyway. A broker that does not answer leaves `queues` None."""
    ids = [step.id for step in version.steps]
    try:
        depths = broker.depths(version.ref, ids)
        queues = {step: QueueSeen(depth.ready, depth.consumers) if depth else None for step, depth in depths.items()}
        seen = replace(seen, queues=queues)
        if not unacked or seen.ready:
            return seen
        totals = broker.totals(version.ref, ids)
    except ServerUnreachable:
        return seen
    known = _with_unacked(queues, ((step, depth.unacked) for step, depth in totals.steps.items()))
    return replace(seen, queues=known, rebounding=totals.rebounding)


def _with_unacked(
    queues: dict[str, QueueSeen | None], unacked: Iterable[tuple[str, int]]
) -> dict[str, QueueSeen | None]:
    known = dict(queues)
    for step, count in unacked:
        queue = known.get(step)
        if queue is not None:
            known[step] = replace(queue, unacked=count)
    return known
