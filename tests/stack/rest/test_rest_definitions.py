"""From a definition to a published version and away again, snapshots, queues."""

from __future__ import annotations

from typing import Any

import pytest

from nomadflows.clients import connect
from nomadflows.model.names import FlowRef
from nomadflows.model.states import FlowState, Status, StepStatus
from nomadflows.settings import Settings
from nomadflows.store import Store, users
from tests.stack.rest.conftest import FLOW, Api

pytestmark = pytest.mark.stack


def new_flow(workspace: str, definition: dict[str, Any]) -> dict[str, Any]:
    belongs = {"workspace": {"data": {"type": "workspace", "id": workspace}}}
    return {"type": "flow", "attributes": {"definition": definition}, "relationships": belongs}


def slower(text: str) -> dict[str, Any]:
    return FLOW | {"schedule": text}


def test_from_a_definition_to_a_version_and_back(integrator: Api, settings: Settings) -> None:
    flow_id = f"{settings.workspace}.orders"
    flow = f"/flows/{flow_id}"
    made = integrator("POST", "/flows", json={"data": new_flow(settings.workspace, FLOW)})
    assert (made.status_code, made.headers["location"]) == (201, f"/v2{flow}")
    assert integrator.send("POST", "/flows", new_flow(settings.workspace, FLOW), 409)

    # A draft never touches what is published
    draft = integrator.get(f"{flow}/draft")["data"]
    assert (draft["type"], draft["attributes"]["author"]) == ("flow-draft", "ivan@example.com")
    integrator.send("DELETE", f"{flow}/draft", {}, 409)
    first = integrator.post(f"{flow}/publish", {"note": "first"}, 201)["data"]
    assert (first["id"], first["attributes"]["note"]) == (f"{flow_id}.v1", "first")
    integrator.get(f"{flow}/draft", 404)
    written = {"type": "flow-draft", "id": flow_id, "attributes": {"definition": slower("*/9 * * * *")}}
    assert integrator.send("PUT", f"{flow}/draft", written)["data"]["attributes"]["based_on"] == 1
    integrator.send("DELETE", f"{flow}/draft", {}, 204)
    changed = {"type": "flow", "id": flow_id, "attributes": {"definition": slower("*/7 * * * *")}}
    assert integrator.send("PATCH", flow, changed)["data"]["attributes"]["has_draft"] is True
    integrator.post(f"{flow}/publish", status=201)
    integrator.post(f"{flow}/publish", status=409)

    # And an old version comes back as a new one
    assert integrator.post(f"{flow}/versions/1/revert", {}, 201)["data"]["attributes"]["number"] == 3
    listed = integrator.get(f"{flow}/versions?page[size]=2")
    assert [one["attributes"]["number"] for one in listed["data"]] == [3, 2]
    assert listed["meta"]["total"] == 3
    shown = integrator.get(f"{flow}/versions/2")["data"]["attributes"]
    assert shown["definition"]["schedule"] == "*/7 * * * *"
    for unknown in ("7", "x", "9" * 30, "²"):
        integrator.get(f"{flow}/versions/{unknown}", 404)


def test_versions_are_listed_though_their_author_was_deleted(
    integrator: Api, guest: Api, store: Store, flow: str
) -> None:
    written = {"type": "flow-draft", "id": flow.rpartition("/")[2], "attributes": {"definition": slower("*/9 * * * *")}}
    integrator.send("PUT", f"{flow}/draft", written)
    integrator.post(f"{flow}/publish", status=201)
    integrator.send("PUT", f"{flow}/draft", written | {"attributes": {"definition": slower("*/8 * * * *")}})
    users.delete(store, integrator.auth[0])
    # Who it was is still told, of versions, of the draft and of the flow's last change
    listed = guest.get(f"{flow}/versions")["data"]
    assert [one["attributes"]["author"] for one in listed] == ["ivan@example.com", "anna"]
    assert guest.get(f"{flow}/versions/2")["data"]["attributes"]["author"] == "ivan@example.com"
    assert guest.get(f"{flow}/draft")["data"]["attributes"]["author"] == "ivan@example.com"
    guest.get(flow)


def test_what_is_wrong_with_a_definition_is_told_at_its_place(integrator: Api, settings: Settings) -> None:
    wrong = {
        "flow": "orders",
        "steps": [{"id": "tick", "use": "timer:tock"}, {"id": "files", "use": "log:write", "mpa": 1}],
    }
    told = integrator.send("POST", "/flows", new_flow(settings.workspace, wrong), 400)
    pointers = {error["source"]["pointer"] for error in told["errors"]}
    assert pointers == {"/data/attributes/definition/steps/0/use", "/data/attributes/definition/steps/1/mpa"}

    watched = {"flow": "orders", "steps": [{"id": "in", "use": "files:watch", "with": {"path": "x", "format": "csv"}}]}
    told = integrator.send("POST", "/flows", new_flow(settings.workspace, watched), 400)
    assert "an absolute path" in told["errors"][0]["detail"]


def test_a_definition_of_another_flow_is_refused(integrator: Api, flow: str, ref: FlowRef) -> None:
    flow_id = f"{ref.workspace}.orders"
    other = {"type": "flow-draft", "id": flow_id, "attributes": {"definition": FLOW | {"flow": "other"}}}
    integrator.send("PUT", f"{flow}/draft", other, 400)
    mistaken = {"type": "flow", "id": f"{ref.workspace}.other", "attributes": {"type": "ordinary"}}
    told = integrator.send("PATCH", flow, mistaken, 400)
    assert told["errors"][0]["source"] == {"pointer": "/data/id"}
    both = {"type": "flow", "id": flow_id, "attributes": {"type": "ordinary", "definition": FLOW}}
    integrator.send("PATCH", flow, both, 400)


def test_real_time_only_while_stopped(integrator: Api, flow: str, ref: FlowRef) -> None:
    change = {"type": "flow", "id": f"{ref.workspace}.orders", "attributes": {"type": "long_running"}}
    assert integrator.send("PATCH", flow, change)["data"]["attributes"]["type"] == "long_running"
    integrator.post(f"{flow}/start")
    integrator.send("PATCH", flow, change | {"attributes": {"type": "ordinary"}}, 409)


def test_delete_restore_and_for_good(integrator: Api, owner: Api, flow: str, ref: FlowRef) -> None:
    integrator.post(f"{flow}/start")
    integrator.send("DELETE", flow, {}, 409)
    integrator.post(f"{flow}/stop")
    integrator.send("DELETE", flow, {}, 204)
    integrator.get(flow, 404)
    gone = integrator.get(f"/flows/deleted?workspace_id={ref.workspace}")["data"]
    assert [(one["id"], one["attributes"]["deleted_by"]) for one in gone] == [
        (f"{ref.workspace}.orders", "ivan@example.com")
    ]
    integrator.post(f"{flow}/restore", status=200)
    integrator.get(flow)
    integrator.send("DELETE", flow, {}, 204)
    integrator.send("DELETE", f"/flows/deleted/{ref.workspace}.orders", {}, 403)
    owner.send("DELETE", f"/flows/deleted/{ref.workspace}.orders", {}, 204)
    owner.send("DELETE", f"/flows/deleted/{ref.workspace}.nothing", {}, 404)


def snapshot(step: str, **values: Any) -> dict[str, Any]:
    return {"type": "snapshot", "id": step, "attributes": {"snapshot": values}}


def test_snapshots_change_only_while_stopped(integrator: Api, flow: str) -> None:
    path = f"{flow}/snapshots"
    integrator.send("PATCH", f"{path}/tick", snapshot("tick", page=1), 404)
    assert integrator.send("POST", path, snapshot("tick", page=1), 201)["data"]["links"]["self"] == f"/v2{path}/tick"
    integrator.send("POST", path, snapshot("tick", page=2), 409)
    integrator.send("POST", path, snapshot("nobody", page=2), 404)
    integrator.send("PATCH", f"{path}/tick", snapshot("tick", page=3))
    assert [one["attributes"]["snapshot"] for one in integrator.get(path)["data"]] == [{"page": 3}]
    integrator.post(f"{flow}/start")
    integrator.send("PATCH", f"{path}/tick", snapshot("tick", page=4), 409)
    integrator.send("DELETE", f"{path}/tick", {}, 409)
    assert integrator.get(f"{path}/tick")["data"]["attributes"]["snapshot"] == {"page": 3}
    integrator.post(f"{flow}/stop")
    integrator.send("DELETE", f"{path}/tick", {}, 204)
    for unknown in ("tick", "..", "%2e%2e", "."):
        assert integrator("GET", f"{path}/{unknown}").status_code in {404, 200}
    integrator.get(f"{path}/tick", 404)


def test_queues(guest: Api, settings: Settings, store: Store, ref: FlowRef) -> None:
    path = f"/stats/queues/{ref.workspace}.orders"
    assert guest.get(path) == {"data": [], "meta": {"rebounds": 0}}
    record = store.flow(ref)
    assert record is not None
    steps = (StepStatus("tick", "trigger", "timer@1.0.0"),)
    sleeping = Status(state=FlowState.SLEEPING, version=1, steps=steps)
    with connect(settings).broker as broker:
        broker.ensure_vhost(ref.workspace)
    store.write_status(ref, sleeping, expected_index=record.status.index, fence=None)
    (queue,) = guest.get(path)["data"]
    assert (queue["id"], queue["attributes"]["queue"], queue["attributes"]["ready"]) == ("tick", "orders.v1.tick", None)
