"""Which newer component versions there are for a flow, and what a draft with them says."""

import pytest

from nomadflows.model.component import ComponentVersion
from nomadflows.model.freshness import behind, newest, only_newer, pins, updated, uses


def versions(*numbers: str, name: str = "shop", **descriptor: object) -> list[ComponentVersion]:
    return [ComponentVersion(name, number, "python", dict(descriptor)) for number in numbers]


CATALOGUE = {"shop": versions("1.10.0", "1.9.0", "1.0.0"), "log": versions("1.0.0", name="log")}


@pytest.mark.parametrize(
    ("marked", "taken"),
    [((), "1.10.0"), (("shop@1.10.0",), "1.9.0"), (("shop@1.10.0", "shop@1.9.0", "shop@1.0.0"), "1.10.0")],
)
def test_a_deprecated_version_is_passed_over_as_long_as_there_is_another(marked, taken):
    assert newest(CATALOGUE["shop"], marked).version == taken


def test_of_no_version_none_is_the_newest():
    assert newest([], ["shop@1.0.0"]) is None


def test_steps_behind_are_named_with_what_is_there():
    found = behind({"a": "shop@1.9.0", "b": "shop@1.10.0", "c": "log@1.0.0"}, {"a"}, CATALOGUE, {})
    assert [(one.step, one.component, one.newest, one.pinned) for one in found] == [
        ("a", "shop@1.9.0", "shop@1.10.0", True)
    ]


def test_a_flow_on_a_deprecated_version_is_told_though_there_is_no_newer_one():
    marks = {"log@1.0.0": {"why": "use audit", "by": "eva"}}
    (found,) = behind({"c": "log@1.0.0"}, (), CATALOGUE, marks)
    assert (found.newest, found.deprecated) == ("", "use audit")
    assert only_newer([found]) == []


def test_a_newer_version_that_is_deprecated_is_not_proposed():
    marks = {"shop@1.10.0": {"why": "", "by": "eva"}}
    assert behind({"a": "shop@1.9.0"}, (), CATALOGUE, marks) == []
    (found,) = behind({"a": "shop@1.10.0"}, (), CATALOGUE, marks)
    assert (found.newest, found.deprecated) == ("", "marked by eva")


def test_a_descriptor_may_deprecate_its_component():
    (found,) = behind({"a": "old@1.0.0"}, (), {"old": versions("1.0.0", name="old", deprecated=True)}, {})
    assert found.deprecated == "its descriptor says so"


def test_a_component_that_is_gone_says_nothing():
    assert behind({"a": "gone@1.0.0"}, (), {"gone": []}, {}) == []


DEFINITION = {
    "flow": "orders",
    "steps": [{"id": "a", "use": "shop@1.9.0:poll"}, {"id": "b", "use": "shop:put"}, {"id": "c", "use": "log:write"}],
}


def test_a_draft_moves_what_it_pins_and_leaves_the_rest_as_written():
    found = behind({"a": "shop@1.9.0", "b": "shop@1.9.0"}, pins(DEFINITION), CATALOGUE, {})
    assert [step["use"] for step in updated(DEFINITION, found)["steps"]] == [
        "shop@1.10.0:poll",
        "shop:put",
        "log:write",
    ]


def test_who_uses_what():
    assert pins(DEFINITION) == {"a": "shop@1.9.0"}
    assert uses(DEFINITION, "shop") == ["a", "b"]
    assert uses(DEFINITION, "sho") == []
