"""Old versions of Node's library beside new ones: messages without an id stop a step for ever."""

from __future__ import annotations

import pytest

from nomadflows.model.component import ComponentVersion
from nomadflows.model.flow import FlowDefinition
from nomadflows.model.librarycheck import problems


def node(library: str, language: str = "node") -> ComponentVersion:
    return ComponentVersion("c", "1.0.0", language, location={"sailor": library} if library else {})


def said(first: ComponentVersion, second: ComponentVersion, **step: object) -> list[str]:
    steps = [{"id": "in", "use": "c:receive"}, {"id": "next", "use": "c:do", **step}]
    definition = FlowDefinition.from_json({"flow": "f", "steps": steps})
    return [str(problem) for problem in problems(definition, {0: first, 1: second})]


def test_a_step_whose_messages_the_next_one_cannot_finish_is_told():
    [told] = said(node("1.3.0"), node("2.7.8"))
    assert told.startswith(
        "steps[1]: 'in' is of a component with version 1.3.0 of Node's library, whose messages 'next'"
    )
    assert "`map: $` changes nothing" in told
    assert said(node("1.3.0"), node("2.7.7"))
    assert said(node("1.3.0"), node("")), "who knows"
    assert said(node("1.3.0"), node("2.7.8"), error_handler=True)


@pytest.mark.parametrize("step", [{"map": "$"}, {"when": "a > 1"}])
def test_a_mapper_between_them_gives_messages_ids(step: dict[str, object]):
    assert said(node("1.3.0"), node("2.7.8"), **step) == []


def test_others_understand_one_another():
    for first, second in [
        ("2.2.3", "2.7.8"),
        ("2.7.8", "2.7.8"),
        ("1.3.0", "2.7.6"),
        ("1.3.0", "1.3.0"),
        ("", "2.7.8"),
    ]:
        assert said(node(first), node(second)) == []
    assert said(node("1.3.0"), node("", "python")) == []
    assert said(node("", "python"), node("2.7.8")) == []
