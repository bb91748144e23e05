"""Flows: listed, shown, made, changed, deleted, restored."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Final, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from nomadflows.gateway.rest.definition import Definition, checked
from nomadflows.gateway.rest.flow_resource import TYPES, WANTED, Flow, FlowStatus, FlowType, flow_of
from nomadflows.gateway.rest.operation import PREFIX, Call, Operation, flow_id
from nomadflows.gateway.rest.problems import same_id
from nomadflows.gateway.rest.shapes import (
    ListQuery,
    Many,
    OfWorkspace,
    One,
    Shape,
    in_workspace,
    page_of,
)
from nomadflows.model.names import FlowRef
from nomadflows.model.roles import Right
from nomadflows.model.states import Kind
from nomadflows.store import requests
from nomadflows.store.documents import FlowRecord

FLOWS: Final = f"{PREFIX}/flows"
FLOW: Final = f"{FLOWS}/{{flow}}"
DELETED: Final = f"{FLOWS}/deleted"

Sort = Literal["name", "-name", "created_at", "-created_at", "updated_at", "-updated_at"]


class FlowQuery(ListQuery):
    status: Annotated[FlowStatus | None, Field(alias="filter[status]", description="What is wanted of it.")] = None
    type: Annotated[FlowType | None, Field(alias="filter[type]")] = None
    has_draft: Annotated[bool | None, Field(alias="filter[has_draft]")] = None
    user: Annotated[str | None, Field(alias="filter[user]", description="Who last said what is wanted.")] = None
    search: Annotated[str, Field(description="Part of the name, in any case.")] = ""
    sort: Sort = "name"


class NewFlowAttributes(Shape):
    definition: Definition


class NewFlowData(Shape):
    type: Literal["flow"]
    attributes: NewFlowAttributes
    relationships: OfWorkspace


class NewFlow(Shape):
    data: NewFlowData


class ChangedFlowAttributes(Shape):
    """One of the two: they are changes of two kinds, each with rules of its own."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    type: FlowType | None = None
    definition: Definition | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.type is None) == (self.definition is None):
            raise ValueError("allowed: type or definition, one of them")
        return self


class ChangedFlowData(Shape):
    type: Literal["flow"]
    id: str
    attributes: ChangedFlowAttributes


class ChangedFlow(Shape):
    data: ChangedFlowData


class DeletedAttributes(Shape):
    name: str
    deleted_at: str
    deleted_by: str
    restorable_until: str


class DeletedFlow(Shape):
    id: str
    type: Literal["deleted-flow"]
    attributes: DeletedAttributes
    relationships: OfWorkspace


class DeletedQuery(ListQuery):
    """A page of the deleted flows of a workspace."""


def list_flows(call: Call) -> Many[Flow]:
    query: FlowQuery = call.query
    records = _sorted(query, [record for record in call.store.flows(call.workspace) if _wanted(query, record)])
    found, meta = page_of(records, query)
    return Many(data=[flow_of(record) for record in found], meta=meta)


def _wanted(query: FlowQuery, record: FlowRecord) -> bool:
    return (
        query.search.strip().lower() in record.ref.flow
        and query.status in {None, WANTED[record.desired.value.state]}
        and query.type in {None, TYPES[record.meta.value.kind]}
        and query.has_draft in {None, record.has_draft}
        and query.user in {None, record.desired.value.by}
    )


def _sorted(query: FlowQuery, records: list[FlowRecord]) -> list[FlowRecord]:
    """They come sorted by name."""
    if query.sort.endswith("created_at"):
        records = sorted(records, key=lambda record: record.meta.value.created)
    if query.sort.endswith("updated_at"):
        records = sorted(records, key=lambda record: record.desired.value.at)
    return records[::-1] if query.sort.startswith("-") else records


def get_flow(call: Call) -> One[Flow]:
    return shown(call, call.ref)


def create_flow(call: Call) -> One[Flow]:
    definition = checked(call.store, call.body.data.attributes.definition)
    ref = FlowRef(call.workspace, definition["flow"])
    requests.create(call.store, ref, definition, by=call.by)
    return shown(call, ref)


def change_flow(call: Call) -> One[Flow]:
    same_id(call.body.data.id, flow_id(call.ref))
    attributes: ChangedFlowAttributes = call.body.data.attributes
    if attributes.type is not None:
        requests.set_kind(call.store, call.ref, Kind.parse(attributes.type), by=call.by)
    if attributes.definition is not None:
        requests.existing(call.store, call.ref)
        requests.apply(call.store, call.ref, checked(call.store, attributes.definition, call.ref.flow), by=call.by)
    return shown(call, call.ref)


def delete_flow(call: Call) -> None:
    requests.delete(call.store, call.ref, by=call.by)


def list_deleted(call: Call) -> Many[DeletedFlow]:
    found, meta = page_of(call.store.deleted_refs(call.workspace), call.query)
    marks = ((ref, call.store.deleted_flow(ref)) for ref in found)
    return Many(
        data=[
            DeletedFlow(
                id=flow_id(ref),
                type="deleted-flow",
                attributes=DeletedAttributes(
                    name=ref.flow,
                    deleted_at=mark.value.at,
                    deleted_by=mark.value.by,
                    restorable_until=mark.value.until,
                ),
                relationships=in_workspace(ref.workspace),
            )
            for ref, mark in marks
            if mark is not None
        ],
        meta=meta,
    )


def restore_flow(call: Call) -> One[Flow]:
    requests.restore(call.store, call.ref, by=call.by)
    return shown(call, call.ref)


def forget_flow(call: Call) -> None:
    requests.forget(call.store, call.ref, by=call.by)


def shown(call: Call, ref: FlowRef) -> One[Flow]:
    return One(data=flow_of(requests.existing(call.store, ref)))


_EMPTY: Final = HTTPStatus.NO_CONTENT
_MADE: Final = HTTPStatus.CREATED

# rows of a table, one line each
# fmt: off
OPERATIONS: Final = (
    Operation("GET", FLOWS, "list_flows", "Flows of a workspace", list_flows, Right.READ, Many[Flow], query=FlowQuery),
    Operation("POST", FLOWS, "create_flow", "A new flow, with a draft", create_flow, Right.EDIT_FLOWS, One[Flow], _MADE, takes=NewFlow),
    Operation("GET", DELETED, "list_deleted_flows", "Flows that can be restored", list_deleted, Right.READ, Many[DeletedFlow], query=DeletedQuery),
    Operation("DELETE", f"{DELETED}/{{flow}}", "forget_flow", "Remove a deleted flow for good", forget_flow, Right.DELETE_FOR_GOOD, None, _EMPTY),
    Operation("GET", FLOW, "get_flow", "One flow: what is wanted, how it is", get_flow, Right.READ, One[Flow]),
    Operation("PATCH", FLOW, "change_flow", "Its type, or another draft", change_flow, Right.EDIT_FLOWS, One[Flow], takes=ChangedFlow),
    Operation("DELETE", FLOW, "delete_flow", "Delete a stopped flow; it can be restored for 48 hours", delete_flow, Right.EDIT_FLOWS, None, _EMPTY),
    Operation("POST", f"{FLOW}/restore", "restore_flow", "Bring a deleted flow back", restore_flow, Right.EDIT_FLOWS, One[Flow]),
)
# fmt: on
