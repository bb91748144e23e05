"""What steps remember, and what waits in their queues."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from nomadflows.broker.statistics import statistics
from nomadflows.gateway.rest.flows import FLOW
from nomadflows.gateway.rest.operation import PREFIX, Call, Operation, flow_id
from nomadflows.gateway.rest.problems import same_id
from nomadflows.gateway.rest.shapes import All, Links, One, Shape
from nomadflows.model.errors import NotFound
from nomadflows.model.names import STEP
from nomadflows.model.roles import Right
from nomadflows.store import requests, snapshots

Json = dict[str, Any]

SNAPSHOTS: Final = f"{FLOW}/snapshots"
SNAPSHOT: Final = f"{SNAPSHOTS}/{{step}}"


class SnapshotAttributes(Shape):
    snapshot: Json


class Snapshot(Shape):
    """`id` is the step's."""

    id: str
    type: Literal["snapshot"]
    links: Links
    attributes: SnapshotAttributes


class WrittenSnapshotData(Shape):
    type: Literal["snapshot"]
    id: Annotated[str, Field(description="The step's id.")]
    attributes: SnapshotAttributes


class WrittenSnapshot(Shape):
    data: WrittenSnapshotData


class QueueAttributes(Shape):
    """Null: not known, or no such queue."""

    queue: str
    ready: int | None
    unacked: int | None
    total: int | None
    consumers: int | None


class Queue(Shape):
    """`id` is the step's."""

    id: str
    type: Literal["queue"]
    attributes: QueueAttributes


class QueuesMeta(Shape):
    rebounds: Annotated[int | None, Field(description="Messages of the flow that wait to be tried again.")]


class Queues(Shape):
    data: list[Queue]
    meta: QueuesMeta


def list_snapshots(call: Call) -> All[Snapshot]:
    requests.existing(call.store, call.ref)
    return All(data=[_snapshot(call, step, value) for step, value in call.store.snapshots(call.ref).items()])


def get_snapshot(call: Call) -> One[Snapshot]:
    requests.existing(call.store, call.ref)
    return _shown(call, call.path["step"])


def create_snapshot(call: Call) -> One[Snapshot]:
    data = call.body.data
    snapshots.put(call.store, call.ref, data.id, data.attributes.snapshot)
    return _shown(call, data.id)


def replace_snapshot(call: Call) -> One[Snapshot]:
    same_id(call.body.data.id, call.path["step"])
    snapshots.replace(call.store, call.ref, call.path["step"], call.body.data.attributes.snapshot)
    return _shown(call, call.path["step"])


def delete_snapshot(call: Call) -> None:
    _shown(call, call.path["step"])
    snapshots.forget(call.store, call.ref, call.path["step"])


def _shown(call: Call, step: str) -> One[Snapshot]:
    found = call.store.snapshot(call.ref, step) if STEP.fullmatch(step) else None
    if found is None:
        raise NotFound(f"step {step!r} of flow {call.ref} has no snapshot")
    return One(data=_snapshot(call, step, found.value))


def _snapshot(call: Call, step: str, value: Json) -> Snapshot:
    link = Links(self=f"{PREFIX}/flows/{flow_id(call.ref)}/snapshots/{step}")
    return Snapshot(id=step, type="snapshot", links=link, attributes=SnapshotAttributes(snapshot=value))


def queue_statistics(call: Call) -> Queues:
    record = requests.existing(call.store, call.ref)
    found = statistics(call.broker, record.ref, record.status.value)
    queues = [
        Queue(
            id=one.step,
            type="queue",
            attributes=QueueAttributes(
                queue=one.queue,
                ready=one.ready,
                unacked=one.unacked,
                total=None if one.ready is None or one.unacked is None else one.ready + one.unacked,
                consumers=one.consumers,
            ),
        )
        for one in found.queues
    ]
    return Queues(data=queues, meta=QueuesMeta(rebounds=found.rebounding))


# fmt: off
OPERATIONS: Final = (
    Operation("GET", SNAPSHOTS, "list_snapshots", "What its steps remember", list_snapshots, Right.READ, All[Snapshot]),
    Operation("POST", SNAPSHOTS, "create_snapshot", "The first snapshot of a step", create_snapshot, Right.EDIT_FLOWS, One[Snapshot], HTTPStatus.CREATED, takes=WrittenSnapshot),
    Operation("GET", SNAPSHOT, "get_snapshot", "What a step remembers", get_snapshot, Right.READ, One[Snapshot]),
    Operation("PATCH", SNAPSHOT, "replace_snapshot", "Another snapshot for a step, as a whole", replace_snapshot, Right.EDIT_FLOWS, One[Snapshot], takes=WrittenSnapshot),
    Operation("DELETE", SNAPSHOT, "delete_snapshot", "Let a step begin anew", delete_snapshot, Right.EDIT_FLOWS, None, HTTPStatus.NO_CONTENT),
    Operation("GET", f"{PREFIX}/stats/queues/{{flow}}", "queue_statistics", "What waits in its steps' queues", queue_statistics, Right.READ, Queues),
)
# fmt: on
