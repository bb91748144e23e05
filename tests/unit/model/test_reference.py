"""Mappings give what npm's jsonata 1.8.9 gives, for which they were written, and dates what moment gives.

`reference/generate.mjs` wrote the expected results.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from nomadflows.model.mapping import Expression, MappingError

HERE = Path(__file__).parent / "reference"
INPUT = json.loads((HERE / "cases.json").read_text())["input"]
EXPECTED = json.loads((HERE / "expected.json").read_text())


def same(found: Any, expected: Any) -> bool:
    """Numbers as JavaScript writes them: 1 and 1.0 are one."""
    if isinstance(found, bool) or isinstance(expected, bool):
        return found is expected
    if isinstance(found, int | float) and isinstance(expected, int | float):
        return math.isclose(found, expected, rel_tol=1e-15)
    if isinstance(found, list) and isinstance(expected, list):
        return len(found) == len(expected) and all(map(same, found, expected))
    if isinstance(found, dict) and isinstance(expected, dict):
        return found.keys() == expected.keys() and all(same(found[key], expected[key]) for key in found)
    return bool(found == expected)


@pytest.mark.parametrize("case", EXPECTED["mappings"], ids=lambda case: case["expression"])
def test_a_mapping_gives_what_the_reference_gives(case):
    if "error" in case:
        with pytest.raises(MappingError):
            Expression(case["expression"]).value(INPUT)
        return
    found = Expression(case["expression"]).value(INPUT)
    assert same(found, case.get("value")), f"{found!r}"


@pytest.mark.parametrize("case", EXPECTED["dates"], ids=lambda case: case["expression"])
def test_a_date_is_what_the_reference_makes_of_it(case):
    found = Expression(case["expression"]).value(INPUT)
    assert same(found, case["value"]), f"{found!r}"


@pytest.mark.parametrize("source", ["$moment('no date').format()", "$moment(at).add(1, 'fortnight').format()"])
def test_what_is_no_date_is_an_error_of_the_mapping(source):
    with pytest.raises(MappingError, match=r"\$moment"):
        Expression(source).value(INPUT)


def test_dates_in_nested_mappings_name_the_place_of_an_error():
    mapping = {"day": "$moment(at).format('DD')", "bad": "1 / 'x'"}
    with pytest.raises(MappingError, match=r"^bad: .*column 4"):
        Expression(mapping).value(INPUT)
    assert Expression({"day": "$moment(at).format('DD')"}).value(INPUT) == {"day": "31"}


def test_a_misspelt_method_is_found_before_it_runs():
    with pytest.raises(MappingError, match=r"\$formt is not defined"):
        Expression("$moment(at).formt('DD')")
