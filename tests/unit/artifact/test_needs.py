"""Whether a machine has what a component was made for, asked in Python and in Node."""

import shutil
import subprocess

import pytest

from nomadflows.artifact.needs import VARIABLE, node_check, python_here, refusal
from nomadflows.runtime.component import ComponentError, load


@pytest.mark.parametrize(
    ("needs", "problem"),
    [
        ("", ""),
        ("python 3.11", ""),
        ("python 3.11 linux-x86_64", ""),
        ("python 3.12", "was deployed for python 3.12, this node has 3.11 linux-x86_64"),
        ("python 3.11 linux-aarch64", "was deployed for python 3.11 linux-aarch64, this node has 3.11 linux-x86_64"),
    ],
)
def test_what_is_compiled_for_something_else_is_refused(needs, problem):
    assert refusal(needs, ("3.11", "linux-x86_64")).endswith(problem)
    assert bool(refusal(needs, ("3.11", "linux-x86_64"))) == bool(problem)


def test_every_start_of_a_python_step_asks(tmp_path, monkeypatch):
    (tmp_path / "component.json").write_text('{"actions": {"do": {"main": "made_for_another"}}}')
    (tmp_path / "made_for_another.py").write_text("def process(message, config, snapshot): ...")
    monkeypatch.setenv(VARIABLE, "python 2.7")
    with pytest.raises(ComponentError, match=r"deployed for python 2\.7"):
        load(str(tmp_path), "do")
    monkeypatch.setenv(VARIABLE, " ".join(["python", *python_here()]))
    load(str(tmp_path), "do")


@pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed")
def test_node_asks_before_it_loads_the_component(tmp_path):
    def started(needs: str) -> tuple[int, str]:
        (tmp_path / "check.js").write_text(node_check(needs))
        command = ["node", "--require", str(tmp_path / "check.js"), "-e", "console.log('runs')"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    about = subprocess.run(["node", "-p", "process.version"], capture_output=True, text=True, check=True).stdout
    major = about.strip().removeprefix("v").partition(".")[0]
    assert started(f"node {major}") == (0, "runs\n")
    code, said = started("node 4 linux-vax")
    assert code == 1
    assert "deployed for node 4 linux-vax, this node has" in said
    assert "runs" not in said
