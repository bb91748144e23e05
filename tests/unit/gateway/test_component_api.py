"""What step processes may ask for, with which answers; the servers behind are made up."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from nomadflows.gateway.addresses import Addresses
from nomadflows.gateway.component_api import ComponentApi
from nomadflows.model.component import ComponentVersion
from nomadflows.model.names import FlowRef, VersionRef
from nomadflows.model.states import Meta
from nomadflows.store import Store
from nomadflows.store.keys import STARTUP
from nomadflows.store.transaction import Set
from tests.unit.gateway.memory import MemoryConsul, MemoryVault
from tests.unit.gateway.tokenserver import TokenServer, token_server

Answer = httpx.Response
VERSION = VersionRef("default", "orders", 3)
CALL = VersionRef("default", "call-0123456789abcdef", 1)
HOOK = "/sailor-support/hooks/task/orders/startup/data"
AS_JSON = {"Content-Type": "application/json"}
SECRET = "/v2/workspaces/default/secrets/shop"
DEFINITION = {
    "flow": "orders",
    "variables": {"region": "eu"},
    "steps": [
        {"id": "receive", "use": "shop:receive", "credential": "shop"},
        {"id": "store", "use": "crm:upsert", "credential": "crm", "with": {"table": "orders"}},
    ],
}


class Api:
    """A component API and whoever calls it."""

    def __init__(self) -> None:
        self.vault = MemoryVault()
        self.vault.keys = {VERSION: "key", CALL: "call-key"}
        self.vault.calls = {CALL: "shop"}
        self.vault.credentials = {name: {"token": f"of {name}"} for name in ("shop", "crm", "bank")}
        self.store = Store("http://127.0.0.1:1")
        self.store.client = MemoryConsul()  # type: ignore[assignment]
        for name in ("orders", "invoices"):
            self.put(self.store.keys.flow(FlowRef("default", name), "meta"), Meta(name).to_json())
        self.put(self.store.keys.version(VERSION), {"definition": DEFINITION})
        for name, language in (("shop", "node"), ("crm", "python")):
            self.store.put_component(ComponentVersion(name, "1.0.0", language))
        broker: Any = SimpleNamespace(waiting=lambda *_: 0)
        vault: Any = self.vault
        addresses = Addresses(lambda: vault, "http://api/objects")
        api = ComponentApi(lambda: self.store, lambda: vault, lambda: broker, addresses=addresses, object_ttl_s=60.0)
        self.transport = httpx.ASGITransport(Starlette(routes=api.routes))

    def put(self, key: str, value: Any) -> None:
        self.store.transact([Set(key, value, None)])

    def ask(self, method: str, path: str, body: Any = None, version: VersionRef = VERSION, **more: Any) -> Answer:
        async def asked() -> Answer:
            async with httpx.AsyncClient(transport=self.transport, base_url="http://api") as client:
                return await client.request(method, path, json=body, auth=auth, **more)

        auth = (version.api_user, self.vault.keys[version])
        return asyncio.run(asked())


@pytest.fixture
def api() -> Api:
    return Api()


def test_a_step_is_told_what_it_is_and_a_python_one_not_its_credential(api: Api) -> None:
    found = api.ask("GET", "/v1/tasks/orders/steps/receive")
    assert found.headers["cache-control"] == "no-store"
    assert found.json()["config"] == {"token": "of shop", "_account": "shop", "secretId": "shop"}
    assert api.ask("GET", "/v1/tasks/orders/steps/store").json() == {
        "id": "store",
        "comp_id": "crm",
        "function": "upsert",
        "config": {"table": "orders", "_account": "crm"},
        "snapshot": {},
        "is_passthrough": True,
        "variables": {"region": "eu"},
    }
    assert api.ask("GET", "/v1/tasks/orders/steps/nobody").status_code == 404
    assert api.ask("GET", "/v1/tasks/invoices/steps/receive").status_code == 403


def test_a_version_reaches_the_credentials_of_its_steps_and_no_others(api: Api) -> None:
    assert api.ask("GET", SECRET).json()["data"]["attributes"]["credentials"] == {"token": "of shop"}
    assert api.ask("GET", SECRET.replace("shop", "crm")).status_code == 200
    for method, path in (("GET", SECRET), ("POST", f"{SECRET}/refresh"), ("PUT", "/v1/accounts/shop")):
        refused = api.ask(method, path.replace("shop", "bank"), {"keys": {"token": "x"}})
        assert refused.status_code == 404
        assert "of bank" not in refused.text
    assert api.ask("GET", SECRET.replace("default", "other")).status_code == 403
    assert api.vault.credentials["bank"] == {"token": "of bank"}


def test_a_question_reaches_the_credential_it_is_asked_with_and_no_other(api: Api) -> None:
    assert api.ask("GET", SECRET, version=CALL).json()["data"]["id"] == "shop"
    assert api.ask("PUT", "/v1/accounts/shop", {"keys": {"more": "1"}}, version=CALL).status_code == 200
    assert api.vault.credentials["shop"] == {"token": "of shop", "more": "1"}
    assert api.ask("GET", SECRET.replace("shop", "crm"), version=CALL).status_code == 404
    assert api.ask("PUT", "/v1/accounts/crm", {"keys": {"more": "1"}}, version=CALL).status_code == 404
    # One that is asked without a credential reaches none
    api.vault.calls[CALL] = ""
    assert api.ask("GET", SECRET, version=CALL).status_code == 404
    # And it is no flow
    assert api.ask("GET", f"/v1/tasks/{CALL.flow}/steps/receive", version=CALL).status_code == 404


DEEP = pytest.param(b"[" * 100_000, id="deep")


@pytest.mark.parametrize("body", [b"", b"nothing", b"[]", b'{"keys": ["a"]}', b'{"key": {"a": "b"}}', DEEP])
def test_an_update_that_names_no_keys_changes_nothing(api: Api, body: bytes) -> None:
    assert api.ask("PUT", "/v1/accounts/shop", content=body).status_code == 400
    assert api.vault.credentials["shop"] == {"token": "of shop"}


def test_a_start_up_state_and_a_result_of_any_depth_are_answered(api: Api) -> None:
    deep = b"[" * 100_000
    assert api.ask("POST", HOOK, content=deep, headers=AS_JSON).status_code == 400
    assert api.ask("POST", f"/v1/calls/{CALL.flow}/result", version=CALL, content=deep).status_code == 400


def test_a_body_over_the_limit_is_not_taken(api: Api) -> None:
    assert api.ask("PUT", "/v1/accounts/shop", content=b" " * 1_048_577).status_code == 413


# ── the start-up hook's state ─────────────────────────────────────────────────────────────────────────────────


def test_the_state_of_a_start_up_hook_is_kept_once_until_it_is_dropped(api: Api) -> None:
    assert api.ask("GET", HOOK).status_code == 404
    assert api.ask("POST", HOOK, {"id": 1}).status_code == 201
    assert api.ask("POST", HOOK, {"id": 2}).status_code == 409
    assert api.ask("GET", HOOK).json() == {"id": 1}
    assert api.ask("DELETE", HOOK).status_code == 204
    assert api.ask("DELETE", HOOK).status_code == 204
    assert api.ask("POST", HOOK, {"id": 2}).status_code == 201
    assert api.ask("GET", HOOK).json() == {"id": 2}


def test_a_start_up_hook_is_due_until_its_state_is_kept(api: Api) -> None:
    api.vault.due = {VERSION}
    api.ask("POST", HOOK.replace("orders", "invoices"), {"id": 1})
    assert api.vault.due
    api.ask("POST", HOOK, {"id": 1})
    assert not api.vault.due


def test_the_state_of_a_start_up_hook_does_not_stand_in_consul(api: Api) -> None:
    api.ask("POST", HOOK, {"secret_of": "subscription"})
    kept = api.store.client.get(api.store.keys.flow(VERSION.ref, STARTUP))
    assert kept is not None
    assert b"subscription" not in kept.value
    # The largest one fits
    assert api.ask("DELETE", HOOK).status_code == 204
    assert api.ask("POST", HOOK, content=b'"%s"' % ("ä".encode() * 131_000), headers=AS_JSON).status_code == 201
    kept = api.store.client.get(api.store.keys.flow(VERSION.ref, STARTUP))
    assert kept is not None
    assert len(kept.value) < 512 * 1024


def test_the_second_post_of_a_hook_without_a_result_has_no_body(api: Api) -> None:
    """The library sends it as an empty form; a text it sends as a form, too."""
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert api.ask("POST", HOOK, content=b"", headers=form).status_code == 201
    assert api.ask("GET", HOOK).json() == {}
    api.ask("DELETE", HOOK)
    assert api.ask("POST", HOOK, content="für Köln".encode(), headers=form).status_code == 201
    assert api.ask("GET", HOOK).json() == "für Köln"


def test_a_state_that_cannot_be_kept_is_refused(api: Api) -> None:
    assert api.ask("POST", HOOK, content=b"{", headers=AS_JSON).status_code == 400
    assert api.ask("POST", HOOK, {"much": "x" * 300_000}).status_code == 400
    for method in ("POST", "GET", "DELETE"):
        assert api.ask(method, HOOK.replace("orders", "invoices"), {}).status_code == 404
    assert api.ask("GET", HOOK).status_code == 404


# ── flows of the workspace ────────────────────────────────────────────────────────────────────────────────────


def test_flows_are_listed_and_shown_by_name(api: Api) -> None:
    api.put(api.store.keys.flow(FlowRef("other", "secret"), "meta"), Meta("secret").to_json())
    listed = api.ask("GET", "/v2/flows/").json()
    assert [flow["id"] for flow in listed["data"]] == ["invoices", "orders"]
    assert listed["meta"] == {"total": 2}
    assert api.ask("GET", "/v2/flows/invoices").json()["data"] == {
        "id": "invoices",
        "type": "flow",
        "attributes": {"name": "invoices", "status": "stopped", "type": "ordinary"},
    }
    for unknown in ("nothing", "secret", "No%20Name"):
        assert api.ask("GET", f"/v2/flows/{unknown}").status_code == 404


# ── credentials of OAuth 2 ────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def server(api: Api) -> Iterator[TokenServer]:
    """Whose tokens the credential `shop` holds."""
    with token_server() as found:
        api.vault.credentials["shop"] = {
            "type": "oauth2",
            "token_uri": found.uri,
            "client_id": "app",
            "client_secret": "swordfish",
            "access_token": "access-0",
            "refresh_token": "refresh-0",
        }
        yield found


def refreshed(api: Api) -> Answer:
    return api.ask("POST", f"{SECRET}/refresh")


def test_a_refresh_gets_new_tokens_keeps_them_and_answers_them(api: Api, server: TokenServer) -> None:
    found = refreshed(api)
    assert found.status_code == 200
    assert found.headers["cache-control"] == "no-store"
    assert found.json()["data"]["attributes"]["type"] == "oauth2"
    assert found.json()["data"]["attributes"]["credentials"] == api.vault.credentials["shop"]
    assert api.vault.credentials["shop"] == {
        "type": "oauth2",
        "token_uri": server.uri,
        "client_id": "app",
        "client_secret": "swordfish",
        "access_token": "access-1",
        "refresh_token": "refresh-1",
        "expires_in": 3600,
    }
    # And the next one goes on from there
    assert refreshed(api).json()["data"]["attributes"]["credentials"]["access_token"] == "access-2"


def test_a_refresh_of_another_kind_answers_what_there_is(api: Api) -> None:
    assert refreshed(api).json() == api.ask("GET", SECRET).json()


def test_a_refresh_that_fails_says_why_and_changes_nothing(api: Api, server: TokenServer) -> None:
    server.good = "another"
    before = dict(api.vault.credentials["shop"])
    found = refreshed(api)
    assert found.status_code == 400
    assert found.json() == {"error": "credential shop: its token server 127.0.0.1 answered 400 invalid_grant"}
    assert api.vault.credentials["shop"] == before


def test_many_that_refresh_at_once_use_the_refresh_token_once(api: Api, server: TokenServer) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: refreshed(api), range(8)))
    assert [answer.status_code for answer in found] == [200] * 8
    assert len({form["refresh_token"] for form in server.asked}) == len(server.asked)
    given = {answer.json()["data"]["attributes"]["credentials"]["access_token"] for answer in found}
    assert given == {f"access-{number}" for number in range(1, len(server.asked) + 1)}


def test_who_comes_too_late_with_a_refresh_token_gets_what_another_gateway_got(api: Api, server: TokenServer) -> None:
    server.good = "another"
    fresh = {**api.vault.credentials["shop"], "access_token": "fresh"}

    def answer(form: dict[str, str]) -> tuple[int, bytes]:
        api.vault.credentials["shop"] = fresh
        return 400, json.dumps({"error": "invalid_grant"}).encode()

    server.said = answer  # type: ignore[method-assign]
    assert refreshed(api).json()["data"]["attributes"]["credentials"]["access_token"] == "fresh"
