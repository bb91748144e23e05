"""A flow's definition in a request: what a flow file holds, as JSON, checked as a flow file is."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import Field, WithJsonSchema

from nomadflows.catalogue import recorded
from nomadflows.gateway.rest import problems
from nomadflows.model.flowcheck import relative_paths
from nomadflows.model.flowfile import examine
from nomadflows.model.problems import Problem
from nomadflows.store.store import Store

Json = dict[str, Any]

_AT: Final = ("data", "attributes", "definition")

SCHEMA: Final = "x-schema"  # stands for the schema of that name until the OpenAPI document is put together
FLOW_FILE: Final = "FlowFile"

Definition = Annotated[Json, WithJsonSchema({SCHEMA: FLOW_FILE}), Field(description="What a flow file holds, as JSON.")]


def checked(store: Store, data: Json, name: str = "") -> Json:
    """As stored. Rejected, with everything that is wrong with it. `name`: the flow it must be of."""
    known = recorded(store)
    definition, found = examine(data, known)
    if definition is None:
        raise problems.of_definition(found, _AT)
    if name and definition.flow != name:
        found = [Problem(("flow",), f"{definition.flow!r} is another flow; allowed: {name}")]
    for step, setting, value in relative_paths(definition, known):
        path = ("steps", step, "with", setting)
        found.append(Problem(path, f"{value!r} begins nowhere, since there is no file; allowed: an absolute path"))
    if found:
        raise problems.of_definition(found, _AT)
    return definition.to_json()
