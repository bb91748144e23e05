"""One mistake in a flow file gives one line: where it is, what is wrong, what is allowed."""

from __future__ import annotations

import pytest

from tests.unit.model.flowfiles import changed, messages

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
