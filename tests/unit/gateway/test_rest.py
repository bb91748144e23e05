"""The REST API without servers: who does not get in, what is described, and that nobody holds up the event loop."""

from __future__ import annotations

import asyncio
import re
import threading
from typing import Any

import httpx
import pytest

from nomadflows.clients import Clients
from nomadflows.gateway.rest.application import THREADS, Rest
from nomadflows.gateway.rest.openapi import document
from nomadflows.gateway.rest.table import OPERATIONS
from nomadflows.model.errors import NomadflowsError, ServerUnreachable
from nomadflows.model.roles import Right

KEY = ("anna", "nf_00000000_" + "a" * 43)


def nobody() -> Clients:
    raise AssertionError("no server may be asked")


def away() -> Clients:
    raise ServerUnreachable("Consul", "http://secret.place:8500", "connection refused")


async def ask(app: Rest, path: str = "/v2/users/me", **more: Any) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as client:
        return await client.get(path, **more)


@pytest.mark.parametrize("name", ["", "No Name", "a/b", "..", "x" * 200])
def test_what_cannot_be_a_user_is_not_looked_up(name: str) -> None:
    answer = asyncio.run(ask(Rest(nobody, OPERATIONS), auth=(name, KEY[1])))
    assert (answer.status_code, answer.json()["errors"][0]["status"]) == (401, "401")


def test_a_server_that_is_away_is_named_not_located() -> None:
    answer = asyncio.run(ask(Rest(away, OPERATIONS), auth=KEY))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert "Consul" in answer.text
    assert "secret.place" not in answer.text


def test_calls_that_wait_for_a_server_do_not_hold_up_the_loop() -> None:
    answered = threading.Event()

    def slow() -> Clients:
        assert answered.wait(30)
        raise NomadflowsError("in the end")

    async def crowd() -> None:
        rest = Rest(slow, OPERATIONS)
        waiting = [asyncio.create_task(ask(rest, auth=KEY)) for _ in range(THREADS * 3)]
        await asyncio.sleep(0)
        assert (await ask(rest, "/v2/openapi.json")).status_code == 200
        assert not any(task.done() for task in waiting)
        answered.set()
        assert {answer.status_code for answer in await asyncio.gather(*waiting)} == {500}

    asyncio.run(crowd())


def test_the_document_refers_to_nothing_that_it_lacks() -> None:
    made = document(OPERATIONS)
    wanted = set(re.findall(r"'#/components/schemas/([^']+)'", str(made)))
    assert wanted
    assert wanted <= made["components"]["schemas"].keys()
    assert "x-schema" not in str(made)


def test_every_operation_that_writes_needs_a_right_that_guests_lack() -> None:
    writes = {operation.name: operation.needs for operation in OPERATIONS if operation.method != "GET"}
    own = {"create_workspace", "create_key", "revoke_key"}
    assert {name for name, right in writes.items() if right in {None, Right.READ}} == own
