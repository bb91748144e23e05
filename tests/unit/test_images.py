"""What an image says of itself, without an engine."""

import os
import tomllib
from pathlib import Path

import pytest

from nomadflows import dependencies, images
from nomadflows.model.errors import InputError, NomadflowsError
from nomadflows.settings import Settings

DIGEST = "sha256:" + "0f" * 32


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("edi", "edi"),
        ("edi:1.0", "edi"),
        ("localhost:5000/team/edi", "localhost:5000/team/edi"),
        (f"registry.example:5000/edi:1.0@{DIGEST}", "registry.example:5000/edi"),
    ],
)
def test_name_of_an_image(reference, name):
    assert images.repository(reference) == name


def test_the_content_is_recorded_by_the_registry_it_came_from():
    about = {"Id": "sha256:aa", "RepoDigests": [f"other.example/edi@{DIGEST}", "edi.example/edi@sha256:bb"]}
    assert images._pinned("edi.example/edi:1.0", about) == ("edi.example/edi@sha256:bb", "sha256:bb")
    assert images._pinned("edi:1.0", about) == ("sha256:aa", "sha256:aa")


@pytest.mark.parametrize(
    ("descriptor", "package", "language"),
    [
        ({}, None, "python"),
        ({}, {}, "node"),
        ({"language": "nodejs"}, None, "node"),
        ({"language": "java"}, None, "image"),
    ],
)
def test_language_of_an_image(descriptor, package, language):
    assert images._language(descriptor, package) == language


@pytest.mark.parametrize("reference", ["--privileged", "a b", "edi\n:1"])
def test_what_is_no_reference_never_reaches_docker(reference):
    with pytest.raises(InputError):
        images.read_image(reference)


@pytest.mark.parametrize(
    ("settings", "version"),
    [
        ({"Labels": {"nomadflows.python": "3.11"}, "Env": ["PYTHON_VERSION=3.9.1"]}, "3.11"),
        ({"Labels": None, "Env": ["A=b=c", "PYTHON_VERSION=3.12.1"]}, "3.12.1"),
        ({"Env": None}, ""),
    ],
)
def test_an_image_says_which_python_it_has_without_being_started(settings, version):
    assert images._runtime_of("python", settings) == version


class Engine:
    """A Docker that has a base image with Python 3.9 for ARM, and keeps what it is to build."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[tuple[str, ...]] = []
        self.modes: dict[str, int] = {}
        self.commands: list[list[str]] = []
        monkeypatch.setattr(images, "_docker", self._docker)
        monkeypatch.setattr(dependencies, "_run", lambda command, *_: self.commands.append(command))

    def _docker(self, *arguments: str, **_: float) -> bytes:
        self.asked.append(arguments)
        if "missing:1" in arguments:
            raise NomadflowsError("no such image")
        if arguments[0] == "build":
            context = Path(arguments[-1])
            self.modes = {
                path.relative_to(context).as_posix(): path.stat().st_mode & 0o777
                for path in [context, *context.rglob("*")]
            }
        return b"3.9 aarch64\n" if arguments[0] == "run" else b""


@pytest.mark.parametrize("uv", ["uv", None])
def test_packages_are_chosen_for_the_python_of_the_base_image(tmp_path, monkeypatch, uv):
    engine = Engine(monkeypatch)
    monkeypatch.setattr(dependencies, "_uv", lambda: uv)
    images.build_image(component(tmp_path), "", "base:1", "", "node")
    [command] = engine.commands
    assert command[command.index("--python-version") + 1] == "3.9"
    assert any("manylinux_2_28" in word and "aarch64" in word for word in command)
    run = next(asked for asked in engine.asked if asked[0] == "run")
    assert "--network=none" in run
    build = next(asked for asked in engine.asked if asked[0] == "build")
    assert "--label=nomadflows.python=3.9" in build


def test_a_base_image_that_is_not_there_is_missed_only_without_a_dockerfile(tmp_path, monkeypatch):
    engine = Engine(monkeypatch)
    folder = component(tmp_path)
    with pytest.raises(NomadflowsError, match="missing:1 does not say which python it has: no such image"):
        images.build_image(folder, "", "missing:1", "", "node")
    (folder / "Dockerfile").write_text("FROM python:3.12")
    images.build_image(folder, "", "missing:1", "", "node")
    assert "--python-version" not in engine.commands[0]


def test_whoever_runs_it_in_a_container_may_read_it(tmp_path, monkeypatch):
    engine = Engine(monkeypatch)
    before = os.umask(0o077)
    try:
        folder = component(tmp_path)
        (folder / "lib").mkdir()
        (folder / "lib" / "tool.sh").write_text("")
        (folder / "lib" / "tool.sh").chmod(0o700)
        images.build_image(folder, "", "base:1", "", "node")
    finally:
        os.umask(before)
    assert engine.modes == {
        ".": 0o755, "component.json": 0o644, "do.py": 0o644, "requirements.txt": 0o644,
        "lib": 0o755, "lib/tool.sh": 0o755,
    }  # fmt: skip


def component(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "component.json").write_text('{"version": "1.0.0", "actions": {"do": {"main": "do"}}}')
    (folder / "do.py").write_text("def process(message, config, snapshot): ...")
    (folder / "requirements.txt").write_text("tiny")
    return folder


def test_the_base_image_is_the_one_the_script_makes():
    project = tomllib.loads(Path("pyproject.toml").read_text())
    assert Settings().base_image == f"nomadflows/base:{project['project']['version']}"


@pytest.fixture
def docker(tmp_path, monkeypatch):
    """Puts a script in Docker's place."""

    def write(script: str) -> None:
        (tmp_path / "docker").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "docker").chmod(0o755)

    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return write


def test_of_a_file_of_an_image_that_never_ends_no_more_is_read_than_may_be(docker, monkeypatch):
    monkeypatch.setattr(images, "_LARGEST_OUTPUT", 10_000)
    docker("exec cat /dev/zero")
    with pytest.raises(NomadflowsError, match="`docker cp` printed more than 10000 bytes"):
        images._file("container", "/component.json")


def test_a_command_that_never_ends_is_ended(docker):
    docker("exec sleep 60")
    with pytest.raises(NomadflowsError, match="`docker cp` did not end within 0 s"):
        images._docker("cp", seconds=0.3)


def test_what_docker_says_is_told(docker):
    docker("echo a; echo cannot connect >&2; exit 1")
    with pytest.raises(NomadflowsError, match="`docker ps` failed: cannot connect") as caught:
        images._docker("ps")
    assert "DOCKER_HOST" in caught.value.hint
    docker("echo a")
    assert images._docker("ps") == b"a\n"
