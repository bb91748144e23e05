"""A flow as the REST API shows it: the documents in Consul, in elastic.io's words and, beside them, in ours. Pure."""

from __future__ import annotations

from typing import Any, Final, Literal

from nomadflows.gateway.rest.operation import PREFIX, flow_id
from nomadflows.gateway.rest.shapes import Links, OfWorkspace, Related, RelatedLinks, Shape, in_workspace
from nomadflows.model.states import FlowState, Kind, WantedState
from nomadflows.store.documents import FlowRecord

FlowType = Literal["ordinary", "long_running"]
FlowStatus = Literal["active", "inactive", "suspended"]

TYPES: Final[dict[Kind, FlowType]] = {Kind.ORDINARY: "ordinary", Kind.REALTIME: "long_running"}
WANTED: Final[dict[WantedState, FlowStatus]] = {
    WantedState.RUNNING: "active",
    WantedState.STOPPED: "inactive",
    WantedState.SUSPENDED: "suspended",
}
_CURRENT: Final[dict[FlowState, FlowStatus]] = {
    FlowState.STOPPED: "inactive",
    FlowState.STARTING: "inactive",  # a start's answer says: wanted active, still inactive
    FlowState.RUNNING: "active",
    FlowState.SLEEPING: "active",
    FlowState.STOPPING: "active",
    FlowState.SUSPENDING: "active",
    FlowState.SUSPENDED: "suspended",
}


class Condition(Shape):
    type: str
    status: str
    reason: str
    message: str
    at: str | None


class Step(Shape):
    """One running step, mappers included, as it was last seen."""

    id: str
    kind: str
    component: str
    state: str
    replicas: int
    consumers: int
    ready: int
    unacked: int
    restarts: int


class FlowAttributes(Shape):
    """`status` is what is wanted, `current_status` what is; `state` says the latter exactly. `version` is the active
    one, `latest_version` the newest; 0: none."""

    name: str
    type: FlowType
    status: FlowStatus
    current_status: FlowStatus
    state: FlowState
    since: str | None
    version: int
    latest_version: int
    has_draft: bool
    created_at: str | None
    last_start_time: str | None
    changed_at: str | None
    changed_by: str | None
    why: str | None
    next_tick: str | None
    last_tick: str | None
    conditions: list[Condition]
    steps: list[Step]
    scale: dict[str, int]
    repair: bool
    problem: str | None


class FlowRelationships(OfWorkspace):
    versions: RelatedLinks


class Flow(Shape):
    id: str
    type: Literal["flow"]
    links: Links
    attributes: FlowAttributes
    relationships: FlowRelationships


def flow_of(record: FlowRecord) -> Flow:
    ref = record.ref
    path = f"{PREFIX}/flows/{flow_id(ref)}"
    return Flow(
        id=flow_id(ref),
        type="flow",
        links=Links(self=path),
        attributes=_attributes(record),
        relationships=FlowRelationships(
            workspace=in_workspace(ref.workspace).workspace,
            versions=RelatedLinks(links=Related(related=f"{path}/versions")),
        ),
    )


def _attributes(record: FlowRecord) -> FlowAttributes:
    meta, desired, status = record.meta.value, record.desired.value, record.status.value
    steps: list[dict[str, Any]] = [step.to_json() for step in status.steps]
    return FlowAttributes(
        name=record.ref.flow,
        type=TYPES[meta.kind],
        status=WANTED[desired.state],
        current_status=_CURRENT[status.state],
        state=status.state,
        since=status.since or None,
        version=status.version,
        latest_version=meta.latest,
        has_draft=record.has_draft,
        created_at=meta.created or None,
        last_start_time=status.started or None,
        changed_at=desired.at or None,
        changed_by=desired.by or None,
        why=desired.why or None,
        next_tick=status.next_tick or None,
        last_tick=status.last_tick or None,
        conditions=[Condition(**(found.to_json() | {"at": found.at or None})) for found in status.conditions],
        steps=[Step(**{name: step[name] for name in Step.model_fields}) for step in steps],
        scale=desired.scale,
        repair=desired.repair,
        problem=record.problem or None,
    )
