"""Questions to components outside a flow, in Node and Python: each way they end is told apart."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nomadflows.cli.ask import NoResultError, ask
from nomadflows.cli.component import named
from nomadflows.cli.session import Session
from nomadflows.model.errors import WaitTimeout
from nomadflows.render.once import Question
from tests.world import World, eventually

pytestmark = pytest.mark.stack

DEPLOYED = {"node": ("node_probe", "node-probe"), "python": ("subscriber", "subscriber")}


def command(*words: str, code: int = 0) -> str:
    """What a command printed; on stderr if it failed."""
    done = subprocess.run(
        [sys.executable, "-m", "nomadflows", *words, "-o", "json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr
    return done.stderr if code else done.stdout


@pytest.mark.parametrize("language", ["node", pytest.param("python", marks=pytest.mark.slow)])
def test_a_component_answers_fails_says_nothing_or_hangs(world: World, tmp_path: Path, language: str) -> None:
    folder, name = DEPLOYED[language]
    world.install(folder)
    world.vault.set_credential("default", "good", {"token": "right"})
    world.vault.set_credential("default", "bad", {"token": "wrong"})
    world.start_controller()  # it serves the API to which results are posted
    world.someone_leads()
    # A result
    assert json.loads(command("component", "verify", name, "--credential", "good"))["verified"] is True
    assert "the token is not known" in command("component", "verify", name, "--credential", "bad", code=1)
    settings = tmp_path / "settings.json"
    settings.write_text('{"field": "colour"}')
    found = json.loads(command("component", "metadata", f"{name}:ask", "--config", str(settings)))
    assert found["in"]["properties"] == {"colour": {"type": "string"}}
    assert json.loads(command("component", "select", f"{name}:ask", "list", "--credential", "good")) == {
        "a": "List A of right"
    }
    # An error of the component, and a question that makes no sense
    settings.write_text('{"end": "error"}')
    said = command("component", "select", f"{name}:ask", "list", "--config", str(settings), code=1)
    assert "failed: the other side is closed" in said
    assert "no field 'colour'" in command("component", "select", f"{name}:ask", "colour", code=2)
    settings.write_text('{"table": "orders"}')
    said = command("component", "metadata", f"{name}:badMetadata", "--config", str(settings), code=1)
    assert "failed: no such table: orders" in said
    # Nothing at all, and nothing in time
    session = Session()
    component = named(session, name)
    question = Question("selectModel", "ask", "lists")
    with pytest.raises(NoResultError, match="ended without a result"):
        ask(session, component, question, {"end": "nothing"})
    began = time.monotonic()
    with pytest.raises(WaitTimeout, match="did not answer within 3 s"):
        ask(session, component, question, {"end": "hang"}, "good", limit_s=3)
    assert time.monotonic() - began < 30
    # Node's library asks the API for a credential, and gives it new keys
    if language == "node":
        world.vault.set_credential("default", "rotating", {"token": "right"})
        assert ask(session, component, question, {"end": "renew"}, "rotating") == {
            "a": "List A of right, as the API says"
        }
        assert world.vault.read_credential("default", "rotating") == {"token": "right", "refreshToken": "second"}
    # And nothing of any question is left
    assert [job.id for job in world.nomad.jobs("default", prefix="call-") if not job.stopped] == []
    assert world.store.client.names(f"{world.store.keys.prefix}/calls/") == []
    assert [name for name in world.vault.credential_names("default") if "call" in name] == []


@pytest.mark.slow
def test_a_credential_is_checked_by_the_component_that_uses_it(world: World) -> None:
    world.install("subscriber")
    world.deploy()
    world.vault.set_credential("default", "mine", {"token": "right"})
    world.start_controller()
    world.someone_leads()
    assert "which component" in command("credential", "verify", "mine", code=2)
    world.publish_flow(
        "uses-mine",
        {"steps": [{"id": "a", "use": "probe:receive"}, {"id": "b", "use": "subscriber:ask", "credential": "mine"}]},
    )
    assert json.loads(command("credential", "verify", "mine"))["component"].startswith("subscriber@")
    # The key of a question opens no flow's API, and is gone with it
    eventually("its job is gone", lambda: not [j for j in world.nomad.jobs("default", prefix="call-") if not j.stopped])
