"""The OpenAPI 3.1 document of the REST API, made from the operations and the models they are served with."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from nomadflows.gateway.rest.definition import FLOW_FILE, SCHEMA
from nomadflows.gateway.rest.operation import Operation
from nomadflows.gateway.rest.shapes import Errors, NoQuery
from nomadflows.model.schema import schema

Json = dict[str, Any]

_JSON: Final = "application/json"
_REF: Final = "#/components/schemas/{model}"
_PARAMETER: Final = re.compile(r"\{(\w+)\}")
_ALWAYS: Final = (HTTPStatus.UNAUTHORIZED, HTTPStatus.NOT_ACCEPTABLE, HTTPStatus.SERVICE_UNAVAILABLE)
_BODY: Final = (
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.CONFLICT,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
)
_ABOUT: Final = """\
Conventions are those of elastic.io's API v2: JSON:API documents as `application/json`, HTTP Basic with a user's name and
API key, `page[number]` and `page[size]`, 409 when the present state of a flow forbids what is asked."""
_PATH_PARAMETERS: Final = {
    "flow": "A flow's id: <workspace>.<flow>.",
    "workspace": "A workspace's name.",
    "user": "A user's name.",
    "key": "A key's id.",
    "version": "A version's number.",
    "step": "A step's id.",
    "component": "A component's name.",
    "revision": "A component's version, or latest.",
    "credential": "A credential's id: <workspace>.<credential>.",
}


def document(operations: Sequence[Operation]) -> Json:
    schemas, definitions = _schemas(operations)
    paths: Json = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, schemas)
    made: Json = _referring(
        {
            "openapi": "3.1.0",
            "info": {"title": "nomadflows", "version": "2", "description": _ABOUT},
            "security": [{"apiKey": []}],
            "paths": paths,
            "components": {
                "schemas": definitions,
                "securitySchemes": {"apiKey": {"type": "http", "scheme": "basic", "description": "User and API key."}},
            },
        }
    )
    made["components"]["schemas"] |= _flow_file()
    return made


def _flow_file() -> Json:
    """The schema that editors use for flow files, and what it refers to."""
    text = json.dumps(schema()).replace("#/$defs/", "#/components/schemas/")
    found: Json = json.loads(text)
    found.pop("$schema", None)
    parts: Json = found.pop("$defs", {})
    return {FLOW_FILE: found, **parts}


def _referring(node: Any) -> Any:
    """`x-schema` becomes a reference to that schema."""
    if isinstance(node, dict):
        others = {key: _referring(value) for key, value in node.items() if key != SCHEMA}
        return {"$ref": _REF.format(model=node[SCHEMA]), **others} if SCHEMA in node else others
    return [_referring(item) for item in node] if isinstance(node, list) else node


def _schemas(operations: Sequence[Operation]) -> tuple[Json, Json]:
    """Each model's reference, and what they refer to. Requests as they are read, answers as they are written."""
    wanted: list[tuple[type[BaseModel], Any]] = [(Errors, "serialization")]
    for operation in operations:
        wanted += [(model, "validation") for model in (operation.takes, operation.query) if model]
        wanted += [(operation.gives, "serialization")] if operation.gives else []
    unique = list(dict.fromkeys(wanted))
    found, definitions = models_json_schema(unique, ref_template=_REF)
    return {model.__name__: schema for (model, _), schema in found.items()}, definitions["$defs"]


def _operation(operation: Operation, schemas: Json) -> Json:
    described: Json = {
        "operationId": operation.name,
        "summary": operation.summary,
        "tags": [operation.tag],
        "responses": _responses(operation, schemas),
    }
    if parameters := [*_in_path(operation), *_in_query(operation)]:
        described["parameters"] = parameters
    if operation.takes:
        described["requestBody"] = {
            "required": not operation.body_optional,
            "content": {_JSON: {"schema": schemas[operation.takes.__name__]}},
        }
    if operation.needs:
        described["description"] = f"Needs a role that may {operation.needs}."
    return described


def _responses(operation: Operation, schemas: Json) -> Json:
    good: Json = {"description": operation.status.phrase}
    if operation.gives:
        good["content"] = {_JSON: {"schema": schemas[operation.gives.__name__]}}
    bad = {"content": {_JSON: {"schema": schemas[Errors.__name__]}}}
    return {
        str(int(operation.status)): good,
        **{str(int(status)): {"description": status.phrase, **bad} for status in sorted(_refusals(operation))},
    }


def _refusals(operation: Operation) -> set[HTTPStatus]:
    found = set(_ALWAYS)
    if operation.takes or operation.query is not NoQuery:
        found.add(HTTPStatus.BAD_REQUEST)
    if operation.takes:
        found.update(_BODY)
    if operation.needs:
        found.update((HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND))
    if "{" in operation.path:
        found.add(HTTPStatus.NOT_FOUND)
    if operation.method != "GET":
        found.add(HTTPStatus.CONFLICT)
    return found


def _in_path(operation: Operation) -> list[Json]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": _PATH_PARAMETERS[name],
            "schema": {"type": "string"},
        }
        for name in _PARAMETER.findall(operation.path)
    ]


def _in_query(operation: Operation) -> list[Json]:
    schema = operation.query.model_json_schema(ref_template=_REF)
    required = schema.get("required", ())
    return [
        {"name": name, "in": "query", "required": name in required, "schema": _in_text(field)}
        for name, field in schema.get("properties", {}).items()
    ]


def _in_text(field: Json) -> Json:
    """As a query has it, where nothing is null: what is not said is left out."""
    known = {key: value for key, value in field.items() if key not in {"title", "default", "anyOf"}}
    kinds = [kind for kind in field.get("anyOf", ()) if kind.get("type") != "null"]
    default = {"default": field["default"]} if field.get("default") not in {None, ""} else {}
    return known | default | (kinds[0] if len(kinds) == 1 else {"anyOf": kinds} if kinds else {})
