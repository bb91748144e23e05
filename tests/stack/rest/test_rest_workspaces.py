"""Components, credentials, workspaces and their members; the OpenAPI document."""

from __future__ import annotations

from typing import Any

import pytest

from nomadflows.clients import connect
from nomadflows.gateway.rest.application import Rest
from nomadflows.model.component import ComponentVersion
from nomadflows.model.names import FlowRef, vhost
from nomadflows.model.roles import Role
from nomadflows.settings import Settings
from nomadflows.store import Store, requests
from nomadflows.store.deletion import purge
from tests.stack.rest.conftest import Api, ask, key_of

pytestmark = pytest.mark.stack


def test_components(guest: Api, store: Store) -> None:
    for number in ("1.0.0", "1.10.0", "1.9.0"):
        descriptor = {"title": "CRM", "version": number, "actions": {"put": {"title": "Put"}}}
        store.put_component(ComponentVersion("crm", number, "python", descriptor, {"path": "/secret/place"}))
    (listed,) = guest.get("/components")["data"]
    assert listed["attributes"]["versions"] == ["1.10.0", "1.9.0", "1.0.0"]
    assert listed["attributes"]["functions"] == {"put": "action"}
    assert guest.get("/components/crm")["data"] == listed
    store.put_deprecation("crm", "1.9.0", {"why": "loses time zones", "by": "eva"})
    marked = [one["attributes"]["deprecated"] for one in guest.get("/components/crm/versions")["data"]]
    assert marked == [None, "loses time zones", None]
    versions = guest.get("/components/crm/versions?page[size]=1")
    assert (versions["data"][0]["id"], versions["meta"]["total"]) == ("crm@1.10.0", 3)
    assert guest.get("/components/crm/versions/latest/descriptor")["data"]["attributes"]["version"] == "1.10.0"
    assert guest.get("/components/crm/versions/1.9.0/descriptor")["data"]["id"] == "crm@1.9.0"
    assert "/secret/place" not in guest("GET", "/components/crm/versions/latest/descriptor").text
    guest.get("/components/crm/versions/7/descriptor", 404)
    guest.get("/components/nothing", 404)


def credential(workspace: str, **keys: str) -> dict[str, Any]:
    belongs = {"workspace": {"data": {"type": "workspace", "id": workspace}}}
    return {"type": "credential", "attributes": {"name": "crm", "keys": keys}, "relationships": belongs}


def test_a_credential_goes_in_and_never_comes_out(owner: Api, guest: Api, settings: Settings) -> None:
    made = owner("POST", "/credentials", json={"data": credential(settings.workspace, user="u", password="hush-hush")})
    assert made.status_code == 201, made.text
    path = made.headers["location"].removeprefix("/v2")
    owner.send("POST", "/credentials", credential(settings.workspace, password="x"), 409)
    guest.send("POST", "/credentials", credential(settings.workspace, password="x"), 403)
    changed = {
        "type": "credential",
        "id": f"{settings.workspace}.crm",
        "attributes": {"keys": {"password": "new-hush"}},
    }
    owner.send("PATCH", path, changed)
    shown = guest("GET", path)
    assert shown.json()["data"]["attributes"] == {"name": "crm", "keys": ["password"]}
    listed = guest("GET", f"/credentials?workspace_id={settings.workspace}")
    assert [one["id"] for one in listed.json()["data"]] == [f"{settings.workspace}.crm"]
    assert all("hush" not in answer.text for answer in (made, shown, listed))
    assert connect(settings).vault.read_credential(settings.workspace, "crm") == {"password": "new-hush"}
    # What is wrong with a credential is told without it
    wrong = owner("PATCH", path, json={"data": changed | {"attributes": {"keys": {"password": ["hush-hush"]}}}})
    assert wrong.status_code == 400
    assert "hush" not in wrong.text
    for unknown in ("nothing", "_flows", "..", "*", "%2a"):
        assert guest("GET", f"/credentials/{settings.workspace}.{unknown}").status_code == 404


def test_a_credential_in_use_stays(
    owner: Api, integrator: Api, guest: Api, settings: Settings, ref: FlowRef, store: Store
) -> None:
    path = f"/credentials/{settings.workspace}.crm"
    # Integrators set and delete credentials, as on elastic.io
    integrator.send("POST", "/credentials", credential(settings.workspace, password="x"), 201)
    definition = {"flow": "orders", "steps": [{"id": "tick", "use": "timer:timer", "credential": "crm"}]}
    requests.apply(store, ref, definition, by="anna")
    assert "orders (draft)" in owner.send("DELETE", path, {}, 409)["errors"][0]["detail"]
    requests.publish(store, ref, by="anna")
    assert "orders (version 2)" in owner.send("DELETE", path, {}, 409)["errors"][0]["detail"]
    guest.send("DELETE", path, {}, 403)
    requests.apply(store, ref, definition | {"steps": [{"id": "tick", "use": "timer:timer"}]}, by="anna")
    requests.publish(store, ref, by="anna")
    integrator.send("DELETE", path, {}, 204)
    integrator.send("DELETE", path, {}, 404)
    assert connect(settings).vault.read_credential(settings.workspace, "crm") is None


def test_a_workspace_is_deleted_when_no_flow_is_left(
    owner: Api, integrator: Api, settings: Settings, ref: FlowRef, store: Store
) -> None:
    path, clients = f"/workspaces/{settings.workspace}", connect(settings)
    clients.broker.ensure_vhost(settings.workspace)
    owner.send("POST", "/credentials", credential(settings.workspace, password="x"), 201)
    integrator.send("DELETE", path, {}, 403)
    assert "orders" in owner.send("DELETE", path, {}, 409)["errors"][0]["detail"]
    requests.delete(store, ref, by="anna")
    assert "can be restored" in owner.send("DELETE", path, {}, 409)["errors"][0]["detail"]
    mark = store.deleted_flow(ref)
    assert mark is not None
    purge(store, ref, mark, fence=None)
    owner.send("DELETE", path, {}, 204)
    owner.get(path, 404)
    integrator.get(path, 404)
    assert clients.vault.credential_names(settings.workspace) == []
    assert clients.broker.management.vhost(vhost(settings.workspace)) is None
    clients.broker.close()


def test_the_workspace_that_is_there_without_being_made_stays(app: Rest, store: Store) -> None:
    mighty = Api(app, key_of(store, "dora@example.com", "default", Role.OWNER))
    mighty.send("DELETE", "/workspaces/default", {}, 409)


def test_keys_of_one_s_own(guest: Api) -> None:
    made = guest.post("/users/me/keys", {"note": "laptop"}, 201)["data"]
    other = Api(guest.app, (guest.auth[0], made["attributes"]["key"]))
    listed = other("GET", "/users/me/keys")
    assert {one["id"]: one["attributes"]["note"] for one in listed.json()["data"]}[made["id"]] == "laptop"
    assert made["attributes"]["key"] not in listed.text
    guest.send("DELETE", f"/users/me/keys/{made['id']}", {}, 204)
    other.get("/users/me", 401)
    guest.send("DELETE", f"/users/me/keys/{made['id']}", {}, 404)
    guest.post("/users/me/keys", {"note": "x" * 201}, 400)
    for _ in range(19):
        guest.post("/users/me/keys", {}, 201)
    guest.post("/users/me/keys", {}, 409)


def test_workspaces(owner: Api, guest: Api, settings: Settings, store: Store) -> None:
    name = settings.workspace
    (mine,) = guest.get("/workspaces")["data"]
    assert (mine["id"], mine["attributes"]["role"], mine["attributes"]["type"]) == (name, "guest", "full")
    new = {"type": "workspace", "attributes": {"name": f"{name}-b", "type": "limited"}}
    guest.send("POST", "/workspaces", new, 403)
    assert owner.send("POST", "/workspaces", new, 201)["data"]["attributes"]["role"] == "owner"
    owner.send("POST", "/workspaces", new, 409)
    for impossible in ("No Name", "..", "../users", ""):
        owner.send("POST", "/workspaces", {"type": "workspace", "attributes": {"name": impossible}}, 400)
    asked = {"type": "workspace", "id": f"{name}-b", "attributes": {"type": "full", "queues": {"messages": 500}}}
    changed = owner.send("PATCH", f"/workspaces/{name}-b", asked)["data"]["attributes"]
    assert (changed["type"], changed["queues"]["messages"]) == ("full", {"limit": 500, "source": "workspace"})
    asked["attributes"] = {"queues": {"messages": None}}
    changed = owner.send("PATCH", f"/workspaces/{name}-b", asked)["data"]["attributes"]
    assert changed["queues"]["messages"]["source"] == "built in"
    guest.get(f"/workspaces/{name}-b", 404)


def member(name: str, role: str) -> dict[str, Any]:
    return {"type": "member", "id": name, "attributes": {"role": role}}


def test_members(owner: Api, guest: Api, settings: Settings, store: Store) -> None:
    path = f"/workspaces/{settings.workspace}/members"
    guest.send("POST", path, member("berta", "owner"), 403)
    owner.send("POST", path, member("berta", "guest"), 201)
    owner.send("POST", path, member("berta", "guest"), 409)
    owner.send("POST", path, member("No Name", "guest"), 400)
    owner.send("PATCH", f"{path}/berta", member("berta", "owner"))
    owner.send("PATCH", f"{path}/carla", member("carla", "owner"), 404)
    assert {one["id"]: one["attributes"]["role"] for one in guest.get(path)["data"]} == {
        "olga@example.com": "owner",
        "gina@example.com": "guest",
        "berta": "owner",
    }
    owner.send("DELETE", f"{path}/berta", {}, 204)
    owner.send("DELETE", f"{path}/berta", {}, 404)
    owner.send("DELETE", f"{path}/olga@example.com", {}, 409)
    # A role holds from the moment it is given
    promoted = Api(guest.app, key_of(store, "gina@example.com", settings.workspace, Role.OWNER))
    promoted.send("DELETE", f"{path}/olga@example.com", {}, 204)
    owner.get(path, 404)


def test_oneself(guest: Api, settings: Settings) -> None:
    attributes = guest.get("/users/me")["data"]["attributes"]
    assert attributes["roles"] == {settings.workspace: "guest"}
    assert attributes["keys"][0]["id"] == guest.auth[1].split("_")[1]
    assert guest.auth[1] not in guest("GET", "/users/me").text


def test_the_document_names_every_operation(guest: Api) -> None:
    document = ask(guest.app, "GET", "/v2/openapi.json").json()
    assert document["openapi"] == "3.1.0"
    names = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
    assert len(names) == len(set(names)) > 35
