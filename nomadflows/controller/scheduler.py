"""Ticks for polling triggers: which is next for each flow, and that it is sent at its time.

A tick is skipped while the previous one waits. Real-time flows without a schedule are ticked continuously: the next
one when the last was taken, at most one per `min_interval`. A parked flow is looked at `lead` seconds before its tick,
so that the tick meets warm steps.

A tick keeps the moment at which it was due, and with it its ids, until it was sent or skipped, however often a server
fails meanwhile; of several that were missed the first is made up. A new leader begins with what its predecessor wrote
into the flow's status. Where a tick may have been sent already (the first one of a new leader, one whose confirm was
lost), the broker is asked before: it remembers the newest tick of each flow.

One thread reads the clock; a few send, one flow at a time, so that a flow whose servers hang holds up no other.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import structlog

from nomadflows.broker.wire import Crypto
from nomadflows.clients import Clients
from nomadflows.controller import metrics
from nomadflows.controller.observe import Look
from nomadflows.controller.ticks import (
    DEFAULT_LEAD_S,
    Plan,
    first_due,
    last_sent,
    message_key,
    publish_tick,
    tick_ids,
    waiting,
)
from nomadflows.controller.workqueue import WorkQueue
from nomadflows.model.errors import NomadflowsError
from nomadflows.model.lifecycle import ACTIVE
from nomadflows.model.names import FlowRef
from nomadflows.model.states import Status, WantedState, timestamp, utc_now
from nomadflows.store.transaction import LostLeadership

log = structlog.get_logger()

SENDERS: Final = 4
_RETRY_S: Final = 1.0
_MOST_SKEW: Final = timedelta(minutes=1)  # a newest tick from further ahead is a wrong clock's, and tells nothing


@dataclass(frozen=True, slots=True)
class _Next:
    """The tick that a flow gets next. `at` is later than `due` only after a server failed."""

    due: datetime
    at: datetime
    in_doubt: bool = False  # it may have been sent already


class Scheduler:
    """Of one leader. `early(ref)` is called `lead` before a tick of the flow, and after each."""

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
        self._next: dict[FlowRef, _Next] = {}
        self._warned: dict[FlowRef, datetime] = {}
        self._ticked: dict[FlowRef, datetime] = {}
        self._later: dict[FlowRef, tuple[str, ...]] = {}
        self._keys: dict[FlowRef, Crypto] = {}
        self._heap: list[tuple[datetime, FlowRef]] = []
        self._stop = threading.Event()
        self._due = WorkQueue()
        self.threads = [threading.Thread(target=self._run, name="scheduler", daemon=True)]
        self.threads += [
            threading.Thread(target=self._send_due, name=f"ticks-{number}", daemon=True) for number in range(SENDERS)
        ]

    def start(self) -> None:
        for thread in self.threads:
            thread.start()

    def close(self) -> None:
        self._stop.set()
        self._due.close()
        with self._changed:
            self._changed.notify_all()
        for thread in self.threads:
            if thread.is_alive():
                thread.join(timeout=5)

    # ── which flows ───────────────────────────────────────────────────────────────────────────────────────────

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
                due = first_due(plan, status, self._now())
                self._set_next(ref, _Next(due, due, in_doubt=True))
            elif known != plan:
                self._plans[ref] = plan
                self._set_next(ref, self._next[ref] if known.same_schedule(plan) else self._after(plan, self._now()))

    def forget(self, ref: FlowRef) -> None:
        with self._changed:
            self._drop(ref)

    def _drop(self, ref: FlowRef) -> None:
        self._plans.pop(ref, None)
        self._next.pop(ref, None)
        self._warned.pop(ref, None)
        self._ticked.pop(ref, None)
        self._later.pop(ref, None)
        self._keys.pop(ref, None)

    # ── what is told ──────────────────────────────────────────────────────────────────────────────────────────

    def next_in(self, ref: FlowRef) -> float | None:
        """Seconds until the flow's next tick is due; None: it is not ticked."""
        with self._changed:
            coming = self._next.get(ref)
            return None if coming is None else (coming.due - self._now()).total_seconds()

    def times(self, ref: FlowRef) -> dict[str, Any]:
        """What the flow's status tells of ticks. Continuous ticks are not told one by one."""
        with self._changed:
            plan, coming, last = self._plans.get(ref), self._next.get(ref), self._ticked.get(ref)
            told = {"last_tick": timestamp(last)} if last else {}
            if coming is None or plan is None or not plan.expression:
                return told | {"next_tick": "", "later_ticks": ()}
            if ref not in self._later:
                self._later[ref] = plan.later(coming.due)
            return told | {"next_tick": timestamp(coming.due), "later_ticks": self._later[ref]}

    def ticked(self, ref: FlowRef) -> None:
        """Somebody else put a tick into the trigger's queue."""
        with self._changed:
            self._ticked[ref] = self._now()

    def lead(self, ref: FlowRef) -> float:
        with self._changed:
            plan = self._plans.get(ref)
            return plan.lead_s if plan else DEFAULT_LEAD_S

    # ── the clock ─────────────────────────────────────────────────────────────────────────────────────────────

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                ref = self._take()
            except Exception:  # a mistake of ours must not end all ticks of all flows
                metrics.FAILED_TURNS.labels("scheduler").inc()
                log.exception("the scheduler failed unexpectedly, goes on")
                self._stop.wait(_RETRY_S)
                continue
            if ref is not None:
                self._due.add(ref)

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

    def _set_next(self, ref: FlowRef, coming: _Next) -> None:
        self._next[ref] = coming
        self._later.pop(ref, None)
        heapq.heappush(self._heap, (coming.due - timedelta(seconds=self._plans[ref].lead_s), ref))
        heapq.heappush(self._heap, (coming.at, ref))
        self._changed.notify()

    @staticmethod
    def _after(plan: Plan, moment: datetime) -> _Next:
        due = plan.after(moment)
        return _Next(due, due)

    # ── sending ───────────────────────────────────────────────────────────────────────────────────────────────

    def _send_due(self) -> None:
        while taken := self._due.take():
            ref, _ = taken
            try:
                self._fire(ref)
            except Exception:
                metrics.FAILED_TURNS.labels("ticks").inc()
                log.exception("a tick failed", flow=str(ref))
            self._due.done(ref)

    def _fire(self, ref: FlowRef) -> None:
        """Do for a flow what is due now: warn of its tick, send it, or nothing."""
        with self._changed:
            plan, coming = self._plans.get(ref), self._next.get(ref)
        if plan is None or coming is None or not self._is_leader():
            return
        if self._now() < coming.at:
            self._warn(ref, plan, coming.due)
            return
        try:
            last = self._send(ref, plan, coming)
        except Exception as error:
            self._again(ref, coming)
            if not isinstance(error, NomadflowsError):
                raise
            if coming.at == coming.due:
                log.warning("a tick waits for a server", flow=str(ref), due=timestamp(coming.due), error=str(error))
            return
        self._go_on(ref, coming, last)
        if plan.expression:
            self._early(ref)

    def _warn(self, ref: FlowRef, plan: Plan, due: datetime) -> None:
        if self._warned.get(ref) != due and (due - self._now()).total_seconds() <= plan.lead_s:
            self._warned[ref] = due
            if plan.expression:
                self._early(ref)

    def _send(self, ref: FlowRef, plan: Plan, coming: _Next) -> datetime | None:
        """Send a tick, unless the last one waits or it was sent already. When the newest was due that is sent now."""
        broker = self._clients().broker
        if plan.expression and coming.in_doubt:
            last = last_sent(broker, ref)
            if last is not None and coming.due <= last <= self._now() + _MOST_SKEW:
                return last
        if waiting(broker, plan.version, plan.trigger):
            return None
        key = self._key(ref, plan)
        if not self._is_leader():  # asked last, since servers may have taken their time
            raise LostLeadership("another controller leads")
        if not plan.expression:
            publish_tick(broker, key, plan.version, plan.trigger)
            return None
        ids = tick_ids(ref, coming.due)
        return coming.due if publish_tick(broker, key, plan.version, plan.trigger, ids, coming.due) else None

    def _key(self, ref: FlowRef, plan: Plan) -> Crypto:
        """A flow's message key stays the same while it is ticked."""
        known = self._keys.get(ref)
        if known is None:
            known = message_key(self._clients(), plan.version)
            with self._changed:
                if self._plans.get(ref) == plan:
                    self._keys[ref] = known
        return known

    def _again(self, ref: FlowRef, coming: _Next) -> None:
        """The same tick a little later; a server may have failed after it was done."""
        with self._changed:
            if self._next.get(ref) is coming:
                self._set_next(ref, _Next(coming.due, self._now() + timedelta(seconds=_RETRY_S), in_doubt=True))

    def _go_on(self, ref: FlowRef, coming: _Next, last: datetime | None) -> None:
        """A tick is over: sent, or skipped, and then nobody makes it up."""
        with self._changed:
            if self._next.get(ref) is not coming:
                return
            if last is not None:
                self._ticked[ref] = last
            self._set_next(ref, self._after(self._plans[ref], max(coming.due, last or coming.due, self._now())))


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
