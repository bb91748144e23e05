"""What a gateway knows of flows while Consul or Vault is away, or takes a question and never answers."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from nomadflows.builtin import builtin_components
from nomadflows.gateway.directory import Directory, FlowReader, Target
from nomadflows.model.component import ComponentVersion
from nomadflows.model.errors import InputError, ServerUnreachable
from nomadflows.model.names import FlowRef
from nomadflows.model.states import Desired, FlowState, Status, WantedState
from tests.unit.gateway.fakes import REF, target

HANGS_S = 0.3  # the time-out of a server that does not answer
OTHERS = [FlowRef("default", f"other-{number}") for number in range(40)]


class Consul:
    """Finds every flow; while `hangs` each question costs its time-out."""

    def __init__(self) -> None:
        self.hangs = False
        self.asked = 0
        self.now = 0.0

    def __call__(self, _ref: FlowRef) -> Target:
        self.asked += 1
        if self.hangs:
            time.sleep(HANGS_S)
            raise ServerUnreachable("Consul", "http://10.0.0.1:8500", "no answer")
        return target(1)


@contextmanager
def directory() -> Iterator[tuple[Consul, Directory]]:
    consul = Consul()
    found = Directory(consul, clock=lambda: consul.now)
    yield consul, found
    found.close()


async def took(*calls: Any) -> tuple[float, list[Any]]:
    began = time.monotonic()
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    return time.monotonic() - began, outcomes


def test_a_server_that_hangs_holds_up_nobody_twice() -> None:
    async def calls(consul: Consul, found: Directory) -> None:
        await found.target(REF)
        consul.hangs, consul.now = True, 2.0
        # Given one call that waited for the time-out, with many flows that nobody had asked for yet
        seconds, outcomes = await took(found.target(REF), *(found.target(ref) for ref in OTHERS))
        assert seconds < 2 * HANGS_S
        assert outcomes[0] == target(1)
        assert all(isinstance(outcome, ServerUnreachable) for outcome in outcomes[1:])
        asked = consul.asked
        # Then what is known is answered at once, and nobody is asked for three seconds
        consul.now = 4.0
        seconds, outcomes = await took(*(found.target(REF) for _ in range(100)), found.target(OTHERS[0]))
        assert (seconds < HANGS_S, outcomes[0], consul.asked) == (True, target(1), asked)
        # And afterwards one question is asked, behind the caller's back
        consul.now = 10.0
        seconds, outcomes = await took(*(found.target(REF) for _ in range(100)))
        assert (seconds < HANGS_S, outcomes[0]) == (True, target(1))
        await took(*found._reading.values())
        assert consul.asked == asked + 1
        # And once it answers again, what it says counts
        consul.hangs, consul.now = False, 20.0
        await found.target(REF)
        await took(*found._reading.values())
        assert not found._known[REF].late

    with directory() as (consul, found):
        asyncio.run(calls(consul, found))


def test_what_is_known_ends_after_five_minutes() -> None:
    async def calls(consul: Consul, found: Directory) -> None:
        await found.target(REF)
        consul.hangs, consul.now = True, 299.0
        assert await found.target(REF) == target(1)
        consul.now = 301.0
        with pytest.raises(ServerUnreachable):
            await found.target(REF)

    with directory() as (consul, found):
        asyncio.run(calls(consul, found))


def test_threads_that_hang_are_not_waited_for_by_others() -> None:
    """More flows than threads: those that had to wait for a thread do not ask the silent server either."""
    release = threading.Event()
    asked = 0

    def find(_ref: FlowRef) -> Target:
        nonlocal asked
        asked += 1
        release.wait(5)
        raise ServerUnreachable("Vault", "http://10.0.0.1:8200", "no answer")

    async def calls(found: Directory) -> None:
        waiting = [asyncio.ensure_future(found.target(ref)) for ref in OTHERS]
        while asked < 8:  # noqa: ASYNC110 - threads set no event of this loop
            await asyncio.sleep(0.001)
        release.set()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert asked < len(OTHERS)

    found = Directory(find)
    asyncio.run(calls(found))
    found.close()


# ── whose credential it is ────────────────────────────────────────────────────────────────────────────────────


def reader(credential: dict[str, Any], fields: dict[str, Any]) -> FlowReader:
    """Of one running flow, whose trigger has that credential and whose component asks for those fields."""
    descriptor = {"credentials": {"fields": fields}, "triggers": {"receive": {"type": "webhook"}}}
    definition = {"flow": REF.flow, "steps": [{"id": "in", "use": "hook:receive", "credential": "mine"}]}
    status = Status(state=FlowState.RUNNING, version=1, input_version=1, components={"in": "hook@1.0.0"})
    record = SimpleNamespace(
        desired=SimpleNamespace(value=Desired(state=WantedState.RUNNING)), status=SimpleNamespace(value=status)
    )
    store = SimpleNamespace(
        flow=lambda _ref: record,
        version=lambda _ref: {"definition": definition},
        component=lambda name, version: ComponentVersion(name, version, "python", descriptor),
    )
    vault = SimpleNamespace(
        read_credential=lambda _workspace, _name: credential,
        version_secret=lambda _ref: SimpleNamespace(crypto_password="p", crypto_iv="0123456789abcdef"),
    )
    clients: Any = SimpleNamespace(store=store, vault=vault)
    return FlowReader(lambda: clients)


@pytest.mark.parametrize("credential", [{"key": "k"}, {"secret": "s"}, {"token": "t"}, {}, {"type": "", "key": "k"}])
def test_a_webhook_s_credential_without_a_type_opens_it_to_nobody(credential: dict[str, str]) -> None:
    with pytest.raises(InputError, match="has a type, one of none, basic, api_key, hmac"):
        reader(credential, {"type": {}, "key": {}})(REF)


@pytest.mark.parametrize(
    ("credential", "kind"),
    [
        ({"username": "u", "password": "p"}, "basic"),
        ({"type": "api-key", "key": "k"}, "api_key"),
        ({"type": "none"}, "none"),
        ({"token": "of the service it subscribes to"}, "none"),
        ({"type": "oauth2", "token": "t"}, "none"),
    ],
)
def test_a_component_may_have_a_credential_that_is_not_for_callers(credential: dict[str, str], kind: str) -> None:
    found = reader(credential, {"token": {}})(REF)
    assert found is not None
    assert found.auth.type == kind


def test_the_webhook_component_asks_for_a_type() -> None:
    component = next(one for one in builtin_components() if one.name == "webhook")
    with pytest.raises(InputError):
        reader({"key": "k"}, component.descriptor["credentials"]["fields"])(REF)
