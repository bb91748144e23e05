"""Tables, JSON and YAML."""

from __future__ import annotations

from datetime import UTC, datetime

import click
import pytest

from nomadflows.cli import output


def test_columns_align_and_numbers_stand_right() -> None:
    text = output.table(["STEP", "READY", "UNACKED"], [["orders", 5, None], ["a", 12000, 1]])
    assert text == "STEP    READY  UNACKED\norders      5\na       12000        1"


def test_no_rows() -> None:
    assert output.table(["A"], [], none="Nothing yet.") == "Nothing yet."


def test_states_have_colours_that_take_no_room() -> None:
    text = output.table(["STATE", "X"], [["Running", "a"], ["Suspended", "b"]])
    assert "\x1b[32m" in text
    assert click.unstyle(text) == "STATE      X\nRunning    a\nSuspended  b"


@pytest.mark.parametrize(
    ("at", "said"),
    [
        ("2026-01-31T10:00:00.000Z", "0s"),
        ("2026-01-31T09:59:01.000Z", "59s"),
        ("2026-01-31T09:50:00.000Z", "10m"),
        ("2026-01-31T07:00:00.000Z", "3h"),
        ("2026-01-01T10:00:00.000Z", "30d"),
        ("", ""),
        (None, ""),
        ("2026-01-31T10:00:05.000Z", "0s"),
    ],
)
def test_ago(at: str | None, said: str) -> None:
    assert output.ago(at, datetime(2026, 1, 31, 10, tzinfo=UTC)) == said


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("json", '{\n  "b": "ä",\n  "a": null\n}\n'),
        ("yaml", "b: ä\na: null\n"),
        ("table", "for people\n"),
    ],
)
def test_forms(form: str, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    output.emit(form, {"b": "ä", "a": None}, lambda: "for people")
    assert capsys.readouterr().out == text
