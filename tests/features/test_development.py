"""`run --dev`: what is saved runs a moment later, and every step's log is in one view."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from nomadflows.model.names import FlowRef
from tests.world import World, eventually

pytestmark = pytest.mark.stack

CODE = """\
def process(message, config, snapshot):
    print("{word} from " + config["place"])
    return {{"body": {{}}}}
"""
FLOW = """\
flow: in-work
kind: realtime
steps:
  - {{id: first, use: "worker:tick", with: {{place: {place}}}}}
  - {{id: second, use: "worker:pass", with: {{place: second}}}}
"""


def test_what_is_saved_is_taken_up(world: World, tmp_path: Path) -> None:
    world.start_controller()
    world.someone_leads()
    # Given a flow file with a component beside it, neither deployed nor applied
    folder = tmp_path / "components" / "worker"
    folder.mkdir(parents=True)
    entry = {"main": "work", "type": "polling", "fields": {"place": {"label": "Place"}}}
    descriptor = {"version": "1.0.0", "triggers": {"tick": entry}, "actions": {"pass": entry}}
    (folder / "component.json").write_text(json.dumps(descriptor))
    (folder / "work.py").write_text(CODE.format(word="one"))
    file = tmp_path / "flow.yaml"
    file.write_text(FLOW.format(place="first"))
    shown = (tmp_path / "shown").open("w+b")
    command = subprocess.Popen(
        [sys.executable, "-m", "nomadflows", "run", "--dev", str(file)],
        stdout=shown, stderr=shown, env={**os.environ, "PYTHONUNBUFFERED": "1"},
        # Where the tests run in the background, SIGINT is ignored, and would be here too.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )  # fmt: skip

    def said(text: str) -> None:
        eventually(f"{text!r} is shown", lambda: text in (tmp_path / "shown").read_text(), 60)

    try:
        # Then it runs, and the logs of both steps are shown
        said("one from first")
        said("one from second")
        # When code is saved, the new code runs
        said("Watching")
        (folder / "work.py").write_text(CODE.format(word="another"))
        said("another from second")
        # When the flow file is saved, the new settings hold
        file.write_text(FLOW.format(place="elsewhere"))
        said("another from elsewhere")
        # When something is saved that cannot be, it is said, and what runs runs on
        file.write_text("flow: in-work\nstpes: []\n")
        said("Not taken up")
        assert command.poll() is None
    finally:
        command.send_signal(signal.SIGINT)
        code = command.wait(20)
        shown.close()
        world.flow_is_there(FlowRef(world.settings.workspace, "in-work"))
    assert code == 0, (tmp_path / "shown").read_text()
    # No version of work in progress is left but the one that runs
    assert len(world.store.component_versions("worker")) == 1
