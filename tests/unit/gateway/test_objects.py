"""The object store as steps see it over HTTP."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from starlette.applications import Starlette

from nomadflows.broker.wire import new_id
from nomadflows.gateway.addresses import Addresses
from nomadflows.gateway.component_api import ComponentApi
from nomadflows.gateway.objects import Objects
from nomadflows.model.errors import ServerUnreachable
from nomadflows.model.names import VersionRef
from nomadflows.objects.signature import Object, signed_url, token_of
from nomadflows.objects.store import ObjectStore

HERE, THERE = VersionRef("default", "orders", 1), VersionRef("other", "orders", 1)
KEYS = {HERE: "key-one", THERE: "key-two"}
TTL_S = 100.0


class Vault:
    def find_version_secret(self, version: VersionRef) -> SimpleNamespace | None:
        return SimpleNamespace(api_key=KEYS[version]) if version in KEYS else None

    def object_key(self) -> str:
        return "signing key"


class Http:
    """Asks an application, without a network."""

    def __init__(self, app: Starlette) -> None:
        self._transport = httpx.ASGITransport(app)

    def __call__(self, method: str, url: str, **more: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            async with httpx.AsyncClient(transport=self._transport, base_url="http://testserver") as client:
                return await client.request(method, url, **more)

        return asyncio.run(ask())


class Asker:
    """A client that shows a version's token."""

    def __init__(self, folder: Path, most_bytes: int = 1_000) -> None:
        self.store = ObjectStore(folder, most_bytes)
        vault: Any = Vault
        at = Addresses(vault, "http://testserver")
        nothing: Any = None
        api = ComponentApi(nothing, vault, nothing, addresses=at, object_ttl_s=TTL_S)
        objects = Objects(self.store, at, vault, TTL_S)
        self.http = Http(Starlette(routes=[*objects.routes, *api.routes]))

    def __call__(self, method: str, path: str, version: VersionRef = HERE, **more: Any) -> Any:
        token = token_of(version.api_user, KEYS[version])
        headers = {"authorization": f"Bearer {token}", **more.pop("headers", {})}
        return self.http(method, path, headers=headers, **more)

    def make(self, content: bytes = b"x", **headers: str) -> str:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = self("POST", "/objects", content=content, headers=named)
        assert answer.status_code == 201
        return str(answer.json()["objectId"])


@pytest.fixture
def ask(tmp_path: Path) -> Asker:
    return Asker(tmp_path)


def test_an_object_lives_as_the_client_library_wants_it(ask: Asker) -> None:
    made = ask.make(b"\x00one", content_type="application/json", x_query_group="a", x_meta_colour="red")
    answer = ask("GET", f"/objects/{made}")
    assert (answer.status_code, answer.content) == (200, b"\x00one")
    assert answer.headers["content-type"] == "application/json"
    assert (answer.headers["x-query-group"], answer.headers["x-meta-colour"]) == ("a", "red")
    # When it is replaced, labels are added
    assert ask("PUT", f"/objects/{made}", content=b"two", headers={"x-query-part": "1"}).json() == {"objectId": made}
    answer = ask("GET", f"/objects/{made}")
    assert (answer.content, answer.headers["x-query-group"], answer.headers["x-query-part"]) == (b"two", "a", "1")
    # And once it is removed, it is not there
    assert ask("DELETE", f"/objects/{made}").status_code == 204
    for method in ("GET", "PUT", "DELETE"):
        assert ask(method, f"/objects/{made}").status_code == 404


def test_a_body_in_pieces_is_kept(ask: Asker) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"a" * 300
        yield b"b" * 300

    answer = ask("POST", "/objects", content=pieces())
    assert ask("GET", f"/objects/{answer.json()['objectId']}").content == b"a" * 300 + b"b" * 300


def test_objects_of_a_label_are_listed_and_removed_together(ask: Asker) -> None:
    made = [ask.make(b"xyz", x_query_group="a", x_query_part=part) for part in "12"]
    ask.make(x_query_group="b")
    listed = ask("GET", "/objects", params={"query[group]": "a"}).json()
    assert [one["objectId"] for one in listed] == made
    assert (listed[0]["contentLength"], listed[0]["query"]) == (3, {"group": "a", "part": "1"})
    assert [o["objectId"] for o in ask("GET", "/objects?query[group]=a&query[part]=2").json()] == made[1:]
    assert ask("DELETE", "/objects?query[group]=a").status_code == 204
    assert ask("GET", "/objects?query[group]=a").json() == []
    assert len(ask("GET", "/objects?query[group]=b").json()) == 1
    # Nobody means all of them
    assert ask("GET", "/objects").status_code == ask("DELETE", "/objects").status_code == 400


def test_who_may(ask: Asker) -> None:
    made = ask.make()
    # A step of another workspace sees nothing of it
    assert ask("GET", f"/objects/{made}", THERE).status_code == 404
    assert ask("DELETE", f"/objects/{made}", THERE).status_code == 404
    assert ask("PUT", f"/objects/{made}", THERE, content=b"y").status_code == 404
    wrong = [
        {},
        {"authorization": "Bearer "},
        {"authorization": f"Bearer {HERE.api_user}.{KEYS[HERE]}"},  # the key itself is not its token
        {"authorization": "Bearer " + token_of(HERE.api_user, "guess")},
        {"authorization": "Bearer " + token_of("default.unknown.v1", "")},
        {"authorization": "Basic " + token_of(HERE.api_user, KEYS[HERE])},
    ]
    for headers in wrong:
        for method, path in (("GET", f"/objects/{made}"), ("POST", "/objects"), ("GET", "/objects?query[a]=b")):
            assert ask.http(method, path, headers=headers).status_code == 401
    assert ask("GET", f"/objects/{made}").content == b"x"


def test_too_large_and_too_many_labels_keep_nothing(ask: Asker) -> None:
    assert ask("POST", "/objects", content=b"x" * 1_001).status_code == 413
    labels = {f"x-query-{number}": "a" for number in range(6)}
    assert ask("POST", "/objects", headers=labels).status_code == 400


def test_an_object_lives_as_long_as_its_maker_says(ask: Asker) -> None:
    def lives(object_id: str) -> float:
        found = ask.store.open("default", object_id)
        assert found is not None
        with found:
            return found.facts.expires - found.facts.created

    assert lives(ask.make()) == pytest.approx(TTL_S)
    long = ask.make(x_eio_ttl="5000")
    assert lives(long) == pytest.approx(5_000)
    ask("PUT", f"/objects/{long}", content=b"y")
    assert lives(long) == pytest.approx(5_000)
    assert lives(ask.make(x_eio_ttl="-1")) == lives(ask.make(x_eio_ttl="soon")) == pytest.approx(TTL_S)
    assert lives(ask.make(x_eio_ttl="9" * 40)) < 4e8


def test_the_address_in_the_answer_needs_no_token_and_reads_only(ask: Asker) -> None:
    url = ask("POST", "/objects", content=b"x").json()["url"]
    assert ask.http("GET", url).content == b"x"
    assert ask.http("HEAD", url).status_code == 200
    assert ask.http("PUT", url, content=b"y").status_code == ask.http("DELETE", url).status_code == 401
    # Components of elastic.io's kind take it for what they know
    assert urlsplit(url).path.split("/")[1] == "objects"
    assert dict(parse_qsl(urlsplit(url).query))["storage_type"] == "maester"


CHANGES: list[Callable[[str, str], str]] = [
    lambda url, _: url.replace("workspace=default", "workspace=other"),
    lambda url, other: url.replace(urlsplit(url).path, f"/objects/{other}"),
    lambda url, _: url.replace("expires=", "expires=9"),
    lambda url, _: url.replace("signature=", "signature=0"),
    lambda url, _: url.partition("&signature")[0],
]


@pytest.mark.parametrize("change", CHANGES)
def test_an_address_that_was_changed_is_worth_nothing(ask: Asker, change: Callable[[str, str], str]) -> None:
    url, other = ask("POST", "/objects", content=b"x").json()["url"], ask.make(b"secret")
    assert ask.http("GET", change(url, other)).status_code == 401


def test_an_address_ends(ask: Asker) -> None:
    named = Object("default", ask.make())
    assert ask.http("GET", signed_url("", "signing key", "GET", named, 1)).status_code == 401
    assert ask.http("GET", signed_url("", "signing key", "GET", named, 4e9)).status_code == 200


@pytest.mark.parametrize("path", ["/v2/resources/storage/signed-url", "/v1/resources/s3/signed-url"])
def test_a_component_gets_two_addresses_and_uses_them(ask: Asker, path: str) -> None:
    answer = ask.http("POST", path, auth=(HERE.api_user, KEYS[HERE]))
    assert answer.status_code == 200
    found = answer.json()
    assert ask.http("GET", found["get_url"]).status_code == 404
    assert ask.http("GET", found["put_url"]).status_code == 401
    assert found["expires"] == 18_000
    assert ask.http("PUT", found["put_url"], content=b"report", headers={"content-type": "text/csv"}).status_code == 200
    got = ask.http("GET", found["get_url"])
    assert (got.content, got.headers["content-type"]) == (b"report", "text/csv")
    assert ask.http("POST", path, auth=(HERE.api_user, "wrong")).status_code == 401


def test_a_vault_that_is_away_is_said(ask: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    away = ServerUnreachable("Vault", "http://10.0.0.1", "connection refused")

    def refuse(*_: object) -> None:
        raise away

    monkeypatch.setattr(Vault, "find_version_secret", refuse)
    answer = ask("GET", f"/objects/{new_id()}")
    assert (answer.status_code, answer.json()) == (503, {"error": "Vault cannot be reached"})


def test_a_large_object_is_never_in_memory_as_a_whole(tmp_path: Path) -> None:
    ask = Asker(tmp_path, 100_000_000)
    piece = b"x" * 65_536

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(500):
            yield piece

    tracemalloc.start()
    try:
        assert ask("POST", "/objects", content=pieces()).status_code == 201
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4_000_000
