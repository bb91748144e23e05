"""What is exported reads back as the same definition."""

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nomadflows.model.flow import FlowDefinition
from nomadflows.model.flowfile import parse_flow_file
from nomadflows.model.flowtext import flow_text
from nomadflows.model.yamltree import parse_yaml

WORDS = [
    "no",
    "1e3",
    "0o17",
    "0x1F",
    "1_000",
    "2026-01-31",
    "12:30:45",
    "~",
    "null",
    "=",
    "<<",
    "",
    " x ",
    "a: b",
    "# c",
    "- d",
]
texts = st.sampled_from(WORDS) | st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(texts, values, max_size=3)
lines = st.lists(texts, min_size=1, max_size=4).map("\n".join)
step = st.fixed_dictionaries(
    {"use": st.just("files:watch")},
    optional={
        "name": texts, "with": objects, "map": lines | st.dictionaries(texts, texts, max_size=3), "when": lines,
        "replicas": st.integers(1, 20), "passthrough": st.booleans(), "resources": st.just({"memory": 64}),
        "min_interval": st.floats(0.1, 3600).map(lambda seconds: round(seconds, 3)),
    },
)  # fmt: skip
definitions = st.fixed_dictionaries(
    {"flow": st.just("orders"), "steps": st.lists(step, min_size=1, max_size=3)},
    optional={
        "description": lines,
        "idle_after": st.integers(0, 1800),
        "limits": st.just({"bytes": "100MiB", "drain": 0}),
        "variables": st.dictionaries(st.sampled_from(["region", "no", "_1"]), texts),
    },
)


def numbered(data: dict) -> dict:
    return data | {"steps": [{"id": f"s{number}", **step} for number, step in enumerate(data["steps"])]}


@given(definitions)
@example({"flow": "orders", "steps": [{"use": "files:watch", "with": {"no": 1e-05, "most": 1e16}}]})
def test_what_is_exported_reads_back_equal(data: dict):
    stored = FlowDefinition.from_json(numbered(data)).to_json()

    read = parse_yaml(flow_text(stored)).value

    assert read == stored
    assert FlowDefinition.from_json(read).to_json() == stored


@pytest.mark.parametrize("name", ["orders-to-warehouse", "live-orders"])
def test_examples_read_back_equal(name: str):
    definition = parse_flow_file(Path(f"examples/{name}.yaml").read_text(), name)

    assert parse_flow_file(flow_text(definition.to_json()), "exported") == definition


def test_it_reads_like_a_file_somebody_wrote():
    steps = [
        {"id": "a", "use": "timer:tick"},
        {"id": "b", "use": "log:write", "with": {"on": "no", "list": [1, "2"]}, "map": "$merge([\n  {},\n  $\n])"},
    ]
    text = flow_text(
        {"flow": "orders", "kind": "ordinary", "steps": steps, "description": "Grüße", "schedule": "*/5 * * * *"}
    )

    assert (
        text
        == """\
flow: orders
description: Grüße
kind: ordinary
schedule: '*/5 * * * *'
steps:
  - id: a
    use: timer:tick

  - id: b
    use: log:write
    with:
      'on': 'no'
      list:
        - 1
        - '2'
    map: |-
      $merge([
        {},
        $
      ])
"""
    )
