"""Which flows keep a credential from being deleted."""

from __future__ import annotations

from typing import Any

import pytest

from nomadflows.cli.root import run
from nomadflows.cli.session import Session
from nomadflows.model.component import ComponentVersion
from nomadflows.model.errors import Refused
from nomadflows.model.names import FlowRef, VersionRef
from nomadflows.model.states import Desired, FlowState, Meta, Status
from nomadflows.store.credential_use import check_unused
from nomadflows.store.documents import FlowRecord, Versioned

REF = FlowRef("default", "orders")


def naming(credential: str | None, use: str = "sql:upsert") -> dict[str, Any]:
    return {"definition": {"flow": "orders", "steps": [{"id": "store", "use": use, "credential": credential}]}}


class OneFlow:
    """A store with one flow: its status, newest version, versions and draft."""

    def __init__(
        self,
        status: Status,
        versions: dict[int, dict[str, Any]],
        draft: dict[str, Any] | None = None,
        registry: str = "",
    ) -> None:
        meta = Meta("orders", latest=max(versions, default=0))
        self.record = FlowRecord(
            REF, Versioned(meta, 1), Versioned(Desired(), 1), Versioned(status, 1), has_draft=draft is not None
        )
        self._versions = versions
        self._draft = draft
        self._registry = registry

    def flows(self, workspace: str) -> list[FlowRecord]:
        return [self.record] if workspace == REF.workspace else []

    def version(self, ref: VersionRef) -> dict[str, Any] | None:
        return self._versions.get(ref.number)

    def draft(self, _ref: FlowRef) -> Versioned[dict[str, Any]] | None:
        return Versioned(self._draft, 1) if self._draft else None

    def components(self) -> dict[str, list[ComponentVersion]]:
        location = {"image": "registry/sql@sha256:1", "credential": self._registry}
        return {"sql": [ComponentVersion("sql", "1.0.0", "image", {}, location)]}


STOPPED = Status()
RUNNING = Status(state=FlowState.RUNNING, version=1)


@pytest.mark.parametrize(
    ("store", "how"),
    [
        (OneFlow(STOPPED, {}, draft=naming("db")), "draft"),
        (OneFlow(STOPPED, {1: naming(None), 2: naming("db")}), "version 2"),
        (OneFlow(RUNNING, {1: naming("db"), 2: naming(None)}), "Running"),
        (
            OneFlow(Status(state=FlowState.RUNNING, version=2, replacing=1), {1: naming("db"), 2: naming(None)}),
            "Running",
        ),
        (OneFlow(STOPPED, {1: naming(None)}, registry="db"), "version 1"),
    ],
)
def test_a_flow_that_needs_it_is_named(store: Any, how: str) -> None:
    with pytest.raises(Refused, match=rf"credential db is used by default/orders \({how}\)"):
        check_unused(store, "default", "db")
    check_unused(store, "other", "db")
    check_unused(store, "default", "another")


def test_what_no_start_would_use_keeps_nothing() -> None:
    check_unused(OneFlow(STOPPED, {1: naming("db"), 2: naming(None)}, draft=naming("other")), "default", "db")  # type: ignore[arg-type]


def test_the_command_deletes_what_nobody_needs(capsys: pytest.CaptureFixture[str]) -> None:
    deleted: list[str] = []

    class Vault:
        def delete_credential(self, workspace: str, name: str) -> None:
            deleted.append(f"{workspace}/{name}")

    session: Any = Session()
    session.vault, session.store = Vault(), OneFlow(RUNNING, {1: naming("db")})
    assert run(["credential", "delete", "db"], session) == 1
    assert "default/orders (Running)" in capsys.readouterr().err
    assert run(["credential", "delete", "old"], session) == 0
    assert deleted == ["default/old"]
