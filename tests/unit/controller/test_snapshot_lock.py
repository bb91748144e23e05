"""Snapshots come over the broker, which may give one to a leader that was deposed meanwhile."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from nomadflows.controller.leader import Leader
from nomadflows.model.names import FlowRef


def test_a_snapshot_is_written_under_the_lock_and_merged_with_what_was_read() -> None:
    written: list[tuple[Any, dict[str, Any]]] = []
    store = SimpleNamespace(
        flow=lambda _ref: object(),
        snapshot=lambda _ref, _step: SimpleNamespace(value={"a": 1}, index=7),
        put_snapshot=lambda _ref, _step, value, **options: written.append((value, options)),
    )
    fence = object()
    leader: Any = SimpleNamespace(_clients=lambda: SimpleNamespace(store=store), _fence=fence)

    Leader._snapshot(leader, FlowRef("default", "orders").version(1), "receive", "updateSnapshot", {"b": 2}, {})

    assert written == [({"a": 1, "b": 2}, {"cas": 7, "fence": fence})]
