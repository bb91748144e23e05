"""Values reach Vault from every source, and no output ever holds one."""

from __future__ import annotations

import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nomadflows.cli.credential import _used_by
from nomadflows.cli.root import run
from nomadflows.cli.session import Session
from nomadflows.model.errors import InputError
from nomadflows.model.names import FlowRef


class FakeVault:
    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], dict[str, str]] = {}

    def set_credential(self, workspace: str, name: str, members: dict[str, str]) -> None:
        self.kept[workspace, name] = members

    def credential_names(self, workspace: str) -> list[str]:
        return [name for ws, name in self.kept if ws == workspace]

    def read_credential(self, workspace: str, name: str) -> dict[str, str] | None:
        return self.kept.get((workspace, name))


@pytest.fixture
def vault() -> FakeVault:
    return FakeVault()


@pytest.fixture
def session(vault: FakeVault) -> Session:
    session = Session()
    session.vault = vault  # type: ignore[assignment, misc]
    return session


def test_sources_of_values(
    session: Session,
    vault: FakeVault,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "secret").write_text("from file\n")
    monkeypatch.setattr("sys.stdin", io.StringIO("from prompt\n"))
    assert run(["credential", "set", "crm", f"a=@{tmp_path}/secret", "b=-", "c=x=y", "d=@@home"], session) == 0
    assert vault.kept["default", "crm"] == {"a": "from file", "b": "from prompt", "c": "x=y", "d": "@home"}
    captured = capsys.readouterr()
    assert captured.out == "credential crm of workspace default is set: a, b, c, d\n"
    assert captured.err.startswith("Note: c, d stood in the command line")
    assert not any(text in captured.out + captured.err for text in ("from file", "from prompt", "x=y", "@home"))


@pytest.mark.parametrize(
    ("members", "told"),
    [
        (["key=@@k"], True),
        (["secret=@@s", "algorithm=sha512"], True),
        (["type=hmac", "secret=@@s"], False),
        (["a=b"], False),
    ],
)
def test_a_webhook_s_credential_without_a_type_is_told(
    session: Session, members: list[str], capsys: pytest.CaptureFixture[str], *, told: bool
) -> None:
    assert run(["credential", "set", "hook", *members], session) == 0
    assert ("only with a `type`" in capsys.readouterr().err) is told


def test_json_from_stdin(session: Session, vault: FakeVault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO('{"url": "sqlite://"}'))
    assert run(["credential", "set", "-w", "sales", "db", "--stdin"], session) == 0
    assert vault.kept == {("sales", "db"): {"url": "sqlite://"}}


@pytest.mark.parametrize("text", ["geheim", '"geheim"', '{"a": 1}', "{}", '["geheim"]'])
def test_wrong_json_is_not_echoed(
    text: str, session: Session, vault: FakeVault, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    assert run(["credential", "set", "db", "--stdin"], session) == 2
    assert "geheim" not in capsys.readouterr().err
    assert not vault.kept


@pytest.mark.parametrize(
    "arguments", [["Bad_Name", "a=b"], ["db", "geheim"], ["db", "=geheim"], ["db", "a=@/no/such"], ["db", "a=1", "a=2"]]
)
def test_wrong_input(
    arguments: list[str], session: Session, vault: FakeVault, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["credential", "set", *arguments], session) == 2
    assert "geheim" not in capsys.readouterr().err
    assert not vault.kept


def test_list_shows_keys_only(session: Session, vault: FakeVault, capsys: pytest.CaptureFixture[str]) -> None:
    vault.set_credential("default", "db", {"url": "geheim", "password": "geheim"})
    assert run(["credential", "list"], session) == 0
    assert capsys.readouterr().out == "CREDENTIAL  KEYS\ndb          password, url\n"
    assert run(["credential", "list", "-o", "json"], session) == 0
    assert json.loads(capsys.readouterr().out) == [{"credential": "db", "keys": ["password", "url"]}]


def naming(credential: str, use: str) -> dict[str, Any]:
    return {"definition": {"flow": "orders", "steps": [{"id": "store", "use": use, "credential": credential}]}}


@pytest.mark.parametrize("draft", [naming("db", "sql@1.0.0:upsert"), None])
@pytest.mark.parametrize("version", [naming("db", "sql:upsert"), None])
def test_who_checks_a_credential_is_found_in_versions_and_drafts(
    session: Session, draft: dict[str, Any] | None, version: dict[str, Any] | None
) -> None:
    session.settings = SimpleNamespace(workspace="default")  # type: ignore[misc, assignment]
    session.store = SimpleNamespace(  # type: ignore[misc, assignment]
        flows=lambda _workspace: [SimpleNamespace(ref=FlowRef("default", "orders"))],
        draft=lambda _ref: SimpleNamespace(value=draft) if draft else None,
        versions=lambda _ref: [version] if version else [],
    )
    if draft or version:
        assert _used_by(session, "db") == "sql"
    else:
        with pytest.raises(InputError, match="no flow uses it"):
            _used_by(session, "db")
