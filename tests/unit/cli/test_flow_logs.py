"""Log lines for people."""

from __future__ import annotations

import json

import pytest

from nomadflows.cli.flow_logs import log_text, of_execution

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


@pytest.mark.parametrize("line", ["plain text", "", "{broken", '{"a": 1}', "[1]", "7"])
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
