"""Ticks for polling triggers.

A tick is one empty message in the trigger's queue. It is skipped while the previous one waits. Real-time flows
without a schedule are ticked continuously: the next one when the last was taken, at most one per `min_interval`.
A parked flow is looked at `lead` seconds before its tick, so that the tick meets warm steps.

A new leader begins with what its predecessor wrote into the flow's status: a tick that was due meanwhile is made up
once, however many were missed, and one that was sent is not sent again. Only a leader that dies between the broker's
confirm and its next status may leave a tick to be repeated; it then has the same message id and execution.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

import structlog

from nomadflows.broker.wire import Crypto, tick
from nomadflows.clients import Clients
from nomadflows.controller.observe import Look
from nomadflows.model.errors import NomadflowsError
from nomadflows.model.lifecycle import ACTIVE
from nomadflows.model.names import FlowRef, VersionRef, input_key
from nomadflows.model.schedule import delay, occurrences
from nomadflows.model.states import Status, WantedState, parse_timestamp, timestamp, utc_now

log = structlog.get_logger()

DEFAULT_LEAD_S: Final = 2.0
LATER_TICKS: Final = 2
_RETRY_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How one flow is ticked."""

    version: VersionRef  # where input goes
    trigger: str
    expression: str  # "": continuously
    zone: str
    min_interval_s: float
    lead_s: float = DEFAULT_LEAD_S
    jitter_s: float = 0.0

    def after(self, moment: datetime) -> datetime:
        if not self.expression:
            return moment + timedelta(seconds=self.min_interval_s)
        return next(self._dues(moment))

    def later(self, due: datetime) -> tuple[str, ...]:
        """What people are shown of the ticks behind one."""
        return tuple(timestamp(moment) for moment in islice(self._dues(due), LATER_TICKS)) if self.expression else ()

    def _dues(self, moment: datetime) -> Iterator[datetime]:
        return occurrences(self.expression, self.zone, moment, delay(str(self.version.ref), self.jitter_s))

    def same_but_lead(self, other: Plan) -> bool:
        return replace(self, lead_s=0) == replace(other, lead_s=0)


class Scheduler:
    """One thread of the leader. `early(ref)` is called `lead` before a tick of the flow."""

    def __init__(
        self,
        clients: Callable[[], Clients],
        early: Callable[[FlowRef], None],
        is_leader: Callable[[], bool],
        now: Callable[[], datetime] = utc_now,
        jitter_s: float = 0.0,
    ) -> None:
        self._jitter_s = jitter_s
        self._clients = clients
        self._early = early
        self._is_leader = is_leader
        self._now = now
        self._changed = threading.Condition()
        self._plans: dict[FlowRef, Plan] = {}
        self._next: dict[FlowRef, datetime] = {}
        self._warned: dict[FlowRef, datetime] = {}
        self._ticked: dict[FlowRef, datetime] = {}
        self._later: dict[FlowRef, tuple[str, ...]] = {}
        self._heap: list[tuple[datetime, FlowRef]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="scheduler", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        with self._changed:
            self._changed.notify_all()
        self._thread.join(timeout=5)

    def follow(self, look: Look) -> None:
        """Take over what a look at the flow showed: tick it, tick it differently, or no more."""
        self.take(look.seen.ref, _plan(look, self._clients(), self._jitter_s), look.seen.status)

    def take(self, ref: FlowRef, plan: Plan | None, status: Status) -> None:
        """Tick a flow by a plan from now on; None: no more. `status` says what a leader before this one did."""
        with self._changed:
            known = self._plans.get(ref)
            if plan is None:
                self._drop(ref)
            elif known is None:
                self._plans[ref] = plan
                self._set_next(ref, first_due(plan, status, self._now()))
            elif known != plan:
                self._plans[ref] = plan
                keep = known.same_but_lead(plan)
                self._set_next(ref, self._next[ref] if keep else plan.after(self._now()))

    def forget(self, ref: FlowRef) -> None:
        with self._changed:
            self._drop(ref)

    def next_in(self, ref: FlowRef) -> float | None:
        """Seconds until the flow's next tick; None: it is not ticked."""
        with self._changed:
            due = self._next.get(ref)
            return None if due is None else (due - self._now()).total_seconds()

    def times(self, ref: FlowRef) -> dict[str, Any]:
        """What the flow's status tells of ticks. Continuous ticks are not told one by one."""
        with self._changed:
            plan, due, last = self._plans.get(ref), self._next.get(ref), self._ticked.get(ref)
            told = {"last_tick": timestamp(last)} if last else {}
            if due is None or plan is None or not plan.expression:
                return told | {"next_tick": "", "later_ticks": ()}
            if ref not in self._later:
                self._later[ref] = plan.later(due)
            return told | {"next_tick": timestamp(due), "later_ticks": self._later[ref]}

    def ticked(self, ref: FlowRef, due: datetime | None = None) -> None:
        """A tick was put into the trigger's queue."""
        with self._changed:
            self._ticked[ref] = due or self._now()

    def lead(self, ref: FlowRef) -> float:
        with self._changed:
            plan = self._plans.get(ref)
            return plan.lead_s if plan else DEFAULT_LEAD_S

    def _drop(self, ref: FlowRef) -> None:
        self._plans.pop(ref, None)
        self._next.pop(ref, None)
        self._warned.pop(ref, None)
        self._ticked.pop(ref, None)
        self._later.pop(ref, None)

    def _set_next(self, ref: FlowRef, due: datetime) -> None:
        self._next[ref] = due
        self._later.pop(ref, None)
        lead = timedelta(seconds=self._plans[ref].lead_s)
        heapq.heappush(self._heap, (due - lead, ref))
        heapq.heappush(self._heap, (due, ref))
        self._changed.notify()

    def _run(self) -> None:
        while not self._stop.is_set():
            ref = self._take()
            if ref is not None:
                self._fire(ref)

    def _take(self) -> FlowRef | None:
        """Wait for the next moment at which something is due; the flow it concerns."""
        with self._changed:
            if not self._heap:
                self._changed.wait(60)
                return None
            moment, ref = self._heap[0]
            wait = (moment - self._now()).total_seconds()
            if wait > 0:
                self._changed.wait(min(wait, 60))
                return None
            heapq.heappop(self._heap)
            return ref

    def _fire(self, ref: FlowRef) -> None:
        with self._changed:
            plan, due = self._plans.get(ref), self._next.get(ref)
        if plan is None or due is None or not self._is_leader():
            return
        if self._now() < due:
            if self._warned.get(ref) != due and (due - self._now()).total_seconds() <= plan.lead_s:
                self._warned[ref] = due
                if plan.expression:
                    self._early(ref)
            return
        try:
            ids = tick_ids(plan.version, due) if plan.expression else ("", "")
            sent = publish_tick(self._clients(), plan.version, plan.trigger, ids=ids)
            if plan.expression:  # also a tick that was skipped is over: nobody makes it up
                if sent:
                    self.ticked(ref, due)
                self._early(ref)
            following = plan.after(max(due, self._now()))
        except NomadflowsError as error:
            log.warning("tick failed, tried again", flow=str(ref), error=str(error))
            following = self._now() + timedelta(seconds=_RETRY_S)
        with self._changed:
            if self._plans.get(ref) == plan:
                self._set_next(ref, following)


def first_due(plan: Plan, status: Status, now: datetime) -> datetime:
    """The first tick of a leader that is new, or of a flow that is new to it: the one that is overdue, if its
    predecessor promised it since the flow's start and did not send it; else the next."""
    if not plan.expression or not status.next_tick:
        return plan.after(now)
    promised = parse_timestamp(status.next_tick)
    started = parse_timestamp(status.started) if status.started else promised
    sent = bool(status.last_tick) and parse_timestamp(status.last_tick) >= promised
    still_meant = plan.after(promised - timedelta(milliseconds=1)) == promised
    return promised if started <= promised <= now and still_meant and not sent else plan.after(now)


def tick_ids(version: VersionRef, due: datetime) -> tuple[str, str]:
    """Message and execution of the tick that is due then, whichever leader sends it."""
    name = f"nomadflows:{version.ref}@{timestamp(due)}"
    return str(uuid5(NAMESPACE_URL, name)), str(uuid5(NAMESPACE_URL, f"{name}/execution"))


def publish_tick(
    clients: Clients,
    version: VersionRef,
    trigger: str,
    *,
    even_if_waiting: bool = False,
    ids: tuple[str, str] = ("", ""),
) -> bool:
    """Put one tick into a trigger's queue. False: skipped, since the last one still waits."""
    depth = clients.broker.depths(version, [trigger])[trigger]
    if depth is None or (depth.ready and not even_if_waiting):
        return False
    secret = clients.vault.version_secret(version)
    crypto = Crypto(secret.crypto_password, secret.crypto_iv)
    message = tick(
        crypto,
        workspace=version.workspace,
        flow=version.flow,
        exec_id=version.job_id,
        message_id=ids[0],
        thread_id=ids[1],
    )
    clients.broker.publish(version.workspace, version.exchange, input_key(trigger), message.body, message.headers)
    return True


def _plan(look: Look, clients: Clients, jitter_s: float) -> Plan | None:
    status, version = look.seen.status, look.version
    if version is None or status.state not in ACTIVE or look.seen.desired.state is not WantedState.RUNNING:
        return None
    if status.input_version != version.ref.number:
        return None
    trigger = version.trigger
    name, _, number = status.components.get(trigger.id, "").partition("@")
    component = clients.store.component(name, number) if number else None
    if component is None or not component.is_polling(trigger.function):
        return None
    definition = version.definition
    expression = definition.cron(look.seen.kind) or ""
    lead = max(DEFAULT_LEAD_S, 2 * (status.last_wake_s or 0.0))
    return Plan(
        version.ref,
        trigger.id,
        expression,
        definition.timezone,
        definition.steps[0].min_interval,
        lead,
        definition.jitter_s(jitter_s),
    )
