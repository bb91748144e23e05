"""A flow file that is wrong is told so with file, line, field, what is wrong and what is allowed."""

import json

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from nomadflows.model.flow import FlowDefinition
from nomadflows.model.flowfile import FlowFileError, examine, parse_flow_file
from tests.unit.model.descriptors import COMPONENTS, LOG, component
from tests.unit.model.flowfiles import GOOD, changed, messages


def test_a_good_file_is_a_definition():
    flow = parse_flow_file(GOOD, "orders.yaml", COMPONENTS)

    assert [step.id for step in flow.steps] == ["orders", "store", "report"]
    assert flow.idle_after_s == 60
    assert flow.step("store").with_ == {"table": "orders", "key": "id"}
    assert FlowDefinition.from_json(flow.to_json()) == flow


def test_the_design_s_spelling_of_a_mapping_in_one_line_is_read():
    one_line = '{id: "order_id", customer: "$uppercase(customer.name)", total: "$sum(lines.(price * quantity))"}'
    flow = parse_flow_file(
        changed(("map:\n      id: order_id\n      total: $sum(lines.(price * quantity))", f"map: {one_line}")), "f"
    )

    assert flow.steps[1].map == {
        "id": "order_id", "customer": "$uppercase(customer.name)", "total": "$sum(lines.(price * quantity))",
    }  # fmt: skip


def test_components_may_be_a_function():
    parse_flow_file(GOOD, "orders.yaml", lambda name: COMPONENTS.get(name, []))

    assert messages(changed(("use: sql:upsert", "use: sqll:upsert")), lambda name: COMPONENTS.get(name, [])) == [
        "orders.yaml:10: steps[1].use: there is no component 'sqll'; allowed: a built-in or deployed component"
    ]


def test_without_components_the_rest_is_checked():
    text = changed(("use: sql:upsert", "use: nosuch:thing"), ("with: {table: orders, key: id}", "with: {anything: 1}"))

    parse_flow_file(text, "orders.yaml")
    assert messages(text.replace("replicas: 2", "replicas: 21"), None) == [
        "orders.yaml:16: steps[1].replicas: 21 is out of range; allowed: a whole number from 1 to 20"
    ]


def test_json_is_read_too():
    flow = parse_flow_file(GOOD, "f", COMPONENTS)

    assert parse_flow_file(json.dumps(flow.to_json(), indent=2), "f.json", COMPONENTS) == flow


def test_all_mistakes_are_told_at_once_in_the_order_of_the_lines():
    text = changed(
        ("flow: orders", "flow: Orders"),
        ('"*/3 * * * *"', '"0 0 31 4 *"'),
        ("use: files:watch", "use: files:wach"),
        ("replicas: 2", "replicas: 200"),
        ("id: order_id", "id: order_id +"),
        ("use: log:write", "after: nobody"),
    )

    assert [line.split(":")[1] + line.split(":")[2] for line in messages(text)] == [
        "1 flow", "3 schedule", "7 steps[0].use", "14 steps[1].map.id", "16 steps[1].replicas", "18 steps[2].use",
        "19 steps[2].after",
    ]  # fmt: skip


def test_a_step_whose_id_is_unreadable_spoils_nothing_else():
    text = changed(("id: store", "id: 7"), ("replicas: 2", "replicas: 0"))

    assert [line.split(": ")[1] for line in messages(text)] == ["steps[1].id", "steps[1].replicas"]


def test_steps_behind_a_cycle_are_unreachable():
    text = changed(
        ("use: sql:upsert", "use: sql:upsert\n    after: again"),
        ("use: log:write", "use: log:write\n  - {id: again, use: 'log:write', after: store}"),
    ).replace("id: report\n", "id: report\n    after: again\n")

    assert messages(text) == [
        "orders.yaml:11: steps[1].after: store → again → store is a cycle; allowed: steps that lead away from the trigger",
        (
            "orders.yaml:19: steps[2]: no message reaches 'report': nothing leads to it from the trigger; allowed: steps that "
            "lead away from the trigger"
        ),
    ]


def test_the_second_error_handler_is_refused_and_nothing_follows_the_first():
    text = GOOD + (
        "  - {id: oops, use: 'log:write', error_handler: true}\n"
        "  - {id: oops2, use: 'log:write', error_handler: true}\n"
        "  - {id: more, use: 'log:write', after: oops}\n"
    )

    assert messages(text) == [
        "orders.yaml:21: steps[4].error_handler: a second error handler, the first is 'oops' (steps[3]); allowed: one in a flow",
        "orders.yaml:22: steps[5].after: 'oops' is the error handler, nothing follows it; allowed: orders, store, report",
    ]


@pytest.mark.parametrize("credentials", [{}, {"fields": {}}, {"required": False, "fields": {"user": {}}}])
def test_a_credential_may_be_optional(credentials: dict):
    optional = {**COMPONENTS, "log": [component("log", {**LOG, "credentials": credentials})]}

    parse_flow_file(GOOD, "f", optional)
    parse_flow_file(changed(("use: log:write", "use: log:write\n    credential: some")), "f", optional)


def test_a_trigger_that_is_not_polled_takes_no_schedule():
    assert messages(changed(("use: files:watch\n    with: {path: data, format: csv}", "use: hook:receive"))) == [
        "orders.yaml:3: schedule: hook:receive is not polled; allowed: a schedule with a polling trigger"
    ]


def test_a_trigger_in_the_second_place_is_told_apart_from_two():
    text = changed(
        ("use: files:watch\n    with: {path: data, format: csv}", "use: log:write"),
        ("  - id: report\n    use: log:write", "  - id: report\n    use: hook:receive"),
    )

    assert messages(text) == [
        (
            "orders.yaml:7: steps[0].use: log:write is an action, and a flow begins with a trigger; allowed: a trigger of "
            "another component"
        ),
        "orders.yaml:18: steps[2].use: hook:receive is a trigger; allowed: the trigger as first step, actions after it",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "f:1: the file is empty; allowed: a mapping with flow and steps"),
        ("[1, 2]", "f:1: the file holds a list; allowed: a mapping with flow and steps"),
        ("just text", "f:1: the file holds 'just text'; allowed: a mapping with flow and steps"),
        ("flow: a\n---\nflow: b\n", "f:2: a second document begins here; allowed: one flow per file"),
        ("x: " + "y" * 1_000_000, "f:1: the file has 1,000,003 bytes; allowed: 1,000,000 at most"),
        ("x: " + "[" * 50_000, "f:1: nested more than 40 deep"),
        ("flow: a\nsteps: []\n", "f:2: steps: an empty list is not enough; allowed: a list of 1 to 100 steps"),
        ("flow: a\nsteps: {a: b}\n", "f:2: steps: a mapping is of the wrong type; allowed: a list of 1 to 100 steps"),
        ("flow: a\nsteps: [3]\n", "f:2: steps[0]: 3 is of the wrong type; allowed: a list of 1 to 100 steps"),
    ],
)
def test_what_is_no_flow_at_all(text: str, expected: str):
    with pytest.raises(FlowFileError) as caught:
        parse_flow_file(text, "f")
    assert str(caught.value) == expected


@pytest.mark.parametrize("levels", [36, 37, 300])
def test_what_is_read_already_nests_no_deeper_than_a_file(levels: int):
    text = "{flow: x, steps: [{id: a, use: 'a:b', with: " + "{a: " * levels + "1" + "}" * levels + "}]}"
    data: object = 1
    for _ in range(levels):
        data = {"a": data}
    definition, found = examine({"flow": "x", "steps": [{"id": "a", "use": "a:b", "with": data}]})
    if levels == 36:
        assert definition == parse_flow_file(text, "f")
    else:
        assert [str(problem) for problem in found] == ["nested more than 40 deep"]
        assert messages(text, None) == ["orders.yaml:1: nested more than 40 deep"]


def test_many_problems_are_cut_short():
    text = "flow: a\n" + "".join(f"x{n}: 1\n" for n in range(80)) + "steps: [{id: a, use: 'b:c'}]\n"

    lines = messages(text, None)

    assert len(lines) == 51
    assert lines[-1] == "orders.yaml: and 30 more"


def test_values_of_settings_are_not_repeated_in_messages():
    lines = messages(changed(("{table: orders, key: id}", "{tabel: hunter2, key: id}")))

    assert lines
    assert not any("hunter2" in line for line in lines)


def read(text: str) -> tuple[FlowDefinition | None, str]:
    try:
        return parse_flow_file(text, "f", COMPONENTS), ""
    except FlowFileError as error:
        return None, str(error)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)
FIELDS = ["flow", "kind", "schedule", "timezone", "idle_after", "retention", "limits", "description", "steps", "x"]
STEP = [
    "id",
    "use",
    "with",
    "map",
    "after",
    "when",
    "otherwise",
    "edges",
    "env",
    "secret_env",
    "log_level",
    "replicas",
    "resources",
    "error_handler",
    "credential",
    "y",
]
plausible = st.sampled_from(
    ["a", "b", "files:watch", "sql:upsert", "log:write", "hook:receive", "60s", 1, True, ["a"], {"a": "b"}, "$x"]
)
steps = st.dictionaries(st.sampled_from(STEP), plausible | json_values, max_size=6)
flows = st.dictionaries(st.sampled_from(FIELDS), json_values | st.lists(steps, max_size=4), max_size=6)


@settings(max_examples=150, deadline=None)
@given(flows | json_values)
def test_any_data_is_a_flow_or_told_why_not(data: object):
    flow, complaint = read(yaml.safe_dump(data, allow_unicode=True))

    assert complaint.startswith("f:") if flow is None else FlowDefinition.from_json(flow.to_json()) == flow


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200) | st.text(alphabet="{}[]:,-&*!|>'\"#%@ \n\tab1?~", max_size=60))
def test_any_text_is_a_flow_or_told_why_not(text: str):
    with pytest.raises(FlowFileError):
        parse_flow_file(text, "f")


@settings(max_examples=100, deadline=None)
@given(st.integers(0, len(GOOD) - 1), st.integers(0, 30), st.text(max_size=5))
def test_a_good_file_damaged_anywhere_never_crashes(at: int, length: int, put: str):
    flow, complaint = read(GOOD[:at] + put + GOOD[at + length :])

    assert flow is not None or complaint.startswith("f:")
