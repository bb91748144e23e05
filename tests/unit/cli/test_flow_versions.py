"""How `flow diff` prints differences."""

from __future__ import annotations

import click

from nomadflows.cli.flow_versions import _diff_text
from nomadflows.model.difference import Change


def printed(*changes: Change) -> list[str]:
    return click.unstyle(_diff_text("default/orders: version 2 → draft", list(changes))).splitlines()


def test_one_line_for_each_change_aligned() -> None:
    lines = printed(
        Change("~", "schedule", "*/3 * * * *", "*/5 * * * *"),
        Change("+", "steps.store.replicas", new=2),
        Change("-", "description", ""),
        Change("~", "steps.store.passthrough", True, False),
    )

    assert lines == [
        "default/orders: version 2 → draft",
        "  ~ schedule                 */3 * * * * → */5 * * * *",
        "  + steps.store.replicas     2",
        '  - description              ""',
        "  ~ steps.store.passthrough  true → false",
    ]


def test_text_of_several_lines_is_compared_line_by_line() -> None:
    lines = printed(
        Change("~", "steps.store.map", "{\n  a: 1,\n  b: 2\n}", "{\n  a: 1,\n  b: 3\n}"), Change("+", "x", new="p\nq")
    )

    assert lines[1] == "  ~ steps.store.map"
    assert lines[2].startswith("      @@")
    assert lines[3:7] == ["         a: 1,", "      -  b: 2", "      +  b: 3", "       }"]
    assert lines[7:] == ["  + x", "      +p", "      +q"]


def test_no_difference_is_said() -> None:
    assert printed()[1:] == ["  no difference"]
