"""elastic.io's documents and definitions: nothing is lost either way."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from nomadflows.model.elasticio import is_graph, read_graph
from nomadflows.model.elasticio_out import write_graph
from nomadflows.model.errors import InputError
from nomadflows.model.flow import FlowDefinition
from nomadflows.model.flowfile import parse_flow_file
from nomadflows.model.flowtext import flow_text
from nomadflows.model.graph import expand

Json = dict[str, Any]

# Every field that the platform's documentation names, those it only returns included.
EVERYTHING: Json = {
    "data": {
        "id": "585918da586224001b96de89",
        "type": "flow",
        "links": {"self": "/v2/flows/585918da586224001b96de89"},
        "relationships": {"workspace": {"data": {"id": "5", "type": "workspace"}}},
        "attributes": {
            "api_version": "2.0",
            "name": "Orders to Warehouse",
            "description": "Two\nlines",
            "type": "long_running",
            "default_mapper_type": "jsonata",
            "cron": "*/10 * * * *",
            "stats_enabled": True,
            "status": "active",
            "current_status": "inactive",
            "created_at": "2026-01-31T10:00:00.000Z",
            "due_execution": None,
            "graph": {
                "nodes": [
                    {
                        "id": "step_1", "name": "Orders", "description": "Where they come from",
                        "command": "acme/petstore-nodejs:getOrders@5c1b9c2e1b2a3d4f5a6b7c8d9e0f1a2b3c4d5e6f",
                        "component_id": "55b0a2b0f3d5d1aa6d0c0001", "first": True,
                        "fields": {"status": "sold", "nested": {"a": [1, None, "x"]}},
                        "credentials_id": "5a9d2f0e586224001b96de90", "vpn_agent_id": "5a9d2f0e586224001b96de91",
                        "selected_data_samples": ["5a9d2f0e586224001b96de92"],
                        "dynamic_metadata": {"in": {}}, "dynamic_select_model": {"status": {"sold": "Sold"}},
                    },
                    {"id": "step_2", "name": "", "description": "", "command": "elasticio/router:rout@latest",
                     "component_id": "55b0a2b0f3d5d1aa6d0c0002", "service": "router"},
                    {"id": "step_3", "command": "acme/sql:upsert@1.2.0", "fields": {}, "secret_id": "Sec_1"},
                    {"id": "step_4", "command": "acme/sql:upsert@latest"},
                    {"id": "step_5", "command": "acme/log:write@latest", "fields": {"text": "left"}, "first": False},
                    {"id": "step_6", "name": None, "command": "acme/log:write@latest", "fields": None, "error": False,
                     "credentials_id": None, "secret_id": ""},
                    {"id": "error_all", "command": "acme/mail:send@latest", "error": True},
                ],
                "edges": [
                    {"target": "error_all"},
                    {"id": "mapper:step_1:step_2", "source": "step_1", "target": "step_2",
                     "config": {"mapper_type": "jsonata", "mapper": {"id": "order.id", "t": "$sum(l.p)"}, "condition": None}},
                    {"id": "step_2:step_3", "source": "step_2", "target": "step_3", "config": {"condition": "t > 100"}},
                    {"id": "mapper:step_2:step_4", "source": "step_2", "target": "step_4",
                     "config": {"mapper_type": "jsonata", "mapper": {"x": "t"}, "condition": "t < 0"}},
                    {"id": "step_2:step_5", "source": "step_2", "target": "step_5"},
                    # Two edges into one node that differ, and one that changes nothing
                    {"id": "mapper:step_3:step_6", "source": "step_3", "target": "step_6",
                     "config": {"mapper": {"text": "'stored'"}, "condition": None}},
                    {"id": "x", "source": "step_4", "target": "step_6",
                     "config": {"mapper_type": None, "mapper": {"text": "'refused'"}, "condition": "urgent"}},
                    {"id": "step_5:step_6", "source": "step_5", "target": "step_6", "config": {"mapper": None}},
                ],
            },
            "nodes_config": {
                "step_1": {"log_level": "trace", "consume_raw_data": True},
                "step_3": {"prefetch": 3, "replicas": 2, "passthrough": {"disabled": True}},
                "step_4": {"disable_dynamic_flow_control": True, "persistent_messages": True, "passthrough": {"disabled": False}},
                "step_5": {},
                "step_6": {"prefetch": None, "replicas": 1, "log_level": "loud", "passthrough": None},
                "error_all": None,
                "gone": {"prefetch": 7},
            },
        },
    }
}  # fmt: skip


def stored(document: Json, **more: Any) -> Json:
    """As it lies in Consul after `flow import`."""
    return FlowDefinition.from_json(read_graph(document, **more)).to_json()


def test_every_field_comes_back():
    assert is_graph(EVERYTHING)
    assert write_graph(stored(copy.deepcopy(EVERYTHING))) == EVERYTHING


@pytest.mark.parametrize("part", ["attributes", "graph alone", "attributes beside others"])
def test_whatever_stands_around_the_graph_comes_back(part: str):
    attributes = EVERYTHING["data"]["attributes"]
    document = {
        "attributes": attributes,
        "graph alone": {"graph": attributes["graph"], "name": "x"},
        "attributes beside others": {"id": "1", "attributes": attributes},
    }[part]
    assert write_graph(stored(document)) == document


def test_what_a_graph_means():
    definition = FlowDefinition.from_json(stored(EVERYTHING, components={"acme/petstore-nodejs": "petstore"}))
    steps = {step.id: step for step in definition.steps}
    assert (definition.flow, definition.kind.value, definition.schedule) == (
        "orders-to-warehouse",
        "realtime",
        "*/10 * * * *",
    )
    assert steps["step_1"].use == "petstore:getOrders"
    assert (steps["step_3"].use, steps["step_3"].credential) == ("sql@1.2.0:upsert", "sec-1")
    assert (steps["step_3"].prefetch, steps["step_3"].replicas, steps["step_3"].passthrough) == (3, 2, False)
    assert steps["step_4"].passthrough
    assert steps["error_all"].error_handler
    run = {step.id: step for step in expand(definition)}
    assert run["mapper:step_1:step_2"].config["mapping"] == {"id": "order.id", "t": "$sum(l.p)"}
    assert run["mapper:step_2:step_5"].config["condition"] == "$not((t > 100) or (t < 0))"
    assert run["step_6"].after == ("mapper:step_3:step_6", "mapper:step_4:step_6", "step_5")
    assert run["mapper:step_3:step_6"].config == {"mapping": {"text": "'stored'"}}
    assert run["mapper:step_4:step_6"].config == {"mapping": {"text": "'refused'"}, "condition": "urgent"}
    assert (run["step_1"].log_level, run["step_6"].log_level) == ("trace", "")


@pytest.mark.parametrize("nothing", [None, ""])
def test_what_says_nothing_comes_back_as_it_was(nothing: Any):
    document = copy.deepcopy(EVERYTHING)
    attributes = document["data"]["attributes"]
    attributes |= {"description": nothing, "cron": nothing, "type": nothing, "default_mapper_type": None}
    attributes["nodes_config"] = nothing
    assert write_graph(stored(document)) == document


def test_a_change_made_here_is_in_what_is_written():
    definition = stored(EVERYTHING)
    definition["steps"][2] |= {"map": {"a": "b"}, "use": "sql@1.3.0:upsert", "credential": "other"}
    definition["steps"][2].pop("when")
    definition["steps"][1].pop("map")
    definition["steps"][0].pop("log_level")
    definition["steps"][5]["edges"]["step_4"] = {}
    definition["steps"][5] |= {"name": "Notes", "log_level": "warn", "env": {"A": "b"}}
    document = write_graph(definition)["data"]["attributes"]
    node = document["graph"]["nodes"][2]
    edges = {edge["target"]: edge for edge in document["graph"]["edges"]}
    assert (node["command"], node["secret_id"]) == ("nomadflows/sql:upsert@1.3.0", "other")
    assert edges["step_3"]["id"] == "mapper:step_2:step_3"
    assert edges["step_3"]["config"] == {"mapper": {"a": "b"}, "mapper_type": "jsonata", "condition": None}
    assert edges["step_2"]["id"] == "step_1:step_2"
    assert edges["step_6"]["id"] == "step_5:step_6"
    changed = next(edge for edge in document["graph"]["edges"] if edge.get("source") == "step_4")
    assert changed["config"] == {"mapper_type": None, "mapper": {}, "condition": None}
    assert document["graph"]["nodes"][5]["name"] == "Notes"
    assert document["graph"]["nodes"][5]["nomadflows"] == {"env": {"A": "b"}}
    assert document["nodes_config"]["step_6"]["log_level"] == "warn"
    assert "log_level" not in document["nodes_config"]["step_1"]


def test_settings_of_a_node_go_with_it_and_those_of_others_stay():
    definition = stored(EVERYTHING)
    before = EVERYTHING["data"]["attributes"]["nodes_config"]
    # A step that is removed takes its own along
    del definition["steps"][4]
    definition["steps"][4].update(after=["step_3", "step_4"])
    document = write_graph(definition)["data"]["attributes"]
    assert document["nodes_config"] == {name: config for name, config in before.items() if name != "step_5"}
    # And a new one does not get those of a node that was gone before, though it has its name
    definition["steps"].append({"id": "gone", "use": "log:write", "after": "step_6"})
    assert "gone" not in write_graph(definition)["data"]["attributes"]["nodes_config"]


FLOW = """
flow: shop
timezone: Europe/Berlin
idle_after: 5m
variables: {region: eu}
steps:
  - {id: in, use: "webhook:receive"}
  - {id: large, use: "log:write", when: "total > 10", resources: {memory: 64}}
  - {id: rest, use: "log:write", after: in, when: "total < 0", map: {a: b}}
  - {id: all, use: "log@1.0.0:write", after: in, prefetch: 5}
  - {id: both, use: "log:write", after: [large, all], credential: x-1, with: {text: t}}
  - id: apart
    use: "log:write"
    env: {A: b}
    log_level: debug
    after: [large, rest, all, in]
    map: {a: c}
    edges: {large: {when: b}, all: {}, in: {otherwise: true}}
  - {id: failed, use: "log:write", error_handler: true, map: "$"}
"""


def test_a_flow_of_ours_comes_back_too():
    ours = parse_flow_file(FLOW, "f")
    back = FlowDefinition.from_json(read_graph(write_graph(ours.to_json())))
    assert expand(back) == expand(ours)
    assert (back.timezone, back.idle_after, back.variables) == (ours.timezone, ours.idle_after, {"region": "eu"})


def test_as_a_flow_file_it_is_the_same():
    definition = read_graph(EVERYTHING)
    assert parse_flow_file(flow_text(definition), "f") == FlowDefinition.from_json(definition)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["graph"]["edges"][2].update(config={}), "router step_2 has 2 edges without a condition"),
        (lambda d: d.update(default_mapper_type="handlebars"), "default_mapper_type: 'handlebars'; allowed: jsonata"),
        (lambda d: d.update(type="other"), "type: 'other'; allowed: ordinary, long_running"),
        (lambda d: d["graph"]["nodes"][2].update(command="x"), "node step_3: command 'x'"),
        (lambda d: d["graph"].update(nodes=[]), "the graph has no nodes"),
        (lambda d: d.update(name="…"), "no name that can name a flow"),
        (lambda d: d["graph"]["edges"].pop(1), "no edge leads to node step_2, so nothing reaches it"),
        (lambda d: d["graph"]["edges"].append({"target": "step_5"}) or d["graph"]["edges"].pop(4), "node step_5"),
        (lambda d: d.update(nodes_config=[]) or d.update(nodes_config=[1]), "nodes_config: expected an object"),
    ],
)
def test_what_has_no_counterpart_is_told(change: Any, message: str):
    attributes = copy.deepcopy(EVERYTHING["data"]["attributes"])
    change(attributes)
    with pytest.raises(InputError, match=message.replace("(", r"\(")):
        read_graph({"data": {"attributes": attributes}})
