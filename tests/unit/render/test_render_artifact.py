"""How a step whose component is an artifact is started: through the node's cache, or by Nomad's artifact block."""

from dataclasses import replace

import pytest

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
    }


def test_nomad_fetches_it_with_its_digest():
    site = replace(SITE, fetched_by_nomad=True)
    found = launch(component("shop", language="node", artifact=SHA), site)
    assert found.artifact.endswith(f"/{SHA}.tar.gz")
    assert found.checksum == f"sha256:{SHA}"
    assert found.component_dir == found.folder
    assert "/bin/sh" not in found.command
    assert launch(component("log"), site).artifact == ""
