"""A flow file that is wrong is told so with file, line, field, what is wrong and what is allowed."""

import json
from textwrap import dedent

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from nomadflows.model.flow import FlowDefinition
from nomadflows.model.flowfile import FlowFileError, parse_flow_file
from tests.unit.model.descriptors import COMPONENTS, LOG, component

GOOD = dedent("""\
    flow: orders
    kind: ordinary
    schedule: "*/3 * * * *"
    idle_after: 60s
    steps:
      - id: orders
        use: files:watch
        with: {path: data, format: csv}
      - id: store
        use: sql:upsert
        credential: warehouse-db
        with: {table: orders, key: id}
        map:
          id: order_id
          total: $sum(lines.(price * quantity))
        replicas: 2
        resources: {memory: 256, cpu: 100}
      - id: report
        use: log:write
    """)


def messages(text: str, components=COMPONENTS) -> list[str]:
    with pytest.raises(FlowFileError) as caught:
        parse_flow_file(text, "orders.yaml", components)
    assert caught.value.exit_code == 2
    return str(caught.value).splitlines()


def changed(*replacements: tuple[str, str]) -> str:
    text = GOOD
    for old, new in replacements:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


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


STEP_FIELDS = (
    "id, name, use, credential, with, map, after, when, otherwise, edges, replicas, autoscale, prefetch, resources, env, secret_env, log_level, passthrough, elasticio, "
    "error_handler, min_interval"
)

ONE_MISTAKE = {
    "an edge that is not there": (
        ("use: log:write", "use: log:write\n    edges: {orders: {map: {a: b}}}"),
        "20: steps[2].edges.orders: it gets nothing from 'orders'; allowed: store",
    ),
    "an expression on an edge": (
        ("use: log:write", "use: log:write\n    edges:\n      store: {when: 'a >'}"),
        "21: steps[2].edges.store.when: Unexpected end of expression (column 4); allowed: a JSONata expression",
    ),
    "a default on an edge without conditions beside it": (
        ("use: log:write", "use: log:write\n    edges: {store: {otherwise: true}}"),
        "20: steps[2].edges.store.otherwise: no other step after 'store' has a condition; allowed: beside steps with `when`",
    ),
    "an edge into the error handler": (
        ("use: log:write", "use: log:write\n    error_handler: true\n    edges: {store: {map: {a: b}}}"),
        "21: steps[2].edges: an error handler gets errors, not output; allowed: no edges",
    ),
    "a field that an edge has not": (
        ("use: log:write", "use: log:write\n    edges: {store: {mapp: {a: b}}}"),
        "20: steps[2].edges.store.mapp: unknown field 'mapp'; did you mean 'map'? allowed: map, when, otherwise",
    ),
    "a typo in a field": (
        ("    replicas: 2", "    replcas: 2"),
        f"16: steps[1].replcas: unknown field 'replcas'; did you mean 'replicas'? allowed: {STEP_FIELDS}",
    ),
    "a typo in a field of the flow": (
        ("idle_after: 60s", "idle_afer: 60s"),
        (
            "4: idle_afer: unknown field 'idle_afer'; did you mean 'idle_after'? allowed: flow, kind, description, schedule, "
            "timezone, jitter, idle_after, retention, variables, elasticio, limits, steps"
        ),
    ),
    "a number as a variable": (
        ("idle_after: 60s", "idle_after: 60s\nvariables:\n  region: eu\n  limit: 5"),
        "7: variables.limit: 5 is of the wrong type; allowed: text for each name",
    ),
    "a variable that JSONata cannot name": (
        ("idle_after: 60s", "idle_after: 60s\nvariables: {\n  region: eu,\n  my-limit: '5'}"),
        (
            "7: variables.my-limit: 'my-limit' is no name of a variable; allowed: 1 to 63 letters, digits and _, "
            "first no digit"
        ),
    ),
    "no variables": (
        ("idle_after: 60s", "idle_after: 60s\nvariables: eu"),
        "5: variables: 'eu' is of the wrong type; allowed: text for each name",
    ),
    "a typo in a nested field": (
        ("cpu: 100", "cpus: 100"),
        "17: steps[1].resources.cpus: unknown field 'cpus'; did you mean 'cpu'? allowed: memory, cpu",
    ),
    "the name of the model's attribute": (
        ("with: {table: orders, key: id}", "with: {table: orders}\n    with_: {}"),
        f"13: steps[1].with_: unknown field 'with_'; did you mean 'with'? allowed: {STEP_FIELDS}",
    ),
    "a missing field": (
        ("  - id: report\n    use: log:write", "  - id: report"),
        "18: steps[2].use: required, but missing; allowed: component:function or component@1.2.3:function",
    ),
    "the flow's name missing": (
        ("flow: orders\n", "\n"),
        "2: flow: required, but missing; allowed: 1 to 63 lower-case letters, digits and -, neither first nor last a -",
    ),
    "a wrong type": (
        ("replicas: 2", "replicas: two"),
        "16: steps[1].replicas: 'two' is of the wrong type; allowed: a whole number from 1 to 20",
    ),
    "a truth as a number": (
        ("replicas: 2", "replicas: true"),
        "16: steps[1].replicas: true is of the wrong type; allowed: a whole number from 1 to 20",
    ),
    "a wrong range": (
        ("memory: 256", "memory: 5000"),
        "17: steps[1].resources.memory: 5000 is out of range; allowed: a whole number of MiB from 16 to 4096",
    ),
    "an unknown kind": (
        ("kind: ordinary", "kind: batch"),
        "2: kind: 'batch' is no kind of flow; allowed: ordinary, realtime",
    ),
    "a duration that is none": (
        ("idle_after: 60s", "idle_after: a minute"),
        "4: idle_after: 'a minute' is no duration; allowed: a duration from 0s to 30m, such as 60s or 5m",
    ),
    "too long idle": (
        ("idle_after: 60s", "idle_after: 31m"),
        "4: idle_after: '31m' is out of range; allowed: a duration from 0s to 30m, such as 60s or 5m",
    ),
    "a step id with a dot": (
        ("id: report", "id: re.port"),
        (
            "18: steps[2].id: 're.port' is not a valid name; allowed: 1 to 63 letters, digits, - and _, beginning with a "
            "letter or digit"
        ),
    ),
    "no function in use": (
        ("use: log:write", "use: log"),
        (
            "19: steps[2].use: 'log' names no function of a component; allowed: component:function or "
            "component@1.2.3:function"
        ),
    ),
    "a duplicate step id": (
        ("id: report", "id: store"),
        "18: steps[2].id: 'store' is the id of steps[1] already; allowed: an id of its own",
    ),
    "an unknown step in after": (
        ("use: log:write", "use: log:write\n    after: sotre"),
        "20: steps[2].after: there is no step 'sotre'; did you mean 'store'? allowed: orders, store",
    ),
    "an unknown step in a list of after": (
        ("use: log:write", "use: log:write\n    after:\n      - store\n      - nobody"),
        "22: steps[2].after[1]: there is no step 'nobody'; allowed: orders, store",
    ),
    "a step twice in after": (
        ("use: log:write", "use: log:write\n    after: [store, store]"),
        "20: steps[2].after[1]: 'store' is named twice; allowed: each step once",
    ),
    "a cycle": (
        ("use: sql:upsert", "use: sql:upsert\n    after: [orders, report]"),
        "11: steps[1].after: store → report → store is a cycle; allowed: steps that lead away from the trigger",
    ),
    "a step after itself": (
        ("use: log:write", "use: log:write\n    after: report"),
        "20: steps[2].after: report → report is a cycle; allowed: steps that lead away from the trigger",
    ),
    "no trigger": (
        ("use: files:watch\n    with: {path: data, format: csv}", "use: files:write\n    with: {path: data}"),
        "7: steps[0].use: files:write is an action, and a flow begins with a trigger; allowed: files:watch",
    ),
    "two triggers": (
        ("use: log:write", "use: hook:receive"),
        "19: steps[2].use: hook:receive is a second trigger, the first is 'orders'; allowed: one in a flow",
    ),
    "an unknown component": (
        ("use: sql:upsert", "use: sqll:upsert"),
        "10: steps[1].use: there is no component 'sqll'; did you mean 'sql'? allowed: files, hook, log, sql",
    ),
    "an unknown function": (
        ("use: sql:upsert", "use: sql:upsrt"),
        "10: steps[1].use: sql@1.1.0 has no function 'upsrt'; did you mean 'upsert'? allowed: query, upsert",
    ),
    "an unknown version": (
        ("use: sql:upsert", "use: sql@2.0.0:upsert"),
        "10: steps[1].use: component 'sql' has no version '2.0.0'; did you mean '1.0.0'? allowed: 1.1.0, 1.0.0",
    ),
    "a function that the pinned version has not": (
        ("use: sql:upsert", "use: sql@1.0.0:query"),
        "10: steps[1].use: sql@1.0.0 has no function 'query'; allowed: upsert",
    ),
    "an unknown setting": (
        ("key: id}", "keys: id}"),
        "12: steps[1].with.keys: sql:upsert has no setting 'keys'; did you mean 'key'? allowed: key, table",
    ),
    "a missing setting": (
        ("{table: orders, key: id}", "{key: id}"),
        "12: steps[1].with: sql:upsert needs the setting 'table' (Table); allowed: key, table",
    ),
    "a setting that is no choice": (
        ("format: csv", "format: cvs"),
        "8: steps[0].with.format: there is no choice 'cvs'; did you mean 'csv'? allowed: csv, jsonl",
    ),
    "a setting that is no yes or no": (
        ("format: csv", "format: csv, recursive: 1"),
        "8: steps[0].with.recursive: not a yes or no; allowed: true, false",
    ),
    "a credential that is needed": (
        ("    credential: warehouse-db\n", ""),
        "9: steps[1].credential: component 'sql' needs a credential; allowed: the name of one, with the fields url, password",
    ),
    "a credential that is not taken": (
        ("use: log:write", "use: log:write\n    credential: warehouse-db"),
        "20: steps[2].credential: component 'log' takes no credential; allowed: none",
    ),
    "a mapping that does not parse": (
        ("total: $sum(lines.(price * quantity))", "total: $sum(lines.(price * quantity)"),
        '15: steps[1].map.total: Expected ")" before end of expression (column 30); allowed: a JSONata expression',
    ),
    "a mapping with an unknown function": (
        ("total: $sum(", "total: $summ("),
        "15: steps[1].map.total: $summ is not defined; did you mean $sum? (column 1); allowed: a JSONata expression",
    ),
    "an empty mapping expression": (
        ("id: order_id", 'id: ""'),
        "14: steps[1].map.id: the expression is empty; an empty text is written '\"\"'; allowed: a JSONata expression",
    ),
    "a mapping in a block that does not parse": (
        ("    use: log:write", '    use: log:write\n    map: |\n      {\n        "a": b,\n        "c": d e\n      }'),
        '23: steps[2].map: Expected "}", got "e" (line 3, column 10); allowed: a JSONata expression',
    ),
    "a condition that does not parse": (
        ("use: log:write", "use: log:write\n    when: total >"),
        "20: steps[2].when: Unexpected end of expression (column 8); allowed: a JSONata expression",
    ),
    "a default beside no condition": (
        ("use: log:write", "use: log:write\n    otherwise: true"),
        "20: steps[2].otherwise: no other step after 'store' has a condition; allowed: beside steps with `when`",
    ),
    "a default with a condition of its own": (
        ("use: log:write", "use: log:write\n    when: a\n    otherwise: true"),
        "21: steps[2].otherwise: a step has a condition of its own or takes what is left; allowed: when or otherwise",
    ),
    "a second default": (
        (
            "use: log:write",
            """use: log:write
    when: a
  - {id: b, use: log:write, after: store, otherwise: true}
  - {id: c, use: log:write, after: store, otherwise: true}""",
        ),
        "22: steps[4].otherwise: 'b' is the default after 'store' already; allowed: one default",
    ),
    "a cron that never occurs": (
        ('"*/3 * * * *"', '"0 0 30 2 *"'),
        "3: schedule: '0 0 30 2 *' never occurs: no such date exists; allowed: a cron expression that has a next time",
    ),
    "a cron with a bad field": (
        ('"*/3 * * * *"', '"61 * * * *"'),
        "3: schedule: '61' is no minute; allowed: 0-59, *, lists (1,2), ranges (1-5), steps (*/5)",
    ),
    "a cron with seconds in an ordinary flow": (
        ('"*/3 * * * *"', '"*/5 * * * * *"'),
        (
            "3: schedule: '*/5 * * * * *' has 6 fields; allowed: 5 (minute hour day-of-month month day-of-week); a seconds "
            "field only in a realtime flow"
        ),
    ),
    "an unknown time zone": (
        ("kind: ordinary", "timezone: Europe/Berln"),
        "2: timezone: no time zone is called 'Europe/Berln'; allowed: IANA names such as UTC or Europe/Berlin",
    ),
    "idle_after on realtime": (
        ("kind: ordinary", "kind: realtime"),
        "4: idle_after: a realtime flow never sleeps; allowed: idle_after in an ordinary flow",
    ),
    "a mapping on the trigger": (
        ("use: files:watch", "use: files:watch\n    map: {a: b}"),
        "8: steps[0].map: the first step is the trigger and has no input to map; allowed: map in later steps",
    ),
    "replicas of a polled trigger": (
        ("use: files:watch", "use: files:watch\n    replicas: 2"),
        "8: steps[0].replicas: files:watch remembers what it has read, two would read it twice; allowed: 1",
    ),
    "prefetch of a polled trigger": (
        ("use: files:watch", "use: files:watch\n    prefetch: 2"),
        "8: steps[0].prefetch: files:watch remembers what it has read, two would read it twice; allowed: 1",
    ),
    "an error handler in the chain": (
        ("use: log:write", "use: log:write\n    error_handler: true\n    after: store"),
        "21: steps[2].after: an error handler gets errors, not output; allowed: no after",
    ),
    "a key twice": (
        ("replicas: 2", "replicas: 2\n    replicas: 3"),
        "17: 'replicas' is written twice (first in line 16)",
    ),
    "a tag": (
        ("flow: orders", "flow: !!python/object:os.system orders"),
        "1: the tag tag:yaml.org,2002:python/object:os.system is not allowed; allowed: plain values, lists and mappings",
    ),
}


@pytest.mark.parametrize("mistake", ONE_MISTAKE)
def test_one_mistake_gives_one_line(mistake: str):
    replacement, expected = ONE_MISTAKE[mistake]

    assert messages(changed(replacement)) == [f"orders.yaml:{expected}"]


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
