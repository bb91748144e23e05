"""Large bodies and attachments on real servers: from a form's file through Node and Python to a large answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import requests as http

from tests.gateways import builtins, free_port, gateway
from tests.world import World, command, eventually

pytestmark = pytest.mark.stack

LARGE = 3_000_000


def settled(path: Path) -> list[Any]:
    """What a step wrote, a line for each message."""
    text = eventually(f"{path.name} is written", lambda: path.exists() and path.read_text())
    return [json.loads(line) for line in text.splitlines()]


def test_large_bodies_and_files_pass_between_node_and_python(world: World, tmp_path: Path) -> None:
    world.deploy()
    world.install("node_probe")
    builtins(world)
    world.start_controller()
    first, stored, second = tmp_path / "first", tmp_path / "stored", tmp_path / "second"
    steps = [
        {"id": "receive", "use": "webhook:receive", "with": {"reply_timeout": 60}},
        {"id": "look", "use": "probe:look", "with": {"out": str(first)}},
        {"id": "store", "use": "node-probe:store", "with": {"out": str(stored)}},
        {"id": "grow", "use": "node-probe:large", "with": {"bytes": str(LARGE)}},
        {"id": "again", "use": "probe:look", "with": {"out": str(second)}},
        {"id": "tell", "use": "node-probe:large"},
        {"id": "answer", "use": "node-probe:answer"},
    ]
    port = free_port()
    with gateway(world, port):
        world.start_flow("large", {"idle_after": "60s", "steps": steps})
        # When a form with a file comes
        files = {"f": ("lines.csv", b"a;b\n1;2\n", "text/csv")}
        answer = http.post(f"http://127.0.0.1:{port}/hook/default/large", data={"n": "7"}, files=files, timeout=90)
        # Then a Python step reads the file, and so does one of Node, with what the Python step added
        assert settled(first)[0]["attachments"] == {"lines.csv": ["text/csv", "a;b\n1;2\n"]}
        found = settled(stored)[0]
        assert found.pop("attachments") == {"lines.csv": [8, "a;b\n1;2\n"], "added": [9, "by Python"]}
        # And the client library of elastic.io finds the store that it knows
        assert found == {
            "one": {"a": 2}, "headers": ["g-7", "1", "red", "application/json"], "listed": [True], "left": [],
            "gone": 404, "stream": 2 << 20, "put": 200, "got": "a;b\n",
        }  # fmt: skip
        # And a large body of Node is read by Python, one of Python by Node, and the answer is whole
        assert settled(second)[0]["size"] == LARGE
        assert answer.status_code == 201
        body = answer.json()
        assert (len(body["text"]), body["seen"]) == (LARGE, LARGE)
        assert body["earlier"]["grow"] == LARGE
        assert not [name for name in answer.headers if name.startswith("x-ipaas")]


def test_a_failed_message_is_shown_and_retried_with_its_large_body(world: World, tmp_path: Path) -> None:
    world.deploy()
    world.start_controller()
    out = tmp_path / "missing" / "out"
    steps = [
        {"id": "receive", "use": "probe:receive"},
        {
            "id": "grow",
            "use": "jsonata:transform",
            "with": {"expression": f'{{"n": n, "text": $pad("", {LARGE}, "x")}}'},
        },
        {"id": "look", "use": "probe:look", "with": {"out": str(out)}},
    ]
    flow = world.start_flow("large-error", {"idle_after": "60s", "steps": steps})
    # Given a step that fails on a large message
    world.send(flow, range(1))
    (listed,) = eventually("the error is listed", lambda: command("flow", "errors", "large-error", "--each"))
    # Then it is shown with its body, which is not in the record
    shown = command("flow", "errors", "large-error", listed["id"])
    assert (len(shown["input"]["body"]["text"]), shown["problem"]) == (LARGE, "")
    # And when the cause is away, it is retried
    out.parent.mkdir()
    assert command("flow", "retry", "large-error", listed["id"]) == {"retried": 1}
    assert settled(out)[0]["size"] == LARGE
