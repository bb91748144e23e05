"""What makes the leader look at a flow: a request in the inbox, a message for a parked flow, news from Nomad, and,
should all these have been missed, a slow full round. Each is a thread that only ever says "look at this flow"."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Final

import structlog

from nomadflows.clients import Clients
from nomadflows.controller import metrics
from nomadflows.controller.observe import FULL
from nomadflows.controller.purge import purge_expired
from nomadflows.controller.rounds import Rounds
from nomadflows.controller.scheduler import Scheduler
from nomadflows.controller.ticks import message_key, named_ids, publish_tick, waiting
from nomadflows.controller.versions import Versions
from nomadflows.controller.workqueue import WorkQueue
from nomadflows.model.errors import NomadflowsError, Refused, ServerRefused
from nomadflows.model.lifecycle import ACTIVE
from nomadflows.model.names import FlowRef, VersionRef
from nomadflows.model.states import FlowState, WantedState
from nomadflows.plan.decision import FIRST_LOOK_S
from nomadflows.plan.sweep import holding
from nomadflows.store.documents import InboxEntry
from nomadflows.store.inbox import DELETED, RUN_NOW
from nomadflows.store.transaction import Fence, LostLeadership

log = structlog.get_logger()

_INBOX_WAIT_S: Final = 60.0
_PAUSE_S: Final = 1.0
SWEEP_S: Final = 30.0


class Repeated:
    """A daemon thread that repeats `_turn` until it is closed; a failing turn is logged and repeated a little later."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._closed = threading.Event()
        self.thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self.thread.start()

    def close(self) -> None:
        self._closed.set()

    def _run(self) -> None:
        while not self._closed.is_set():
            try:
                self._turn()
            except NomadflowsError as error:
                log.warning("signal source failed, tried again", source=self._name, error=str(error))
                self._closed.wait(_PAUSE_S)
            except Exception:  # a mistake of ours in one turn must not silence this source for as long as we lead
                metrics.FAILED_TURNS.labels(self._name).inc()
                log.exception("signal source failed unexpectedly, tried again", source=self._name)
                self._closed.wait(_PAUSE_S)

    def _turn(self) -> None:
        raise NotImplementedError


class Inbox(Repeated):
    """Requests of people, as keys that are deleted once the flow stands in the queue, or the tick in the trigger's.

    The key goes only after the request is in the queue of a leader that will, on failing, look again by itself;
    a leader that dies in between is followed by one that begins with a full round. What cannot be done yet keeps its
    key, and holds up no other.
    """

    def __init__(
        self, clients: Callable[[], Clients], queue: WorkQueue, versions: Versions, scheduler: Scheduler, fence: Fence
    ) -> None:
        super().__init__("inbox")
        self._fence = fence
        self._clients = clients
        self._queue = queue
        self._versions = versions
        self._scheduler = scheduler
        self._index = 0
        self._kept: frozenset[str] = frozenset()

    def _turn(self) -> None:
        store = self._clients().store
        entries, index = store.inbox(self._index, _PAUSE_S if self._kept else _INBOX_WAIT_S)
        kept = set()
        for entry in entries:
            if self._closed.is_set():
                return
            if self._is_taken(entry):
                store.done(entry, fence=self._fence)
            else:
                kept.add(entry.key)
        self._index, self._kept = index, frozenset(kept)  # only now: what a failing turn left is read again

    def _is_taken(self, entry: InboxEntry) -> bool:
        try:
            return self._take(entry)
        except LostLeadership:
            raise
        except NomadflowsError as error:
            if entry.key not in self._kept:
                log.warning("a request waits for a server", key=entry.key, request=entry.request, error=str(error))
            return False

    def _take(self, entry: InboxEntry) -> bool:
        """Whether that was all: the key may go."""
        if entry.flow is None:
            log.warning("a key in the inbox names no flow and is removed", key=entry.key)
            return True
        if entry.request == RUN_NOW and not self._run_now(entry.flow, entry.key):
            return False
        if entry.request == DELETED:
            self._versions.forget(entry.flow)
            purge_expired(self._clients(), [entry.flow], self._fence)
        self._queue.add(entry.flow)
        return True

    def _run_now(self, ref: FlowRef, key: str) -> bool:
        """Give the trigger its tick as soon as its queue is there and takes it, if the flow is still to run then. The
        tick's ids come from the key: a leader that dies before it deletes that is followed by one that repeats both.
        """
        clients = self._clients()
        record = clients.store.flow(ref)
        if record is None or record.desired.value.state is not WantedState.RUNNING:
            log.warning("run-now for a flow that is not to run any more", flow=str(ref), key=key)
            return True
        status = record.status.value
        if status.state not in ACTIVE or not status.input_version:
            return False
        version = self._versions.get(clients.store, ref.version(status.input_version))
        waiting(clients.broker, version.ref, version.trigger.id)  # NotFound unless there is a queue
        crypto = message_key(clients, version.ref)
        self._fence.held()
        if not publish_tick(clients.broker, crypto, version.ref, version.trigger.id, named_ids(key)):
            return False
        self._scheduler.ticked(ref)
        return True


class NomadEvents(Repeated):
    """Allocations and jobs that changed, as Nomad tells it."""

    def __init__(self, clients: Callable[[], Clients], queue: WorkQueue) -> None:
        super().__init__("nomad-events")
        self._clients = clients
        self._queue = queue

    def _turn(self) -> None:
        clients = self._clients()
        for event in clients.nomad.events({"Allocation": "*", "Job": "*"}, 0, self._closed):
            if event.topic == "Stream":  # it was away, and Nomad may have forgotten what happened meanwhile
                for ref in clients.store.flow_refs():
                    self._queue.add(ref, FULL)
                continue
            version = VersionRef.parse_job(event.namespace, event.job_id)
            if version is not None:
                self._queue.add_after(version.ref, FIRST_LOOK_S)  # events come in bursts: one look for all


class Sweep(Repeated):
    """Messages that came into a step's queue past its flow's exchange, which the wake queue does not hear of; and queues
    that somebody deleted, since what comes for them is lost while their flow is parked.

    One listing for each workspace. A flow that holds messages is looked at; only a parked one has anything to do.
    """

    def __init__(self, clients: Callable[[], Clients], queue: WorkQueue, workspaces: Callable[[], list[str]]) -> None:
        super().__init__("sweep")
        self._clients = clients
        self._queue = queue
        self._workspaces = workspaces
        self._names: dict[str, frozenset[str]] = {}  # of the queues of each workspace, at the last sweep

    def _turn(self) -> None:
        self._closed.wait(SWEEP_S)
        for workspace in self._workspaces():
            try:
                self._sweep(workspace)
            except NomadflowsError as error:
                log.warning("a workspace was not swept", workspace=workspace, error=str(error))

    def _sweep(self, workspace: str) -> None:
        totals = self._clients().broker.workspace_totals(workspace)
        gone = self._names.get(workspace, frozenset()) - totals.keys()
        self._names[workspace] = frozenset(totals)
        self._look_at(workspace, holding({name: queue.ready for name, queue in totals.items()}))
        self._look_at(workspace, holding(dict.fromkeys(gone, 1)), FULL)

    def _look_at(self, workspace: str, exchanges: Iterable[str], *hints: str) -> None:
        for exchange in exchanges:
            version = VersionRef.parse_job(workspace, exchange)
            if version is not None:
                self._queue.add(version.ref, *hints)


class Resync(Repeated):
    """All flows, first when the leader begins and then every few minutes: repairs whatever signal was missed.

    The first round looks at every flow, so that the scheduler knows them all. Later ones pass over what listings show
    to be as it was left.
    """

    def __init__(
        self,
        clients: Callable[[], Clients],
        queue: WorkQueue,
        found: Callable[[str], None],  # makes what the flows of a workspace share, where it is missing
        fence: Fence,
        every_s: float,
    ) -> None:
        super().__init__("resync")
        self._every_s = every_s
        self._fence = fence
        self._clients = clients
        self._queue = queue
        self._found = found
        self._rounds = Rounds(clients)
        self._first = True

    def _turn(self) -> None:
        began = time.monotonic()
        records = self._clients().store.flows()
        for workspace in sorted({record.ref.workspace for record in records}):
            self._prepare(workspace)
        wanted = records if self._first else self._rounds.unquiet(records)
        for record in sorted(wanted, key=lambda record: record.status.value.state is FlowState.SLEEPING):
            self._queue.add(record.ref, FULL)
        log.info("full round", flows=len(records), looked_at=len(wanted), seconds=round(time.monotonic() - began, 3))
        self._first = False
        clients = self._clients()
        purge_expired(clients, clients.store.deleted_refs(), self._fence)
        self._closed.wait(self._every_s)

    def _prepare(self, workspace: str) -> None:
        """What is wrong with one workspace alone keeps no flow of another from being looked at."""
        try:
            self._found(workspace)
        except (Refused, ServerRefused) as error:
            log.warning("what a workspace's flows share is not as it should be", workspace=workspace, error=str(error))
