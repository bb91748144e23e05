"""What an image says of itself, without an engine."""

import tomllib
from pathlib import Path

import pytest

from nomadflows import images
from nomadflows.model.errors import InputError
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


def test_the_base_image_is_the_one_the_script_makes():
    project = tomllib.loads(Path("pyproject.toml").read_text())
    assert Settings().base_image == f"nomadflows/base:{project['project']['version']}"
