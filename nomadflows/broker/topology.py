"""Which exchanges, queues and bindings a version of a flow needs. Pure data: what talks to RabbitMQ is elsewhere.

::

    publishers ──▶ <flow>.v<n> (topic) ─┬─ <step>.input, <prev>.data ──▶ <flow>.v<n>.<step>   a queue per step
                          │             ├─ *.error ────────────────────▶ <flow>.errors
                          │             ├─ ticked ─────────────────────▶ <flow>.ticks             the newest
       nobody is bound    │             ├─ *.snapshot ─────────────────▶ nomadflows.snapshots
                          │             ├─ gateway.*.reply ────────────▶ nomadflows.replies ──▶ a queue per gateway
                          ▼             ├─ <last step>.data ───────────▶ nomadflows.sink      keeps nothing
              nomadflows.unrouted       └─ <flow>.v<n>.*.rebound ──┬───▶ <flow>.v<n>.rebounds.waiting   copies
                                                                   ▼
    shared by a workspace                         nomadflows.rebound (headers)
                                                        │ reboundIteration 1, 2 … 6      any other
                                                        ▼                                   ▼
                                       nomadflows.rebound.15s … .480s            nomadflows.rebound.600s
                                                        └── after its TTL ──┬───────────────┘
                        the flow was stopped                                ▼
            nomadflows.forgotten ◀────────────────────── nomadflows.rebounded (topic)
                                                                            │ <flow>.*.*.rebound
                        the step is gone                                    ▼
                  <flow>.dead ◀──── <flow>.homeless ◀──────── <flow>.returns (topic)
                                                                            │ <flow>.v<n>.<step>.rebound
                                                                            ▼
                                                                 <flow>.v<n>.<step>

A delay queue holds messages of one delay only: RabbitMQ drops expired messages at a queue's head, so mixed delays
would wait for each other. They are quorum queues, since only those keep a message until its next queue has confirmed
it: one that returns to a full step queue tries again. How many of a version wait is what the copies are for, which
expire with the delay. A rejected message goes to <flow>.dead. A scheduled tick goes to its trigger's queue and to
<flow>.ticks by one publish. The errors, dead and ticks queues outlive versions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from nomadflows.model.graph import RunStep, fed_by
from nomadflows.model.names import (
    FORGOTTEN,
    REBOUND,
    REBOUND_LATE,
    REBOUNDED,
    REPLIES,
    REPLY_PATTERN,
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
    rebound_queue,
)
from nomadflows.model.queuelimits import QueueLimits

Arguments = tuple[tuple[str, int | str], ...]

MESSAGES: Final = 75_000
BYTES: Final = 209_715_200
ERRORS_KEPT: Final = 1_000
DEAD_KEPT: Final = 75_000
UNROUTED_KEPT: Final = 10_000
WAKES_KEPT: Final = 10_000
REBOUND_SECONDS: Final = (15, 30, 60, 120, 240, 480)  # of iterations 1, 2, …
REBOUND_SECONDS_LATE: Final = 600  # of every further one
REBOUNDS_KEPT: Final = 100_000  # of one delay, by all flows of a workspace
REBOUND_BYTES: Final = 1_073_741_824
_MARGIN_SECONDS: Final = 60  # the count of rebounds outlives what it counts
WAKE_KEYS: Final = ("*.input", "*.data", "*.error")
WAKE_RETURN_KEY: Final = "#"
TICKED_KEY: Final = "ticked"  # by which a scheduled tick is copied
_DAY_MS: Final = 86_400_000


@dataclass(frozen=True, order=True, slots=True)
class Exchange:
    name: str
    type: Literal["topic", "headers", "fanout"]
    arguments: Arguments = ()
    auto_delete: bool = False  # goes when its last binding goes


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
    """Everything is durable. `exchanges`, `step_queues` and `rebound_queues` die with the version, `flow_queues` do
    not; `flow_exchanges` go with the last binding from them."""

    exchanges: tuple[Exchange, ...] = ()
    flow_exchanges: tuple[Exchange, ...] = ()
    step_queues: tuple[Queue, ...] = ()
    rebound_queues: tuple[Queue, ...] = ()
    flow_queues: tuple[Queue, ...] = ()
    bindings: tuple[Binding, ...] = ()

    @property
    def all_exchanges(self) -> tuple[Exchange, ...]:
        return self.exchanges + self.flow_exchanges

    @property
    def queues(self) -> tuple[Queue, ...]:
        return self.step_queues + self.rebound_queues + self.flow_queues


def arguments(table: Mapping[str, Any]) -> Arguments:
    """An argument table as comparable data."""
    return tuple(sorted(table.items()))


def topology(version: VersionRef, steps: Sequence[RunStep], limits: QueueLimits) -> Topology:
    """What a version needs in its workspace's vhost, beside `workspace_topology`."""
    ref = version.ref
    return Topology(
        exchanges=(Exchange(version.exchange, "topic", arguments({"alternate-exchange": UNROUTED})),),
        flow_exchanges=(
            Exchange(ref.homeless_exchange, "fanout", auto_delete=True),
            Exchange(
                ref.returns_exchange,
                "topic",
                arguments({"alternate-exchange": ref.homeless_exchange}),
                auto_delete=True,
            ),
        ),
        step_queues=tuple(_step_queue(version, step.id, limits) for step in steps),
        rebound_queues=(_rebounds_queue(version),),
        flow_queues=flow_queues(ref),
        bindings=(
            *_step_bindings(version, steps),
            *_rebound_bindings(version, steps),
            *_record_bindings(version, steps),
        ),
    )


def workspace_topology(*, rebound_second_ms: int = 1_000) -> Topology:
    """What all flows of a workspace share in its vhost, the same in each. The snapshot queue pushes back, since
    nothing may be lost in it; the wake queue may forget: a controller that was away so long looks at every flow when
    it comes back. `rebound_second_ms`: how long a second of delay lasts."""
    return Topology(
        exchanges=(
            Exchange(UNROUTED, "fanout"),
            Exchange(FORGOTTEN, "fanout"),
            Exchange(REBOUND, "headers", arguments({"alternate-exchange": REBOUND_LATE})),
            Exchange(REBOUND_LATE, "fanout"),
            Exchange(REBOUNDED, "topic", arguments({"alternate-exchange": FORGOTTEN})),
            Exchange(REPLIES, "topic", arguments({"alternate-exchange": FORGOTTEN})),
        ),
        rebound_queues=tuple(
            _delay_queue(seconds, rebound_second_ms) for seconds in (*REBOUND_SECONDS, REBOUND_SECONDS_LATE)
        ),
        flow_queues=(
            Queue(UNROUTED, _capped(UNROUTED_KEPT)),
            Queue(SINK_QUEUE, arguments({"x-max-length": 0})),
            Queue(SNAPSHOT_QUEUE, _capped(MESSAGES, overflow="reject-publish")),
            Queue(WAKE_QUEUE, _capped(WAKES_KEPT)),
        ),
        bindings=(
            Binding(UNROUTED, UNROUTED, ""),
            Binding(FORGOTTEN, SINK_QUEUE, ""),
            *(
                Binding(
                    REBOUND, rebound_queue(seconds), "", arguments({"x-match": "all", "reboundIteration": iteration})
                )
                for iteration, seconds in enumerate(REBOUND_SECONDS, start=1)
            ),
            Binding(REBOUND_LATE, rebound_queue(REBOUND_SECONDS_LATE), ""),
        ),
    )


def _delay_queue(seconds: int, second_ms: int) -> Queue:
    """`reject-publish` is what at-least-once demands: a step whose rebound is refused keeps its message meanwhile."""
    return Queue(
        rebound_queue(seconds),
        arguments(
            {
                "x-queue-type": "quorum",
                "x-message-ttl": seconds * second_ms,
                "x-dead-letter-exchange": REBOUNDED,
                "x-dead-letter-strategy": "at-least-once",
                "x-overflow": "reject-publish",
                "x-max-length": REBOUNDS_KEPT,
                "x-max-length-bytes": REBOUND_BYTES,
            }
        ),
    )


def _rebounds_queue(version: VersionRef) -> Queue:
    """Nobody reads it. A copy goes when the delay is over: the message's own expiration or, if it has none, after
    the longest. Never refuses, so that it is in no rebound's way."""
    kept_ms = (REBOUND_SECONDS_LATE + _MARGIN_SECONDS) * 1_000
    return Queue(
        version.rebounds_queue,
        arguments({**dict(_capped(MESSAGES)), "x-message-ttl": kept_ms}),
    )


def takes(version: VersionRef, steps: Sequence[RunStep], key: str) -> bool:
    """Whether the version has a queue for what is published to it under a key."""
    made = (*_step_bindings(version, steps), *_rebound_bindings(version, steps), *_record_bindings(version, steps))
    return any(b.source == version.exchange and b.to == "queue" and _matches(b.key, key) for b in made)


def _matches(pattern: str, key: str) -> bool:
    """As a topic exchange does, for patterns without `#`."""
    words, found = pattern.split("."), key.split(".")
    return len(words) == len(found) and all(word in {"*", part} for word, part in zip(words, found, strict=True))


def returns_binding(ref: FlowRef) -> Binding:
    """How a flow gets its rebounds back."""
    return Binding(REBOUNDED, ref.returns_exchange, ref.rebound_pattern, to="exchange")


def aside_queue(ref: FlowRef) -> Queue:
    """Takes what returns to a flow with full queues, without limit: there is no more of it than was delayed."""
    return Queue(ref.aside_queue)


def aside_binding(ref: FlowRef) -> Binding:
    """In place of `returns_binding`."""
    return Binding(REBOUNDED, ref.aside_queue, ref.rebound_pattern)


def set_aside(made: Topology, ref: FlowRef) -> Topology:
    """The same while returning rebounds are set aside."""
    swapped = tuple(aside_binding(ref) if binding == returns_binding(ref) else binding for binding in made.bindings)
    return replace(made, flow_queues=(*made.flow_queues, aside_queue(ref)), bindings=swapped)


def fed(made: Topology, version: VersionRef) -> Topology:
    """The same while the version is parked."""
    return replace(made, bindings=(*made.bindings, *wake_bindings(version)))


def flow_queues(ref: FlowRef) -> tuple[Queue, ...]:
    """Shared by a flow's versions, hence the same whatever limits a version sets. Errors are a list to look at, which
    ages; dead letters are the messages themselves, which stay until somebody says what is to become of them."""
    return (
        Queue(
            ref.errors_queue,
            arguments(
                {
                    "x-max-length": ERRORS_KEPT,
                    "x-max-length-bytes": BYTES,
                    "x-overflow": "drop-head",
                    "x-message-ttl": 5 * _DAY_MS,
                }
            ),
        ),
        Queue(ref.dead_queue, _capped(DEAD_KEPT)),
        Queue(ref.ticks_queue, _capped(1)),
    )


def wake_bindings(version: VersionRef) -> tuple[Binding, ...]:
    """What feeds the controller's wake queue while a version is parked. Wider than need be (a last step's output
    wakes too): while a flow is being parked a message may still come out of it."""
    return (*(Binding(version.exchange, WAKE_QUEUE, key) for key in WAKE_KEYS), wake_return_binding(version))


def wake_return_binding(version: VersionRef) -> Binding:
    """Its argument means nothing to the broker; it keeps apart what one version's parking binds and another's."""
    return Binding(version.ref.returns_exchange, WAKE_QUEUE, WAKE_RETURN_KEY, arguments({"version": version.number}))


def _step_queue(version: VersionRef, step: str, limits: QueueLimits) -> Queue:
    return Queue(
        version.queue(step),
        arguments(
            {
                "x-max-length": limits.messages,
                "x-max-length-bytes": limits.bytes,
                "x-overflow": "reject-publish",
                "x-dead-letter-exchange": "",
                "x-dead-letter-routing-key": version.ref.dead_queue,
            }
        ),
    )


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
    """Errors, snapshots, ticks, answers to waiting callers. An error handler gets no error of its own or of the steps
    it feeds: that would go round for ever."""
    yield Binding(version.exchange, version.ref.errors_queue, "*.error")
    yield Binding(version.exchange, SNAPSHOT_QUEUE, "*.snapshot")
    yield Binding(version.exchange, version.ref.ticks_queue, TICKED_KEY)
    yield Binding(version.exchange, REPLIES, REPLY_PATTERN, to="exchange")
    for handler in (step for step in steps if step.error_handler):
        branch = fed_by(handler.id, steps)
        for step in steps:
            if step.id not in branch:
                yield Binding(version.exchange, version.queue(handler.id), error_key(step.id))


def _rebound_bindings(version: VersionRef, steps: Sequence[RunStep]) -> Iterable[Binding]:
    """The pattern names the version, so that no flow sends another one's step a message."""
    ref = version.ref
    yield Binding(version.exchange, REBOUND, version.rebound_pattern, to="exchange")
    yield Binding(version.exchange, version.rebounds_queue, version.rebound_pattern)
    yield Binding(ref.homeless_exchange, ref.dead_queue, "")
    for step in steps:
        yield Binding(ref.returns_exchange, version.queue(step.id), rebound_key(version, step.id))
    yield returns_binding(ref)
