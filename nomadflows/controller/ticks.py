"""What a tick of a polling trigger is: when it is due, under which ids, how it gets into the trigger's queue.

A tick is one empty message. The broker puts a copy of each scheduled one into `<flow>.ticks`, which holds the newest
alone: whoever does not know whether a tick was sent finds out there (decision 64).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Final
from uuid import NAMESPACE_URL, uuid5

from nomadflows.broker.broker import Broker
from nomadflows.broker.topology import TICKED_KEY
from nomadflows.broker.wire import Crypto, tick
from nomadflows.clients import Clients
from nomadflows.model.errors import NotFound
from nomadflows.model.names import FlowRef, VersionRef, input_key
from nomadflows.model.schedule import delay, occurrences
from nomadflows.model.states import Status, parse_timestamp, timestamp

DEFAULT_LEAD_S: Final = 2.0
LATER_TICKS: Final = 2
_DUE: Final = "dueAt"  # header: when a scheduled tick was due
_LEAST: Final = timedelta(milliseconds=1)


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

    def means(self, due: datetime) -> bool:
        """Whether the schedule names this very moment."""
        return self.after(due - _LEAST) == due

    def later(self, due: datetime) -> tuple[str, ...]:
        """What people are shown of the ticks behind one."""
        return tuple(timestamp(moment) for moment in islice(self._dues(due), LATER_TICKS)) if self.expression else ()

    def _dues(self, moment: datetime) -> Iterator[datetime]:
        return occurrences(self.expression, self.zone, moment, delay(str(self.version.ref), self.jitter_s))

    def same_schedule(self, other: Plan) -> bool:
        return replace(self, version=other.version, trigger=other.trigger, lead_s=other.lead_s) == other


def first_due(plan: Plan, status: Status, now: datetime) -> datetime:
    """The first tick of a leader that is new, or of a flow that is new to it: the one that is overdue, if its
    predecessor promised it since the flow's start; else the next. Either may have been sent already."""
    if not plan.expression or not status.next_tick:
        return plan.after(now)
    promised = parse_timestamp(status.next_tick)
    started = parse_timestamp(status.started) if status.started else promised
    return promised if started <= promised <= now and plan.means(promised) else plan.after(now)


def tick_ids(ref: FlowRef, due: datetime) -> tuple[str, str]:
    """Message and execution of the tick that is due then, whichever leader sends it."""
    return named_ids(f"{ref}@{timestamp(due)}")


def named_ids(name: str) -> tuple[str, str]:
    """Message and execution of what has this name, the same whoever sends it and however often."""
    full = f"nomadflows:{name}"
    return str(uuid5(NAMESPACE_URL, full)), str(uuid5(NAMESPACE_URL, f"{full}/execution"))


def message_key(clients: Clients, version: VersionRef) -> Crypto:
    secret = clients.vault.version_secret(version)
    return Crypto(secret.crypto_password, secret.crypto_iv)


def waiting(broker: Broker, version: VersionRef, trigger: str) -> int:
    """Ticks that wait in the trigger's queue. NotFound if there is none: it may not be lost into nowhere."""
    depth = broker.depths(version, [trigger])[trigger]
    if depth is None:
        raise NotFound(f"step {trigger} of {version} has no queue")
    return depth.ready


def publish_tick(
    broker: Broker,
    crypto: Crypto,
    version: VersionRef,
    trigger: str,
    ids: tuple[str, str] = ("", ""),
    due: datetime | None = None,
) -> bool:
    """Put one tick into a trigger's queue; one that was due at a moment is remembered as the flow's newest. False: the
    queue is full."""
    message = tick(
        crypto,
        workspace=version.workspace,
        flow=version.flow,
        exec_id=version.job_id,
        message_id=ids[0],
        thread_id=ids[1],
    )
    headers = message.headers
    if due is not None:
        headers = {**headers, _DUE: timestamp(due), "BCC": [TICKED_KEY]}
    return broker.publish(version.workspace, version.exchange, input_key(trigger), message.body, headers)


def last_sent(broker: Broker, ref: FlowRef) -> datetime | None:
    """When the newest tick was due that the broker has taken; None if it knows of none."""
    headers = broker.peek(ref.workspace, ref.ticks_queue)
    due = (headers or {}).get(_DUE)
    return parse_timestamp(str(due)) if due else None
