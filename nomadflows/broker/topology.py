"""Which exchanges, queues and bindings a version of a flow needs. Pure data: what talks to RabbitMQ is elsewhere.

::

    publishers ──▶ <flow>.v<n> (topic) ─┬─ <step>.input, <prev>.data ──▶ <flow>.v<n>.<step>   a queue per step
                          │             ├─ *.error ────────────────────▶ <flow>.errors
       nobody is bound    │             ├─ *.snapshot ─────────────────▶ nomadflows.snapshots
                          ▼             ├─ <last step>.data ───────────▶ nomadflows.sink      keeps nothing
              nomadflows.unrouted       └─ *.rebound ──▶ <flow>.v<n>.rebound (headers)
                                                            │ reboundIteration 1, 2 … 6      any other
                                                            ▼                                   ▼
                                       <flow>.v<n>.rebound.15s … .480s              <flow>.v<n>.rebound.600s
                                                            └── after its TTL ──┬───────────────┘
                                                                                ▼
                                            <flow>.v<n>.rebounded (topic) ─ <step>.rebound ──▶ <flow>.v<n>.<step>

A queue holds messages of one delay only: RabbitMQ drops expired messages at a queue's head, so mixed delays
would wait for each other. A rejected message goes to <flow>.dead. The errors and dead queues outlive versions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from nomadflows.model.graph import RunStep
from nomadflows.model.names import (
    SINK_QUEUE,
    SNAPSHOT_QUEUE,
    UNROUTED,
    WAKE_QUEUE,
    FlowRef,
    VersionRef,
    data_key,
    error_key,
    input_key,
    rebound_key,
)

Arguments = tuple[tuple[str, int | str], ...]

MESSAGES: Final = 75_000
BYTES: Final = 209_715_200
ERRORS_KEPT: Final = 1_000
UNROUTED_KEPT: Final = 10_000
WAKES_KEPT: Final = 10_000
REBOUND_SECONDS: Final = (15, 30, 60, 120, 240, 480)  # of iterations 1, 2, …
REBOUND_SECONDS_LATE: Final = 600  # of every further one
WAKE_KEYS: Final = ("*.input", "*.data", "*.error")
WAKE_REBOUNDED_KEY: Final = "*.rebound"
_DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one step's queue holds."""

    messages: int = MESSAGES
    bytes: int = BYTES


@dataclass(frozen=True, order=True, slots=True)
class Exchange:
    name: str
    type: Literal["topic", "headers", "fanout"]
    arguments: Arguments = ()


@dataclass(frozen=True, order=True, slots=True)
class Queue:
    name: str
    arguments: Arguments = ()


@dataclass(frozen=True, order=True, slots=True)
class Binding:
    """Messages of `source` that match go to `destination`, which is a queue or another exchange."""

    source: str
    destination: str
    key: str
    arguments: Arguments = ()
    to: Literal["queue", "exchange"] = "queue"


@dataclass(frozen=True, slots=True)
class Topology:
    """Everything is durable. `step_queues` and `rebound_queues` die with the version, `flow_queues` do not."""

    exchanges: tuple[Exchange, ...] = ()
    step_queues: tuple[Queue, ...] = ()
    rebound_queues: tuple[Queue, ...] = ()
    flow_queues: tuple[Queue, ...] = ()
    bindings: tuple[Binding, ...] = ()

    @property
    def queues(self) -> tuple[Queue, ...]:
        return self.step_queues + self.rebound_queues + self.flow_queues

    @property
    def size(self) -> int:
        return len(self.exchanges) + len(self.queues) + len(self.bindings)


def arguments(table: Mapping[str, Any]) -> Arguments:
    """An argument table as comparable data."""
    return tuple(sorted(table.items()))


def topology(
    version: VersionRef, steps: Sequence[RunStep], limits: Limits, *, rebound_second_ms: int = 1_000
) -> Topology:
    """What a version needs in its workspace's vhost. `rebound_second_ms`: how long a second of delay lasts."""
    step_queues = tuple(_step_queue(version, step.id, limits) for step in steps)
    return Topology(
        exchanges=_exchanges(version),
        step_queues=step_queues,
        rebound_queues=tuple(
            Queue(version.rebound_queue(seconds), arguments({
                "x-message-ttl": seconds * rebound_second_ms, "x-dead-letter-exchange": version.rebounded_exchange,
            }))
            for seconds in (*REBOUND_SECONDS, REBOUND_SECONDS_LATE)
        ),
        flow_queues=flow_queues(version.ref),
        bindings=(
            *_step_bindings(version, steps),
            *_rebound_bindings(version, steps),
            *_record_bindings(version, steps),
        ),
    )


def workspace_topology() -> Topology:
    """What all flows of a workspace share in its vhost, the same in each. The snapshot queue pushes back, since nothing may be lost
    in it; the wake queue may forget: a controller that was away so long looks at every flow when it comes back."""
    return Topology(
        exchanges=(Exchange(UNROUTED, "fanout"),),
        flow_queues=(
            Queue(UNROUTED, _capped(UNROUTED_KEPT)),
            Queue(SINK_QUEUE, arguments({"x-max-length": 0})),
            Queue(SNAPSHOT_QUEUE, _capped(MESSAGES, overflow="reject-publish")),
            Queue(WAKE_QUEUE, _capped(WAKES_KEPT)),
        ),
        bindings=(Binding(UNROUTED, UNROUTED, ""),),
    )


def flow_queues(ref: FlowRef) -> tuple[Queue, ...]:
    """Shared by a flow's versions, hence the same whatever limits a version sets."""
    return (
        Queue(ref.errors_queue, arguments({
            "x-max-length": ERRORS_KEPT, "x-max-length-bytes": BYTES, "x-overflow": "drop-head",
            "x-message-ttl": 5 * _DAY_MS,
        })),
        Queue(ref.dead_queue, _capped(MESSAGES)),
    )


def wake_bindings(version: VersionRef) -> tuple[Binding, ...]:
    """What feeds the controller's wake queue while a version is parked. Wider than need be (a last step's output
    wakes too): while a flow is being parked a message may still come out of it."""
    return (
        *(Binding(version.exchange, WAKE_QUEUE, key) for key in WAKE_KEYS),
        Binding(version.rebounded_exchange, WAKE_QUEUE, WAKE_REBOUNDED_KEY),
    )


def late_rebound_exchange(version: VersionRef) -> str:
    """Alternate of the headers exchange: iterations that have no delay of their own."""
    return f"{version.rebound_exchange}.late"


def _exchanges(version: VersionRef) -> tuple[Exchange, ...]:
    unrouted = arguments({"alternate-exchange": UNROUTED})
    late = late_rebound_exchange(version)
    return (
        Exchange(version.exchange, "topic", unrouted),
        Exchange(version.rebound_exchange, "headers", arguments({"alternate-exchange": late})),
        Exchange(late, "fanout"),
        Exchange(version.rebounded_exchange, "topic", unrouted),
    )


def _step_queue(version: VersionRef, step: str, limits: Limits) -> Queue:
    return Queue(version.queue(step), arguments({
        "x-max-length": limits.messages, "x-max-length-bytes": limits.bytes, "x-overflow": "reject-publish",
        "x-dead-letter-exchange": "", "x-dead-letter-routing-key": version.ref.dead_queue,
    }))


def _capped(messages: int, overflow: str = "drop-head") -> Arguments:
    return arguments({"x-max-length": messages, "x-max-length-bytes": BYTES, "x-overflow": overflow})


def _step_bindings(version: VersionRef, steps: Sequence[RunStep]) -> Iterable[Binding]:
    """Input of each step; output nobody reads goes to the sink, so that it is not mistaken for unroutable."""
    read = {source for step in steps for source in step.after}
    for step in steps:
        yield Binding(version.exchange, version.queue(step.id), input_key(step.id))
        for source in step.after:
            yield Binding(version.exchange, version.queue(step.id), data_key(source))
        if step.id not in read:
            yield Binding(version.exchange, SINK_QUEUE, data_key(step.id))


def _record_bindings(version: VersionRef, steps: Sequence[RunStep]) -> Iterable[Binding]:
    """Errors and snapshots. An error handler gets no error of its own or of the steps it feeds: that would go
    round for ever."""
    yield Binding(version.exchange, version.ref.errors_queue, "*.error")
    yield Binding(version.exchange, SNAPSHOT_QUEUE, "*.snapshot")
    for handler in (step for step in steps if step.error_handler):
        fed = _fed_by(handler.id, steps)
        for step in steps:
            if step.id not in fed:
                yield Binding(version.exchange, version.queue(handler.id), error_key(step.id))


def _fed_by(start: str, steps: Sequence[RunStep]) -> set[str]:
    """`start` and every step that gets what it put out."""
    found = {start}
    while more := {step.id for step in steps if step.id not in found and found.intersection(step.after)}:
        found |= more
    return found


def _rebound_bindings(version: VersionRef, steps: Sequence[RunStep]) -> Iterable[Binding]:
    yield Binding(version.exchange, version.rebound_exchange, "*.rebound", to="exchange")
    for iteration, seconds in enumerate(REBOUND_SECONDS, start=1):
        match = arguments({"x-match": "all", "reboundIteration": iteration})
        yield Binding(version.rebound_exchange, version.rebound_queue(seconds), "", match)
    yield Binding(late_rebound_exchange(version), version.rebound_queue(REBOUND_SECONDS_LATE), "")
    for step in steps:
        yield Binding(version.rebounded_exchange, version.queue(step.id), rebound_key(step.id))


# ── comparing with what a broker has ──────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Listed:
    """What a broker says it has."""

    exchanges: frozenset[Exchange] = frozenset()
    queues: frozenset[Queue] = frozenset()
    bindings: frozenset[Binding] = frozenset()

    @classmethod
    def from_api(
        cls, exchanges: Iterable[Mapping[str, Any]], queues: Iterable[Mapping[str, Any]], bindings: Iterable[Mapping[str, Any]]
    ) -> Listed:
        """From the JSON of the management API."""
        return cls(
            frozenset(Exchange(e["name"], e["type"], arguments(e.get("arguments") or {})) for e in exchanges),
            frozenset(Queue(q["name"], arguments(q.get("arguments") or {})) for q in queues),
            frozenset(
                Binding(
                    b["source"], b["destination"], b["routing_key"], arguments(b.get("arguments") or {}),
                    b.get("destination_type", "queue"),
                )
                for b in bindings
            ),
        )


@dataclass(frozen=True, slots=True)
class Difference:
    """`missing` can be declared; `altered` exists with other arguments, and only deleting it would help."""

    missing: tuple[Exchange | Queue | Binding, ...] = ()
    altered: tuple[Exchange | Queue, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.missing or self.altered)


def difference(wanted: Topology, listed: Listed) -> Difference:
    """What `wanted` has and the broker has not. What else the broker has is not looked at."""
    exchanges = [exchange for exchange in wanted.exchanges if exchange not in listed.exchanges]
    queues = [queue for queue in wanted.queues if queue not in listed.queues]
    taken_exchanges = {exchange.name for exchange in listed.exchanges}
    taken_queues = {queue.name for queue in listed.queues}
    return Difference(
        missing=(
            *(exchange for exchange in exchanges if exchange.name not in taken_exchanges),
            *(queue for queue in queues if queue.name not in taken_queues),
            *(binding for binding in wanted.bindings if binding not in listed.bindings),
        ),
        altered=(
            *(exchange for exchange in exchanges if exchange.name in taken_exchanges),
            *(queue for queue in queues if queue.name in taken_queues),
        ),
    )
