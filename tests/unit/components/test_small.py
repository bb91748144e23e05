"""The small components: timer, log, jsonata, mapper, webhook."""

from __future__ import annotations

import json
import logging

import pytest

from nomadflows.model.mapping import MappingError
from tests.unit.components.conftest import ROOT


@pytest.mark.parametrize("path", sorted(ROOT.glob("*/component.json")), ids=lambda path: path.parent.name)
def test_descriptors_are_whole(path):
    descriptor = json.loads(path.read_text())
    assert (descriptor["language"], descriptor["version"]) == ("python", "1.0.0")
    assert descriptor["title"]
    for entry in [*descriptor.get("triggers", {}).values(), *descriptor.get("actions", {}).values()]:
        assert entry["title"]
        assert (path.parent / (entry["main"].removesuffix(".py") + ".py")).is_file()
        for field in entry["fields"].values():
            assert field["label"]
            assert field["viewClass"].endswith("View")


def test_a_timer_tells_this_tick_and_the_last(run):
    timer = run("timer", "timer")
    (first,) = timer()
    (second,) = timer()
    assert first["lastPoll"] == "1970-01-01T00:00:00.000Z"
    assert second["lastPoll"] == first["fireTime"] <= second["fireTime"]
    assert run("timer", "timer", start="2999-01-01")() == []
    assert run("timer", "timer", end="2000-01-01T00:00:00Z")() == []


def test_log_writes_what_it_is_told_to_and_passes_on(run, caplog):
    caplog.set_level(logging.DEBUG)
    step = run("log", "write", fields=["id"], level="warning")
    (out,) = step.items({"message": "hi", "id": "ü", "secret": 1}, passthrough={"a": 1})
    assert (out.body["secret"], out.passthrough) == (1, {"a": 1})
    assert [(record.levelname, record.message) for record in caplog.records] == [("WARNING", 'hi id="ü"')]
    caplog.clear()
    run("log", "write")([1])
    assert caplog.messages == ["message"]


def test_jsonata_gives_one_message_for_an_object_several_for_an_array_none_for_nothing(run):
    assert run("jsonata", "transform", expression='{"b": a + 1}')({"a": 1}) == [{"b": 2}]
    assert run("jsonata", "transform", expression="items")({"items": [{"a": 1}, {"a": 2}]}) == [{"a": 1}, {"a": 2}]
    assert run("jsonata", "transform", expression="nothing")({}) == []
    with pytest.raises(TypeError, match="a message body is an object"):
        run("jsonata", "transform", expression="1")({})
    with pytest.raises(MappingError):
        run("jsonata", "transform", expression="(")


def test_a_mapper_maps_what_fulfils_its_condition(run):
    step = run("mapper", "map", mapping={"id": "order", "n": "$sum(lines.n)"}, condition="$count(lines) > 0")
    assert step({"order": "A", "lines": [{"n": 1}, {"n": 2}]}) == [{"id": "A", "n": 3}]
    assert step({"order": "A", "lines": []}) == []
    with pytest.raises(MappingError):
        run("mapper", "map", mapping={"id": "order +"})


@pytest.mark.parametrize(("component", "setting"), [("mapper:map", "mapping"), ("jsonata:transform", "expression")])
def test_an_expression_knows_earlier_steps_and_the_one_before_it(run, component, setting):
    expression = '{"a": $getPassthrough().first.body.x, "b": $getPassthrough().second.body.y}'
    step = run(*component.split(":"), **{setting: expression})
    step.context.previous_step = "second"
    assert step({"y": 2}, passthrough={"first": {"body": {"x": 1}}}) == [{"a": 1, "b": 2}]


def test_a_webhook_passes_on_everything(run):
    more = {"method": "POST", "url": "/hook/default/f?x=1", "query": {"x": "1"}}
    (out,) = run("webhook", "receive").items({"a": 1}, extra=more, headers={"h": "1"})
    told = {"_method": "POST", "_url": "/hook/default/f?x=1", "_query": {"x": "1"}, "_headers": {"h": "1"}}
    assert out.to_wire() == {"body": {"a": 1, **told}, "headers": {"h": "1"}, **more}
    # And a body that is no object has a name of its own
    (out,) = run("webhook", "receive").items([1], extra=more)
    assert out.body["_value"] == [1]
    # And what no gateway sent stays as it is
    (out,) = run("webhook", "receive").items({"a": 1}, headers={"h": "1"})
    assert out.to_wire() == {"body": {"a": 1}, "headers": {"h": "1"}}
