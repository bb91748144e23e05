"""Log lines for people."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from nomadflows.cli.log_lines import log_text, of_execution
from nomadflows.cli.root import run
from nomadflows.cli.session import Session
from nomadflows.cluster.views import AllocView
from nomadflows.model.names import FlowRef
from nomadflows.model.states import Desired, FlowState, Meta, Status, WantedState
from nomadflows.settings import Settings
from nomadflows.store.documents import FlowRecord, Versioned

RECORD = {
    "time": "2026-11-22T21:01:48.658Z",
    "level": "error",
    "message": "cannot start",
    "logger": "x",
    "flow": "f",
    "step": "s",
}


def test_a_record() -> None:
    assert log_text(json.dumps(RECORD)) == "21:01:48.658 ERROR   cannot start"
    assert log_text(json.dumps(RECORD | {"order": 7})) == "21:01:48.658 ERROR   cannot start order=7"


def test_of_a_stack_the_last_line() -> None:
    stack = "Traceback …\n  File …\nComponentError: no component.json"
    assert log_text(json.dumps(RECORD | {"stack": stack})).endswith("cannot start: ComponentError: no component.json")


@pytest.mark.parametrize(
    "line", ["plain text", "", "{broken", '{"a": 1}', "[1]", "7", pytest.param("[" * 100_000, id="deep")]
)
def test_other_lines_stay_as_they_are(line: str) -> None:
    assert log_text(line) == line


def test_of_one_execution() -> None:
    assert of_execution(json.dumps(RECORD | {"threadId": "t-1"}), "t-1")
    assert not of_execution(json.dumps(RECORD | {"threadId": "t-12"}), "t-1")
    assert not of_execution(json.dumps(RECORD | {"message": "t-1"}), "t-1")
    assert not of_execution("printed t-1", "t-1")


NODE = {
    "name": "component", "hostname": "h", "pid": 7, "level": 50, "msg": "it failed", "time": "2026-11-22T21:01:48.658Z", "v": 0,
    "ELASTICIO_FLOW_ID": "orders", "tag": "orders", "threadId": "t-1",
}  # fmt: skip


def test_a_line_of_a_node_step() -> None:
    assert log_text(json.dumps(NODE)) == "21:01:48.658 ERROR   it failed threadId=t-1"
    failed = NODE | {"err": {"message": "no", "stack": "Error: no\n    at process (a.js:1)\n    at run (b.js:2)"}}
    assert log_text(json.dumps(failed)) == "21:01:48.658 ERROR   it failed threadId=t-1: Error: no"
    assert of_execution(json.dumps(NODE), "t-1")
    assert not of_execution(json.dumps(NODE), "t-2")


@pytest.mark.parametrize("level", [None, [], {}, "loud", 35])
def test_a_level_of_any_kind(level: object) -> None:
    assert "it failed" in log_text(json.dumps(NODE | {"level": level}))


class FakeNomad:
    """One process of each version, which says that it worked on the execution `t-1`, and on `later` others since."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.later = 0

    def allocations(self, _namespace: str, job: str) -> list[AllocView]:
        self.asked.append(job)
        return [AllocView(job, "default", "note", "complete", "stop", 0, False, "", "", "node", 0)]

    def logs(self, _namespace: str, alloc: str, stream: str) -> list[str]:
        time = f"2026-11-22T21:01:{int(alloc.removeprefix('orders.v')):02}.000Z"
        record = RECORD | {"time": time, "message": f"worked in {alloc}", "threadId": "t-1"}
        since = [record | {"message": "more", "threadId": f"t-{number}"} for number in range(2, 2 + self.later)]
        return [json.dumps(line) for line in (record, *since)] if stream == "stdout" else []


def of_version_12() -> tuple[Session, FakeNomad]:
    ref = FlowRef("default", "orders")
    status = Status(state=FlowState.RUNNING, version=12)
    desired = Desired(state=WantedState.RUNNING, version=12)
    record = FlowRecord(
        ref, Versioned(Meta("orders", latest=12), 1), Versioned(desired, 1), Versioned(status, 1), has_draft=False
    )
    found, nomad = Session(), FakeNomad()
    made: Any = found
    made.settings, made.nomad, made.store = Settings(), nomad, SimpleNamespace(flow=lambda _ref: record)
    return found, nomad


def test_an_execution_is_followed_through_versions(capsys: pytest.CaptureFixture[str]) -> None:
    session, nomad = of_version_12()
    assert run(["flow", "logs", "orders", "--execution", "t-1"], session) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.rpartition("worked in ")[2].split()[0] for line in lines] == [f"orders.v{n}" for n in range(3, 13)]
    nomad.asked.clear()
    assert run(["flow", "logs", "orders"], session) == 0
    assert nomad.asked == ["orders.v12"]


def test_an_execution_is_found_however_many_came_after_it(capsys: pytest.CaptureFixture[str]) -> None:
    """`--tail` counts lines of the execution that is asked for: filtered before they are counted, not after."""
    session, nomad = of_version_12()
    nomad.later = 30
    assert run(["flow", "logs", "orders", "--execution", "t-1", "--tail", "1"], session) == 0
    assert len(capsys.readouterr().out.splitlines()) == 10
    assert run(["flow", "logs", "orders", "--tail", "1"], session) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert "threadId=t-31" in line
