"""A process that runs for months asks Vault by one token all the time."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from structlog.testing import capture_logs

from nomadflows.controller.run import Controller
from nomadflows.gateway.application import Gateway
from nomadflows.model.errors import ServerUnreachable
from nomadflows.settings import Settings
from nomadflows.vault.renewal import renew_until

MONTH_S = 2_764_800.0
AWAY = ServerUnreachable("Vault", "http://vault", "refused")


class Time(threading.Event):
    """Passes without anybody waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def wait(self, timeout: float | None = None) -> bool:
        self.now += timeout or 0.0
        return self.is_set()


class Vault:
    """Its token lives for `ttl_s` after each renewal, and for `longest_s` in all. Away in the hours `away`."""

    def __init__(self, ttl_s: float, longest_s: float = 10 * MONTH_S, away: range = range(0)) -> None:
        self.time, self.renewals = Time(), 0
        self.ttl_s, self.longest_s, self.away = ttl_s, longest_s, away
        self.ends = ttl_s

    def renew_own_token(self) -> float:
        self.renewals += 1
        if int(self.time.now // 3_600) in self.away:
            raise AWAY
        assert self.time.now < self.ends, "the token has ended"
        if self.time.now > 3 * MONTH_S or self.ends - self.time.now < 10:
            self.time.set()
        self.ends = min(self.time.now + self.ttl_s, self.longest_s)
        return self.ends - self.time.now


def warnings(vault: Vault) -> list[str]:
    with capture_logs() as logs:
        renew_until(vault, vault.time)
    return [one["event"] for one in logs if one["log_level"] == "warning"]


@pytest.mark.parametrize("ttl_s", [3_600.0, MONTH_S])
def test_a_process_that_runs_for_months_may_ask_vault_all_the_time(ttl_s: float) -> None:
    vault = Vault(ttl_s)
    assert warnings(vault) == []
    assert vault.time.now > 3 * MONTH_S
    assert vault.renewals <= 1 + 3 * MONTH_S / min(ttl_s / 3, 3_600.0) + 1


def test_a_vault_that_is_away_for_a_while_ends_no_token() -> None:
    vault = Vault(4 * 3_600.0, away=range(10, 12))
    assert warnings(vault) == ["the Vault token could not be renewed, tried again"]
    assert vault.time.now > 3 * MONTH_S


def test_a_token_that_cannot_be_renewed_for_longer_is_told_of_in_its_last_day() -> None:
    vault = Vault(MONTH_S, longest_s=MONTH_S)
    told = warnings(vault)
    assert set(told) == {"the Vault token ends soon: start this process with another one"}
    assert 20 < len(told) < 60


def test_a_token_that_never_ends_is_left() -> None:
    class Root:
        def renew_own_token(self) -> None: ...

    renew_until(Root(), Time())


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> list[threading.Event]:
    """Until when each token is kept that is kept at all."""
    found: list[threading.Event] = []
    for module in ("nomadflows.controller.run", "nomadflows.gateway.application"):
        monkeypatch.setattr(f"{module}.keep_token", lambda _vault, stop: found.append(stop))
    return found


def test_a_controller_keeps_its_token_whether_it_leads_or_not(kept: list[threading.Event]) -> None:
    stop = threading.Event()
    stop.set()
    Controller(Settings(consul_addr="http://127.0.0.1:9", timeout=1.0), stop).run()
    assert kept == [stop]


def test_a_gateway_keeps_its_token_until_it_ends(kept: list[threading.Event]) -> None:
    turns: list[bool] = []

    async def receive() -> dict[str, Any]:
        turns.append(bool(kept) and not kept[0].is_set())
        return {"type": "lifespan"}

    async def send(_message: Any) -> None: ...

    asyncio.run(Gateway(Settings())({"type": "lifespan"}, receive, send))
    assert turns == [False, True]
    assert kept[0].is_set()
