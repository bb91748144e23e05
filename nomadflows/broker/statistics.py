"""What the queues of a flow hold, for people to read: live, and as far as the broker tells."""

from __future__ import annotations

from dataclasses import dataclass

from nomadflows.broker.broker import Broker
from nomadflows.broker.faults import NOT_ALLOWED
from nomadflows.broker.totals import Totals
from nomadflows.model.errors import ServerRefused, ServerUnreachable
from nomadflows.model.names import UNROUTED, FlowRef
from nomadflows.model.states import FlowState, Status


@dataclass(frozen=True, slots=True)
class QueueState:
    """One step's queue. None: there is no such queue, or it is not known."""

    step: str
    queue: str
    ready: int | None = None
    unacked: int | None = None
    consumers: int | None = None


@dataclass(frozen=True, slots=True)
class Statistics:
    """`rebounding`: messages that wait to be tried again; None: not known. `unknown`: why that and `unacked` are not."""

    queues: tuple[QueueState, ...] = ()
    rebounding: int | None = 0
    unknown: str = ""


def statistics(broker: Broker, ref: FlowRef, status: Status) -> Statistics:
    """Ready and consumers from the broker itself; in work, which only its management API knows, if that answers. A
    stopped flow has no queues."""
    if not status.version or status.state is FlowState.STOPPED:
        return Statistics()
    version = ref.version(status.version)
    steps = [step.id for step in status.steps]
    depths = broker.depths(version, steps)
    totals, unknown = Totals({}, 0), ""
    try:
        totals = broker.totals(version, steps)
    except ServerUnreachable as error:
        unknown = str(error)
    queues = tuple(
        QueueState(
            step,
            version.queue(step),
            ready=depth.ready if depth else None,
            unacked=totals.steps[step].unacked if step in totals.steps else None,
            consumers=depth.consumers if depth else None,
        )
        for step, depth in depths.items()
    )
    return Statistics(queues, None if unknown else totals.rebounding, unknown)


def kept(broker: Broker, ref: FlowRef) -> tuple[QueueState, ...]:
    """The queues that no step consumes: the flow's errors and dead letters, and what found no queue in its workspace."""
    queues = (ref.errors_queue, ref.dead_queue, UNROUTED)
    try:
        return tuple(QueueState("", queue, ready=broker.waiting(ref.workspace, queue)) for queue in queues)
    except ServerRefused as error:
        if error.status != NOT_ALLOWED:
            raise
        return ()  # no flow of the workspace was ever started
