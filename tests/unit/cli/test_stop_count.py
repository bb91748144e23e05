"""How many messages `flow stop` says it drops."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from nomadflows.cli.flow_state import unprocessed
from nomadflows.model.errors import ServerUnreachable
from nomadflows.model.names import FlowRef, VersionRef
from nomadflows.model.states import FlowState, Status

FLOW = FlowRef("default", "orders")


def record(**status: Any) -> Any:
    return SimpleNamespace(ref=FLOW, status=SimpleNamespace(value=Status(FlowState.RUNNING, **status)))


def test_every_version_that_holds_messages_counts() -> None:
    asked: list[set[VersionRef]] = []

    def count(versions: list[VersionRef]) -> int:
        asked.append(set(versions))
        return 7

    session: Any = SimpleNamespace(broker=SimpleNamespace(unprocessed=count))
    assert unprocessed(session, record(version=3, replacing=2, incoming=4)) == 7
    assert asked == [{FLOW.version(2), FLOW.version(3), FLOW.version(4)}]


def test_without_a_version_there_is_nothing_to_drop_and_a_silent_broker_is_unknown() -> None:
    def away(_versions: list[VersionRef]) -> int:
        raise ServerUnreachable("RabbitMQ's management API", "memory", "it is away")

    session: Any = SimpleNamespace(broker=SimpleNamespace(unprocessed=away))
    assert unprocessed(session, record()) == 0
    assert unprocessed(session, record(version=1)) is None
