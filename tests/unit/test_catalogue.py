"""A flow is checked against the component versions that its steps would get."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from nomadflows.catalogue import recorded
from nomadflows.model.component import ComponentVersion
from nomadflows.model.flow import FlowDefinition
from nomadflows.model.flowcheck import check


def version(number: str, *functions: str) -> ComponentVersion:
    return ComponentVersion("shop", number, "python", {"triggers": {name: {"type": "polling"} for name in functions}})


NEWEST, BEFORE, OLDEST = version("2.0.0", "listen"), version("1.1.0", "hear"), version("1.0.0", "hear")


def store(*marked: str) -> Any:
    return SimpleNamespace(
        components=lambda: {"shop": [NEWEST, BEFORE, OLDEST]}, deprecated_versions=lambda: set(marked)
    )


@pytest.mark.parametrize(
    ("marked", "numbers"),
    [
        ((), ["2.0.0", "1.1.0", "1.0.0"]),
        (("shop@2.0.0",), ["1.1.0", "2.0.0", "1.0.0"]),
        (("shop@2.0.0", "shop@1.1.0"), ["1.0.0", "2.0.0", "1.1.0"]),
        (("shop@2.0.0", "shop@1.1.0", "shop@1.0.0"), ["2.0.0", "1.1.0", "1.0.0"]),
    ],
)
def test_first_comes_what_a_step_gets_that_names_no_version(marked: tuple[str, ...], numbers: list[str]) -> None:
    assert [known.version for known in recorded(store(*marked))["shop"]] == numbers


def test_a_function_that_only_a_deprecated_version_lacks_is_there() -> None:
    flow = FlowDefinition.from_json({"flow": "orders", "steps": [{"id": "hear", "use": "shop:hear"}]})
    assert [str(problem) for problem in check(flow, recorded(store()))] != []
    assert [str(problem) for problem in check(flow, recorded(store("shop@2.0.0")))] == []


def test_built_in_components_are_there_before_a_controller_has_recorded_them() -> None:
    assert "webhook" in recorded(store())
