"""A new component version: deploy, draft, adjust, publish. What runs never changes by itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nomadflows.cli.root import run
from nomadflows.model.names import FlowRef
from nomadflows.store import requests
from tests.features.test_publish_under_load import NewCode, publish_under_load
from tests.world import World, eventually

pytestmark = pytest.mark.stack

CODE = """\
import os


def process(message, config, snapshot):
    descriptor = os.open(config["out"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(descriptor, f"{message.body.get('n', '')} %s {os.getpid()}\\n".encode())
    finally:
        os.close(descriptor)
    return {"body": message.body}
"""


class Repository:
    """One component as its developer has it: a folder that is changed, and deployed again."""

    def __init__(self, folder: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
        self.name, self._folder, self._capsys = name, folder / name, capsys
        self._folder.mkdir()

    def deploy(self, version: str) -> None:
        descriptor = {"title": "Speaker", "version": version, "triggers": {"hear": {"title": "Hear", "main": "speak"}}}
        descriptor["actions"] = {"speak": {"title": "Speak", "main": "speak"}}
        (self._folder / "component.json").write_text(json.dumps(descriptor))
        (self._folder / "speak.py").write_text(CODE % version)
        self.command("component", "deploy", str(self._folder))

    def command(self, *arguments: str, code: int = 0) -> str:
        self._capsys.readouterr()
        assert run(arguments) == code, self._capsys.readouterr().err
        return self._capsys.readouterr().out


@pytest.fixture
def repository(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[[str], Repository]:
    return lambda name: Repository(tmp_path, name, capsys)


def speaking(repository: Repository, out: Path, kind: str, use: str = "") -> dict[str, Any]:
    use = use or repository.name
    return {
        "kind": kind,
        **({"idle_after": "1s"} if kind == "ordinary" else {}),
        "steps": [
            {"id": "hear", "use": f"{use}:hear", "with": {"out": f"{out}-hear"}},
            {"id": "speak", "use": f"{use}:speak", "with": {"out": str(out)}, "map": {"n": "n"}},
        ],
    }


def heard(world: World, flow: FlowRef, out: Path, number: int) -> str:
    """Which version's code worked a message."""
    world.send(flow, range(number, number + 1), step="hear")
    world.all_arrive(out, range(number, number + 1))
    (line,) = [line for line in out.read_text().splitlines() if line.startswith(f"{number} ")]
    return line.split()[1]


@pytest.mark.parametrize("kind", ["ordinary", "realtime"])
def test_new_code_runs_once_a_draft_is_published_over_the_flow(
    world: World, tmp_path: Path, repository: Callable[[str], Repository], kind: str
) -> None:
    ours, out = repository(f"speaker-{kind}"), tmp_path / "out"
    world.start_controller()
    world.someone_leads()
    # Given a flow that runs version 1.0.0 of a component, by `latest`
    ours.deploy("1.0.0")
    flow = world.start_flow(f"redeployed-{kind}", speaking(ours, out, kind))
    assert heard(world, flow, out, 1) == "1.0.0"
    before = set(world.step_pids(flow))
    # When version 2.0.0 is deployed
    ours.deploy("2.0.0")
    # Then what runs goes on with version 1.0.0, in the same processes if it is real-time,
    assert heard(world, flow, out, 2) == "1.0.0"
    if kind == "realtime":
        assert set(world.step_pids(flow)) == before
    else:  # in new ones of the same version after a sleep
        world.flow_becomes(flow, "Sleeping")
        eventually("no process is left", lambda: not world.step_pids(flow))
        assert heard(world, flow, out, 3) == "1.0.0"
    # and the flow says that there is something newer
    shown = json.loads(ours.command("flow", "show", flow.flow, "-o", "json"))
    assert {(one["step"], one["newest"]) for one in shown["outdated"]} == {
        ("hear", f"{ours.name}@2.0.0"),
        ("speak", f"{ours.name}@2.0.0"),
    }
    assert flow.flow in ours.command("flow", "list", "--outdated")
    # When a draft is made and published
    assert "1.0.0 → 2.0.0" in ours.command("flow", "update-components", flow.flow)
    assert heard(world, flow, out, 4) == "1.0.0"  # a draft touches nothing
    said = ours.command("flow", "publish", flow.flow, "--wait")
    # Then the flow was restarted with the new code, and the warm-up of each step is told, mapper included
    assert "version 2; warm-up" in said
    steps = {line.split()[0]: line.split()[1] for line in said.splitlines()[2:]}
    assert steps == {"hear": f"{ours.name}@2.0.0", "mapper:hear:speak": "mapper@1.0.0", "speak": f"{ours.name}@2.0.0"}
    assert heard(world, flow, out, 5) == "2.0.0"
    assert not before & set(world.step_pids(flow))
    assert flow.flow not in ours.command("flow", "list", "--outdated")


def test_a_pinned_step_stays_until_its_draft_is_moved(
    world: World, tmp_path: Path, repository: Callable[[str], Repository]
) -> None:
    ours, out = repository("speaker-pinned"), tmp_path / "out"
    world.start_controller()
    world.someone_leads()
    ours.deploy("1.0.0")
    ours.deploy("1.1.0")
    flow = world.start_flow("pinned", speaking(ours, out, "realtime", use=f"{ours.name}@1.0.0"))
    # A version in use is not deleted; one that nobody uses is
    ours.command("component", "delete", f"{ours.name}@1.0.0", code=1)
    ours.command("component", "delete", f"{ours.name}@1.1.0")
    # The one that comes next is advised against: nobody is moved to it
    ours.deploy("1.2.0")
    ours.command("component", "deprecate", f"{ours.name}@1.2.0", "--why", "speaks too loud")
    assert "every step uses the newest version" in ours.command("flow", "update-components", flow.flow)
    # until the mark is taken away
    ours.command("component", "deprecate", f"{ours.name}@1.2.0", "--undo")
    ours.command("flow", "update-components", flow.flow)
    assert heard(world, flow, out, 1) == "1.0.0"
    ours.command("flow", "publish", flow.flow, "--strategy", "handover", "--wait")
    assert heard(world, flow, out, 2) == "1.2.0"
    # A stopped flow's newest version still names its component
    requests.stop(world.store, flow, by="test")
    world.flow_becomes(flow, "Stopped", 60)
    ours.command("component", "delete", f"{ours.name}@1.2.0", code=1)
    ours.command("component", "delete", f"{ours.name}@1.0.0")


@pytest.mark.parametrize("strategy", ["replace", pytest.param("handover", marks=pytest.mark.slow)])
def test_new_code_is_published_under_a_hundred_messages_a_second(world: World, tmp_path: Path, strategy: str) -> None:
    world.start_controller()
    world.someone_leads()
    code = NewCode(tmp_path, f"anew-{strategy}")
    found = publish_under_load(world, tmp_path / "out", strategy, times=3, rate=100, code=code)
    print(found)
    assert (found.lost, found.doubled) == (0, 0)
    assert found.rate >= 90
