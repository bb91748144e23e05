"""How a step whose component is an artifact is started: through the node's cache, or by Nomad's artifact block."""

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from nomadflows.artifact.needs import NODE_CHECK
from nomadflows.render.process import launch
from tests.unit.render.example_flows import SITE as PLAIN_SITE
from tests.unit.render.example_flows import component

SITE = replace(PLAIN_SITE, artifacts="http://127.0.0.1:8646/artifacts")
SHA = "ab" * 32


@pytest.mark.parametrize(("language", "step"), [("python", "nomadflows.runtime"), ("node", "run.js")])
def test_a_shell_has_it_fetched_and_becomes_the_step(language, step):
    found = launch(component("shop", language=language, artifact=SHA, needs="python 3.11"), SITE)
    assert found.command[:2] == ("/bin/sh", "-c")
    assert found.command[2].endswith('exec "$@"')
    assert found.command[-1].endswith(step)
    assert (found.artifact, found.folder) == ("", "")
    assert found.fetched == {
        "NOMADFLOWS_ARTIFACT_URL": f"http://127.0.0.1:8646/artifacts/{SHA}.tar.gz",
        "NOMADFLOWS_ARTIFACT_SHA256": SHA,
        "NOMADFLOWS_ARTIFACT_NEEDS": "python 3.11",
        "NOMADFLOWS_COMPONENT_KEEP_DAYS": "30",
    }


def test_the_shell_marks_the_folder_as_used_and_starts_the_step_also_where_it_cannot(tmp_path):
    script = launch(component("shop", artifact=SHA), SITE).command[2]
    folder = tmp_path / "1.0.0"
    folder.mkdir()

    def started(place: Path) -> str:
        command = ["/bin/sh", "-c", script, "false", "node", "echo", "started"]
        variables = {"NOMADFLOWS_COMPONENT_DIR": str(place), "PATH": os.environ["PATH"]}
        return subprocess.run(command, env=variables, capture_output=True, text=True, check=False).stdout

    assert started(folder) == "started\n"
    assert (tmp_path / "1.0.0.used").exists()
    os.utime(tmp_path / "1.0.0.used", (1000, 1000))
    started(folder)
    assert (tmp_path / "1.0.0.used").stat().st_mtime > 1000
    (tmp_path / "1.0.0.used").unlink()
    (tmp_path / "1.0.0.used").mkdir()  # nothing can be written there
    assert started(folder) == "started\n"
    assert started(tmp_path / "missing") == ""


def test_what_opens_the_store_is_not_handed_on_to_the_step(tmp_path):
    script = launch(component("shop", artifact=SHA), SITE).command[2]
    variables = {
        "NOMADFLOWS_COMPONENT_DIR": str(tmp_path),
        "NOMADFLOWS_ARTIFACT_AUTHORIZATION": "Bearer robot",
        "PATH": os.environ["PATH"],
    }
    command = ["/bin/sh", "-c", script, "false", "node", "env"]
    assert "robot" not in subprocess.run(command, env=variables, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("by_nomad", [True, False])
def test_node_loads_what_was_packed_to_check_it(by_nomad):
    site = replace(SITE, fetched_by_nomad=by_nomad)
    found = launch(component("shop", language="node", artifact=SHA, check=NODE_CHECK, needs="node 20"), site)
    assert found.command[-4:-1] == ("node", "--require", f"./{NODE_CHECK}")
    assert found.fetched["NOMADFLOWS_ARTIFACT_NEEDS"] == "node 20"
    before = launch(component("shop", language="node", artifact=SHA, needs="node 20"), site)
    assert "--require" not in before.command


def test_nomad_fetches_it_with_its_digest():
    site = replace(SITE, fetched_by_nomad=True)
    found = launch(component("shop", language="node", artifact=SHA), site)
    assert found.artifact.endswith(f"/{SHA}.tar.gz")
    assert found.checksum == f"sha256:{SHA}"
    assert found.component_dir == found.folder
    assert "/bin/sh" not in found.command
    assert launch(component("log"), site).artifact == ""
