"""Which driver, command and image a step gets, and what no job spec may name."""

from dataclasses import replace

import pytest

from nomadflows.model.errors import InputError
from nomadflows.render.process import Launch, check_network, launch
from tests.unit.render.example_flows import SITE, component

DIGEST = "sha256:" + "0f" * 32
PYTHON = ("python3", "-m", "nomadflows.runtime")


def test_folders_are_processes_and_images_containers():
    assert launch(component("shop", path="/srv/shop"), SITE).driver == "raw_exec"
    found = launch(component("shop", image=DIGEST, dir="/component"), SITE)
    assert found == Launch("docker", PYTHON, "/component", "/component", DIGEST)


def test_a_language_of_its_own_is_started_by_its_image():
    found = launch(component("shop", language="image", image=DIGEST, dir="/app"), SITE)
    assert found.command == ()
    assert found.folder == ""


def test_built_in_components_are_containers_where_the_cluster_has_an_image_of_them():
    site = replace(SITE, builtin_image="registry.example:5000/nomadflows/base:0.1.0")
    found = launch(component("files"), site)
    assert (found.driver, found.component_dir) == ("docker", "/opt/nomadflows/components/files")
    assert launch(component("shop", path="/srv/shop"), site).driver == "raw_exec"


@pytest.mark.parametrize("image", ["nomadflows/base", "nomadflows/base:latest", "host:5000/base", "", "A B:1", "x:1\n"])
def test_an_image_that_may_change_or_makes_no_sense_is_refused(image):
    site = replace(SITE, builtin_image=image or " ")
    with pytest.raises(InputError):
        launch(component("files"), site)


@pytest.mark.parametrize(
    "location", [{"image": "--privileged"}, {"image": DIGEST, "dir": "component"}, {"image": DIGEST, "dir": "/${HOME}"}]
)
def test_hostile_locations_are_refused(location):
    with pytest.raises(InputError):
        launch(component("shop", **location), SITE)


def test_no_step_joins_the_network_of_another_container():
    with pytest.raises(InputError):
        check_network(replace(SITE, network="container:vault"))
