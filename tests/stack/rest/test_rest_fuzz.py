"""Requests made at random from the OpenAPI document: no failure of the server, and nothing the document does not say."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.core.failures import FailureGroup
from schemathesis.openapi import from_asgi

from nomadflows.gateway.rest.application import Rest
from nomadflows.gateway.rest.table import OPERATIONS
from nomadflows.model.component import ComponentVersion
from nomadflows.model.names import FlowRef
from nomadflows.store import Store
from tests.stack.rest.conftest import Api

pytestmark = pytest.mark.stack

load_all_checks()
NAMES = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "allow_header_conformance",
    "ignored_auth",
)
CHECKED = [CHECKS.get_one(name) for name in NAMES]
FEW, MANY = 2, int(os.environ.get("NOMADFLOWS_RANDOM_REQUESTS", "10000"))
MODES = (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE)


@pytest.fixture
def known(owner: Api, flow: str, ref: FlowRef, store: Store) -> dict[str, list[str]]:
    """What there is, so that many requests get further than `not found`."""
    owner.send("POST", f"{flow}/snapshots", {"type": "snapshot", "id": "tick", "attributes": {"snapshot": {}}}, 201)
    component = ComponentVersion("crm", "1.0.0", "python", {"title": "CRM"}, {"path": "/x"})
    store.put_component(component)
    belongs = {"workspace": {"data": {"type": "workspace", "id": ref.workspace}}}
    attributes = {"name": "crm", "keys": {"key": "value"}}
    owner.send("POST", "/credentials", {"type": "credential", "attributes": attributes, "relationships": belongs}, 201)
    return {
        "flow": [f"{ref.workspace}.orders"],
        "workspace": [ref.workspace],
        "workspace_id": [ref.workspace],
        "version": ["1"],
        "step": ["tick"],
        "credential": [f"{ref.workspace}.crm"],
        "user": [owner.auth[0], "berta"],
        "component": [component.name],
        "revision": [component.version, "latest"],
        "key": ["0123abcd"],
    }


@dataclass
class Found:
    """How often each status came, and what was not as the document says."""

    statuses: Counter[int] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)


def fuzz(app: Rest, auth: tuple[str, str], known: dict[str, list[str]], examples: int, found: Found) -> None:
    """So many requests for each operation and mode, if it has so many."""
    config = schemathesis.Config.from_dict({"generation": {"with-security-parameters": False}})
    schema: Any = from_asgi("/v2/openapi.json", app, config=config)
    for operation in schema.get_all_operations():
        for mode in MODES:
            ask(operation.ok(), mode, auth, known, examples, found)


def ask(
    operation: Any, mode: Any, auth: tuple[str, str], known: dict[str, list[str]], examples: int, found: Found
) -> None:
    @hypothesis_settings(max_examples=examples, database=None, suppress_health_check=list(HealthCheck), deadline=None)
    @given(case=operation.as_strategy(generation_mode=mode), data=st.data())
    def one(case: Any, data: Any) -> None:
        if mode is MODES[0]:
            put_names(case, data, known)
        answer = case.call(auth=auth)
        found.statuses[answer.status_code] += 1
        try:
            case.validate_response(answer, checks=CHECKED, transport_kwargs={"auth": auth})
        except FailureGroup as group:
            found.failures.update(f"{operation.label}: {failure}" for failure in group.exceptions)

    try:
        one()
    except Unsatisfiable:  # an operation without body and query has nothing that could be wrong
        assert mode is not MODES[0]


def put_names(case: Any, data: Any, known: dict[str, list[str]]) -> None:
    """Mostly those that exist."""
    for place in (case.path_parameters, case.query):
        for name in set(place or ()) & known.keys():
            if data.draw(st.integers(0, 4)):
                place[name] = data.draw(st.sampled_from(known[name]))
    belongs = ((case.body if isinstance(case.body, dict) else {}).get("data") or {}).get("relationships")
    if belongs:
        belongs["workspace"]["data"]["id"] = known["workspace"][0]


def as_documented(found: Found) -> None:
    assert max(found.statuses) < 500, found.statuses
    assert not found.failures, "\n\n".join(found.failures)


def test_random_requests(app: Rest, owner: Api, known: dict[str, list[str]]) -> None:
    found = Found()
    fuzz(app, owner.auth, known, FEW, found)
    as_documented(found)


@pytest.mark.slow
def test_ten_thousand_random_requests(app: Rest, owner: Api, known: dict[str, list[str]]) -> None:
    """Some operations have few requests that could be wrong, and hypothesis tells none twice: the others make up for it."""
    found, examples = Found(), MANY // len(OPERATIONS) // len(MODES) + 1
    while found.statuses.total() < MANY:
        fuzz(app, owner.auth, known, examples, found)
    print(f"{found.statuses.total()} requests: {dict(sorted(found.statuses.items()))}")
    as_documented(found)
