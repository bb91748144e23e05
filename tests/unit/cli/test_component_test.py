"""`component test`: what it prints, how it ends, what it never prints."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SOURCE = """
import logging
from nomadflows.runtime import HttpReply, Message, Rebound, Snapshot

def init(config):
    if config.get("broken"):
        raise RuntimeError("cannot log in with " + config["token"])

def poll(message, config, snapshot):
    number = snapshot.get("n", 0) + 1
    yield {"n": number}
    yield Snapshot({"n": number})

def store(message, config, snapshot, context):
    print("printed", message.body)
    context.logger.info("by %s", config.get("token"))
    if message.body.get("later"):
        raise Rebound("busy")
    if message.body.get("bad"):
        raise ValueError("refused: " + config.get("token", "no token"))
    yield HttpReply({"id": 1}, 201)
    yield Message({**message.body, "region": context.variables.get("region")}, {"h": "1"})
"""
DESCRIPTOR = {
    "version": "1.0.0",
    "triggers": {"poll": {"main": "orders.py:poll", "type": "polling"}},
    "actions": {"store": {"main": "orders.py:store"}},
}
SECRET = "s3cret-token"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "orders").mkdir()
    (tmp_path / "orders" / "orders.py").write_text(SOURCE)
    (tmp_path / "orders" / "component.json").write_text(json.dumps(DESCRIPTOR))
    (tmp_path / "secret.json").write_text(json.dumps({"token": SECRET}))
    return tmp_path / "orders"


def command(folder: Path, *words: str, stdin: str = "") -> tuple[int, str, str]:
    """By a process of its own, since a component's modules stay loaded."""
    done = subprocess.run(
        [sys.executable, "-m", "nomadflows", "component", "test", str(folder), *words],
        capture_output=True, text=True, input=stdin, cwd=folder.parent, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def answer(folder: Path, *words: str, stdin: str = "") -> tuple[int, Any]:
    code, out, err = command(folder, *words, "-o", "json", stdin=stdin)
    assert out, err
    return code, json.loads(out)


def test_a_trigger_gets_ticks_and_keeps_its_state(folder: Path) -> None:
    (folder.parent / "state.json").write_text('{"n": 4}')
    code, found = answer(folder, "--function", "poll", "--snapshot", "state.json", "--times", "2")
    assert (code, [message["body"] for message in found["data"]]) == (0, [{"n": 5}, {"n": 6}])
    assert found["snapshot"] == {"n": 6}
    assert (found["errors"], found["rebounds"], found["replies"]) == ([], [], [])


def test_an_action_gets_its_message_and_people_see_a_table(folder: Path) -> None:
    code, out, err = command(folder, "-f", "store", "-m", "-", "--variable", "region=eu", stdin='{"n": 1}')
    assert code == 0
    assert [line.split(None, 1) for line in out.splitlines()] == [
        ["EVENT", "CONTENT"],
        ["reply", '{"status": 201, "headers": {}, "body": {"id": 1}}'],
        ["data", '{"body": {"n": 1, "region": "eu"}, "headers": {"h": "1"}}'],
    ]
    # And what the component prints and logs is not among it
    assert "printed {'n': 1}" in err
    assert "INFO component: by None" in err


def test_a_rebound_is_no_failure(folder: Path) -> None:
    code, found = answer(folder, "-f", "store", "-m", "-", stdin='{"body": {"later": true}}')
    assert (code, found["rebounds"], found["data"]) == (0, [{"reason": "busy"}], [])


def test_an_error_is_shown_with_its_place_and_without_the_credential(folder: Path) -> None:
    words = ("-f", "store", "-m", "-", "--credential", "secret.json")
    code, out, err = command(folder, *words, stdin='{"bad": 1}')
    assert code == 1
    assert "error  ValueError: refused: ***" in out
    assert 'orders.py", line 20, in store' in out
    assert "by ***" in err
    assert SECRET not in out + err
    code, found = answer(folder, *words, stdin='{"bad": 1}')
    assert (code, found["errors"][0]["message"]) == (1, "refused: ***")


def test_a_component_that_does_not_start_is_told_without_the_credential(folder: Path) -> None:
    (folder.parent / "config.json").write_text('{"broken": true}')
    code, out, err = command(folder, "-f", "poll", "--config", "config.json", "--credential", "secret.json")
    assert (code, out) == (1, "")
    assert err.endswith("Error: it does not start: RuntimeError: cannot log in with ***\n")


@pytest.mark.parametrize(("words", "stdin", "said"), [
    (("-f", "stor"), "", "no trigger or action 'stor'; it has: store, poll"),
    (("-f", "poll", "-m", "-"), "{", "--message: <stdin> is not JSON"),
    (("-f", "poll", "-m", "-"), "[1]", "--message: <stdin> holds no JSON object"),
    (("-f", "poll", "-m", "none.json"), "", "No such file"),
    (("-f", "poll", "--variable", "region"), "", "'region' is not NAME=TEXT"),
    ((), "", "--function"),
])  # fmt: skip
def test_bad_input_ends_with_2(folder: Path, words: tuple[str, ...], stdin: str, said: str) -> None:
    code, out, err = command(folder, *words, stdin=stdin)
    assert (code, out) == (2, "")
    assert said in err


def test_a_node_component_and_a_broken_descriptor_are_refused(folder: Path) -> None:
    (folder / "component.json").write_text(json.dumps({**DESCRIPTOR, "actions": {"store": {"main": "gone.py"}}}))
    assert command(folder, "-f", "poll")[0::2] == (2, "component.json: actions.store: there is no file gone.py\n")
    (folder / "package.json").write_text("{}")
    code, _, err = command(folder, "-f", "poll")
    assert (code, "runs Python ones" in err) == (2, True)


def test_packages_of_requirements_are_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The installation itself is the deploy's, and tested there; here it is replaced by a copy."""
    from nomadflows import dependencies, packing
    from nomadflows.cli.root import run

    def install(made: Path, *_: object) -> None:
        (made / dependencies.PACKAGES).mkdir()
        (made / dependencies.PACKAGES / "wanted_package.py").write_text("there = True")

    monkeypatch.setattr(packing, "install_python", install)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (folder / "requirements.txt").write_text("wanted-package\n")
    (folder / "needy.py").write_text(
        "import wanted_package\ndef process(m, c, s): return {'there': wanted_package.there}"
    )
    (folder / "component.json").write_text(json.dumps({"version": "1.0.0", "actions": {"act": {"main": "needy.py"}}}))
    assert run(["component", "test", str(folder), "-f", "act"]) == 0
    assert not (folder / dependencies.PACKAGES).exists()
    for name in ("needy", "wanted_package"):
        del sys.modules[name]
