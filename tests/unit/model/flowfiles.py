"""A flow file that is right, ways to damage it, and what is said then."""

from __future__ import annotations

from textwrap import dedent

import pytest

from nomadflows.model.flowfile import FlowFileError, parse_flow_file
from tests.unit.model.descriptors import COMPONENTS

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
    """The lines of the complaint about a wrong file."""
    with pytest.raises(FlowFileError) as caught:
        parse_flow_file(text, "orders.yaml", components)
    assert caught.value.exit_code == 2
    return str(caught.value).splitlines()


def changed(*replacements: tuple[str, str]) -> str:
    """`GOOD` with texts replaced, each of which is there once."""
    text = GOOD
    for old, new in replacements:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text
