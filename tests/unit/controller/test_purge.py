"""Deleted flows are removed for good when their time is over: servers first, documents last."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

from nomadflows.controller.purge import purge_expired
from nomadflows.model.errors import ServerUnreachable
from nomadflows.model.names import FlowRef, VersionRef
from nomadflows.model.states import Deleted, Meta, timestamp, utc_now
from nomadflows.store.documents import Versioned
from nomadflows.store.keys import Keys
from nomadflows.store.transaction import DeleteTree

OLD, YOUNG, OTHER = (FlowRef("default", name) for name in ("old", "young", "other"))


class Servers:
    """Consul, RabbitMQ and Vault, as far as a deleted flow has left something there. Writes down what is asked."""

    def __init__(self, *, away: FlowRef | None = None) -> None:
        now = utc_now()
        until = {OLD: now - timedelta(seconds=1), OTHER: now - timedelta(days=1), YOUNG: now + timedelta(hours=1)}
        self.marks = {
            ref: Versioned(Deleted(timestamp(now), timestamp(end), Meta(ref.flow)), 7) for ref, end in until.items()
        }
        self.keys = Keys()
        self.done: list[str] = []
        self.away = away
        self.store = self.broker = self.vault = self

    def deleted_flow(self, ref: FlowRef) -> Versioned[Deleted] | None:
        return self.marks.get(ref)

    def versions(self, _ref: FlowRef) -> list[dict[str, Any]]:
        return [{"number": 1}, {"number": 2}]

    def delete_flow(self, ref: FlowRef) -> int:
        if ref == self.away:
            raise ServerUnreachable("Vault", "memory", "it is away")
        self.done.append(f"flow {ref.flow}")
        return 0

    def delete_version(self, version: VersionRef) -> None:
        self.done.append(f"version {version.job_id}")

    def transact(self, changes: list[Any], fence: object) -> dict[str, int]:
        assert fence is FENCE
        self.done += [f"tree {change.prefix}" for change in changes if isinstance(change, DeleteTree)]
        return {}


FENCE: Any = SimpleNamespace(held=lambda: None)


def test_what_is_expired_goes_documents_last_and_what_is_not_stays() -> None:
    servers = Servers()
    purge_expired(servers, [YOUNG, OLD, FlowRef("default", "restored")], FENCE)  # type: ignore[arg-type]

    assert servers.done == [
        "flow old",
        "version old.v1",
        "version old.v2",
        "flow old",
        "tree nomadflows/flows/default/old/",
    ]


def test_a_server_that_is_away_keeps_one_flow_and_no_other() -> None:
    servers = Servers(away=OLD)
    purge_expired(servers, [OLD, OTHER], FENCE)  # type: ignore[arg-type]

    assert servers.done[-1] == "tree nomadflows/flows/default/other/"
    assert not any("old" in line for line in servers.done)
