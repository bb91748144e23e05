"""Commands that speak to Vault, Nomad and RabbitMQ."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest

from nomadflows.cli.root import run
from nomadflows.cli.session import Session
from nomadflows.settings import Settings
from tests.stack.cli.conftest import Cli


def test_a_credential_is_kept_and_never_shown(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO('{"url": "sqlite:///geheim", "password": "geheim"}'))
    done = cli.ok("credential", "set", "warehouse", "--stdin")
    listed = cli.ok("credential", "list")
    assert listed.out == "CREDENTIAL  KEYS\nwarehouse   password, url\n"
    assert "geheim" not in done.out + done.err + listed.out + listed.err


def test_plan_of_a_flow_that_was_never_started(cli: Cli, published: str, settings: Settings) -> None:
    planned = cli("flow", "plan", published, "-o", "json")
    assert planned.code == 1, planned.err
    texts = [f"{line['sign']} {line['area']} {line['text']}" for line in planned.json["changes"]]
    assert "+ job orders.v1: 3 groups, 3 processes" in texts
    assert "+ queues orders.v1.mapper:orders:store" in texts
    assert f"+ user {settings.workspace}.orders.v1: writes orders.v1, reads its queues" in texts
    assert f"+ policy nomadflows.{settings.workspace}.orders.v1: reads warehouse" in texts
    assert any(text.startswith("! policy credential warehouse does not exist") for text in texts)
    cli.ok("credential", "set", "warehouse", "url=x")
    assert "does not exist" not in cli("flow", "plan", published).out


def test_plan_ends_with_255_when_it_cannot_be_made(cli: Cli) -> None:
    assert cli("flow", "plan", "none").code == 255


def test_plan_when_nomad_is_down(published: str, settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    session = Session()
    session.settings = replace(settings, nomad_addr="http://127.0.0.1:9")  # type: ignore[misc]
    assert run(["flow", "plan", published], session) == 255
    assert "Nomad at http://127.0.0.1:9 cannot be reached" in capsys.readouterr().err
