"""`flow show --watch`: once for each change, on a pipe as elsewhere."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from nomadflows.cli.root import run
from nomadflows.cli.session import Session
from nomadflows.model.errors import NotFound
from nomadflows.model.names import FlowRef
from nomadflows.model.states import Desired, FlowState, Meta, Status
from nomadflows.store.documents import FlowRecord, Versioned


class Store:
    """One record after the other, then no flow any more."""

    def __init__(self, *states: FlowState) -> None:
        self.records = [
            FlowRecord(
                FlowRef("default", "orders"), Versioned(Meta("orders")), Versioned(Desired()), Versioned(Status(state))
            )
            for state in states
        ]

    def flow(self, _ref: FlowRef) -> FlowRecord:
        return self.records[0]

    def wait_flow(self, ref: FlowRef, index: int, _wait_s: float) -> tuple[FlowRecord, int]:
        if not self.records:
            raise NotFound(f"there is no flow {ref}")
        return self.records.pop(0), index + 1


def watched(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    session = Session()
    session.settings = SimpleNamespace(workspace="default")  # type: ignore[misc,assignment]
    session.store = Store(FlowState.STARTING, FlowState.STARTING, FlowState.RUNNING)  # type: ignore[misc,assignment]
    code = run(["flow", "show", "orders", "--watch", *arguments], session)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_json_is_one_line_for_each_change_until_the_flow_is_gone(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = watched(capsys, "-o", "json")

    assert [json.loads(line)["status"]["state"] for line in out.splitlines()] == ["Starting", "Running"]
    assert (code, err) == (1, "Error: there is no flow default/orders\n")


def test_a_pipe_gets_no_escape_codes(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = watched(capsys)

    assert [line.split()[1] for line in out.splitlines() if line.startswith("state")] == ["Starting", "Running"]
    assert "\x1b[H" not in out
