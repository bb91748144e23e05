"""Flows over the REST API: shown, started and stopped as the command line does it, and refused where it refuses."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from nomadflows.model.names import FlowRef
from nomadflows.model.states import FlowState, Status
from nomadflows.settings import Settings
from nomadflows.store import Store, requests, users
from tests.stack.rest.conftest import FLOW, Api, ask

pytestmark = pytest.mark.stack


def only_error(answer: Any) -> dict[str, Any]:
    (error,) = answer.json()["errors"]
    assert error["status"] == str(answer.status_code)
    return dict(error)


def test_a_flow_is_started_and_stopped(integrator: Api, flow: str, store: Store, ref: FlowRef) -> None:
    shown = integrator.get(flow)["data"]
    assert (shown["type"], shown["id"]) == ("flow", f"{ref.workspace}.orders")
    assert shown["links"]["self"] == f"/v2{flow}"
    assert shown["relationships"]["workspace"]["data"] == {"type": "workspace", "id": ref.workspace}
    assert (shown["attributes"]["status"], shown["attributes"]["current_status"]) == ("inactive", "inactive")

    started = integrator.post(f"{flow}/start", {"why": "a test"})["data"]["attributes"]
    assert (started["status"], started["current_status"], started["type"]) == ("active", "inactive", "ordinary")
    record = store.flow(ref)
    assert record is not None
    assert (record.desired.value.by, record.desired.value.why) == ("ivan@example.com", "a test")

    again = integrator("POST", f"{flow}/start")
    assert again.status_code == 409
    assert "already running" in only_error(again)["detail"]
    assert integrator.post(f"{flow}/stop")["data"]["attributes"]["status"] == "inactive"
    integrator.post(f"{flow}/suspend", status=409)
    integrator.post(f"{flow}/resume", status=409)
    integrator.post(f"{flow}/run-now", status=409)


def test_suspend_and_resume(integrator: Api, flow: str, store: Store, ref: FlowRef) -> None:
    integrator.post(f"{flow}/start")
    integrator.post(f"{flow}/run-now")
    assert integrator.post(f"{flow}/suspend")["data"]["attributes"]["status"] == "suspended"
    assert integrator.post(f"{flow}/resume", {"force": True})["data"]["attributes"]["status"] == "active"
    integrator.post(f"{flow}/stop", {"drain": True})
    record = store.flow(ref)
    assert record is not None
    assert record.desired.value.drain


def test_pages_filters_and_order(guest: Api, store: Store, settings: Settings) -> None:
    for number in range(5):
        made = FlowRef(settings.workspace, f"flow-{number}")
        requests.apply(store, made, FLOW | {"flow": made.flow}, by="anna")
        if number < 3:
            requests.publish(store, made, by="anna")
    requests.start(store, FlowRef(settings.workspace, "flow-0"), by="anna")

    def names(query: str) -> list[str]:
        found = guest.get(f"/flows?workspace_id={settings.workspace}&{query}")
        return [one["attributes"]["name"] for one in found["data"]]

    assert names("") == [f"flow-{number}" for number in range(5)]
    assert names("sort=-name&page[size]=2&page[number]=2") == ["flow-2", "flow-1"]
    assert names("filter[status]=active") == ["flow-0"]
    assert names("filter[has_draft]=true") == ["flow-3", "flow-4"]
    assert names("filter[type]=long_running") == []
    assert names("search=%20LOW-3") == ["flow-3"]
    meta = guest.get(f"/flows?workspace_id={settings.workspace}&page[size]=2&page[number]=9")
    assert meta == {"data": [], "meta": {"page": 9, "per_page": 2, "total": 5, "total_pages": 3}}


@pytest.mark.parametrize(
    ("query", "parameter"),
    [("", "workspace_id"), ("workspace_id=w&page[size]=101", "page[size]"), ("workspace_id=w&x=1", "x")],
)
def test_a_query_that_makes_no_sense(guest: Api, query: str, parameter: str) -> None:
    answer = guest("GET", f"/flows?{query}")
    assert answer.status_code == 400
    assert only_error(answer)["source"] == {"parameter": parameter}


def test_roles(guest: Api, flow: str, owner: Api) -> None:
    guest.get(flow)
    refused = guest("POST", f"{flow}/start")
    assert refused.status_code == 403
    assert "may not start and stop flows" in only_error(refused)["detail"]
    owner.post(f"{flow}/start")


def test_other_workspaces_are_unknown(owner: Api, store: Store) -> None:
    other = FlowRef("elsewhere", "orders")
    requests.apply(store, other, FLOW, by="anna")
    there, nowhere = owner("GET", "/flows/elsewhere.orders"), owner("GET", "/flows/elsewhere.nothing")
    assert (there.status_code, nowhere.status_code) == (404, 404)
    assert only_error(there)["detail"].replace("orders", "nothing") == only_error(nowhere)["detail"]
    assert owner("GET", "/flows?workspace_id=elsewhere").status_code == 404


def basic(user: str, key: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"{user}:{key}".encode()).decode()}


def test_who_may_not_come_in(owner: Api, flow: str, store: Store) -> None:
    name, key = owner.auth
    headers: list[dict[str, str]] = [
        {},
        basic(name, ""),
        basic(name, key[:-1]),
        basic("nobody", key),
        basic("../leader", key),
        basic("default.orders.v1", key),
        {"authorization": f"Bearer {key}"},
        {"authorization": "Basic ?"},
        {"authorization": "Basic \xff"},
    ]
    for header in headers:
        answer = ask(owner.app, "GET", f"/v2{flow}", headers={k: v.encode("latin-1") for k, v in header.items()})
        assert answer.status_code == 401, header
        assert answer.headers["www-authenticate"].startswith("Basic")
    # And a revoked key is no key any more, at once
    assert owner("GET", flow).status_code == 200
    users.revoke_key(store, name, key.split("_")[1])
    assert owner("GET", flow).status_code == 401


def test_the_form_of_requests(owner: Api, flow: str) -> None:
    assert owner("GET", flow, headers={"accept": "text/html"}).status_code == 406
    assert owner("POST", f"{flow}/start", content="why=x").status_code == 415
    as_json = {"content-type": "application/json"}
    assert owner("POST", f"{flow}/start", content="{", headers=as_json).status_code == 400
    assert owner("POST", f"{flow}/start", content=b" " * 1_100_000, headers=as_json).status_code == 413
    misspelt = owner("POST", f"{flow}/stop", json={"data": {"attributes": {"drian": True}}})
    assert only_error(misspelt)["source"] == {"pointer": "/data/attributes/drian"}
    wrong = owner("PATCH", f"{flow}/start")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")
    assert owner("GET", "/nothing").status_code == 404


def test_a_start_is_shown_with_what_runs(guest: Api, flow: str, store: Store, ref: FlowRef) -> None:
    record = store.flow(ref)
    assert record is not None
    store.write_status(ref, Status(state=FlowState.SLEEPING, version=1), expected_index=record.status.index, fence=None)
    shown = guest.get(flow)["data"]["attributes"]
    assert (shown["state"], shown["current_status"], shown["version"]) == ("Sleeping", "active", 1)
