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
