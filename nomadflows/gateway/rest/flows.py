"""Flows: list and get."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from nomadflows.gateway.rest.flow_resource import TYPES, WANTED, Flow, FlowStatus, FlowType, flow_of
from nomadflows.gateway.rest.operation import PREFIX, Call, Operation
from nomadflows.gateway.rest.shapes import ListQuery, Many, One, page_of
from nomadflows.model.roles import Right
from nomadflows.store import requests
from nomadflows.store.documents import FlowRecord

FLOWS: Final = f"{PREFIX}/flows"
FLOW: Final = f"{FLOWS}/{{flow}}"

Sort = Literal["name", "-name", "created_at", "-created_at"]


class FlowQuery(ListQuery):
    status: Annotated[FlowStatus | None, Field(alias="filter[status]", description="What is wanted of it.")] = None
    type: Annotated[FlowType | None, Field(alias="filter[type]")] = None
    has_draft: Annotated[bool | None, Field(alias="filter[has_draft]")] = None
    search: Annotated[str, Field(description="Part of the name, in any case.")] = ""
    sort: Sort = "name"


def list_flows(call: Call) -> Many[Flow]:
    query: FlowQuery = call.query
    records = _reversed_or_not(query, [record for record in _candidates(call, query) if _wanted(query, record)])
    found, meta = page_of(records, query)
    return Many(data=[flow_of(record) for record in found], meta=meta)


def _candidates(call: Call, query: FlowQuery) -> list[FlowRecord]:
    return [record for record in call.store.flows(call.workspace) if query.search.strip().lower() in record.ref.flow]


def _wanted(query: FlowQuery, record: FlowRecord) -> bool:
    return (
        query.status in {None, WANTED[record.desired.value.state]}
        and query.type in {None, TYPES[record.meta.value.kind]}
        and query.has_draft in {None, record.has_draft}
    )


def _reversed_or_not(query: FlowQuery, records: list[FlowRecord]) -> list[FlowRecord]:
    """They come sorted by name."""
    if query.sort.endswith("created_at"):
        records = sorted(records, key=lambda record: record.meta.value.created)
    return records[::-1] if query.sort.startswith("-") else records


def get_flow(call: Call) -> One[Flow]:
    return One(data=flow_of(requests.existing(call.store, call.ref)))


OPERATIONS: Final = (
    Operation("GET", FLOWS, "list_flows", "Flows of a workspace", list_flows, Right.READ, Many[Flow], query=FlowQuery),
    Operation("GET", FLOW, "get_flow", "One flow: what is wanted, how it is", get_flow, Right.READ, One[Flow]),
)
