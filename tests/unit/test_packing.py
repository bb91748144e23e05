"""A component folder is read, refused or installed whole."""

import json
from pathlib import Path

import pytest

from nomadflows.model.descriptor import check_newer
from nomadflows.model.errors import InputError, Refused
from nomadflows.packing import install, read_component, uninstall


def folder(tmp_path: Path, descriptor: object, **files: str) -> Path:
    made = tmp_path / "My_Connector"
    made.mkdir()
    (made / "component.json").write_text(json.dumps(descriptor))
    for name, text in files.items():
        (made / f"{name}.py").write_text(text)
    return made


GOOD = {"version": "1.2.0", "actions": {"send": {"main": "send"}}}


def test_a_python_folder_is_installed_by_its_content(tmp_path):
    source = folder(tmp_path, GOOD, send="def process(m, c, s): ...")
    (source / "__pycache__").mkdir()
    (source / "__pycache__" / "send.pyc").write_text("")
    found = read_component(source)
    made = install(found, source, tmp_path / "home")
    place = Path(made.location["path"])
    assert made.ref == "my-connector@1.2.0"
    assert place.parent == tmp_path / "home" / "components" / "my-connector"
    assert sorted(path.name for path in place.iterdir()) == ["component.json", "send.py"]
    assert install(found, source, tmp_path / "home") == made
    assert [p.name for p in place.parent.iterdir()] == [place.name]
    uninstall(made, tmp_path / "home")
    assert not place.exists()


def test_what_was_not_installed_is_not_removed(tmp_path):
    source = folder(tmp_path, GOOD, send="")
    elsewhere = read_component(source)
    uninstall(elsewhere, tmp_path / "home")
    assert source.is_dir()


@pytest.mark.parametrize(
    ("descriptor", "said"),
    [
        ({"actions": {"send": {"main": "send"}}}, "version is missing"),
        ({"version": "1.2", "actions": {"send": {"main": "send"}}}, "'1.2' is not of the form"),
        ({"version": "1.2.0"}, "neither a trigger nor an action"),
        ({"version": "1.2.0", "actions": {"send": {}}}, "actions.send: `main` is missing"),
        ({"version": "1.2.0", "actions": {"send": {"main": "lost"}}}, "there is no file lost"),
        ({**GOOD, "triggers": {"send": {"main": "send"}}}, "is a trigger and an action"),
        ({**GOOD, "language": "cobol"}, "unknown language 'cobol'"),
        ({**GOOD, "language": "nodejs"}, "needs a package.json"),
        ([], "expected a JSON object"),
    ],
)
def test_what_is_wrong_with_a_folder_is_said(tmp_path, descriptor, said):
    with pytest.raises(InputError, match=said.replace("(", r"\(")):
        read_component(folder(tmp_path, descriptor, send=""))


def test_a_node_component_must_depend_on_the_library(tmp_path):
    source = folder(tmp_path, {"actions": {"send": {"main": "./send.py"}}}, send="")
    (source / "package.json").write_text('{"version": "1.0.0"}')
    with pytest.raises(InputError, match="elasticio-sailor-nodejs is not among"):
        read_component(source)


def test_names_are_those_a_flow_can_spell(tmp_path):
    source = folder(tmp_path, GOOD, send="")
    assert read_component(source, "other").name == "other"
    with pytest.raises(InputError, match="not a component name"):
        read_component(source, "Über")


@pytest.mark.parametrize("version", ["1.0.0", "0.9.0", "1.1.0-beta.2"])
def test_only_a_higher_version_is_taken(version):
    with pytest.raises(Refused) as caught:
        check_newer("x", version, ["1.1.0", "1.0.0"])
    assert "1.1.0, 1.0.0" in str(caught.value)


def test_a_higher_version_is_taken():
    check_newer("x", "1.10.0", ["1.9.0"])
    check_newer("x", "0.0.1", [])
