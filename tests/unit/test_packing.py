"""A component folder is read, refused or packed whole."""

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from nomadflows.artifact.archive import unpack
from nomadflows.artifact.needs import python_here
from nomadflows.model.descriptor import check_newer, dev_version
from nomadflows.model.errors import InputError, Refused
from nomadflows.packing import pack, read_component


def folder(tmp_path: Path, descriptor: object, **files: str) -> Path:
    made = tmp_path / "My_Connector"
    made.mkdir()
    (made / "component.json").write_text(json.dumps(descriptor))
    for name, text in files.items():
        (made / f"{name}.py").write_text(text)
    return made


GOOD = {"version": "1.2.0", "actions": {"send": {"main": "send"}}}


def test_a_python_folder_is_packed_by_its_content(tmp_path):
    source = folder(tmp_path, GOOD, send="def process(m, c, s): ...")
    (source / "__pycache__").mkdir()
    (source / "__pycache__" / "send.pyc").write_text("")
    found = read_component(source)
    made = pack(found, source, tmp_path / "one", sys.executable)
    assert made.ref == "my-connector@1.2.0"
    assert made.location["needs"] == f"python {sys.version_info.major}.{sys.version_info.minor}"
    unpack(tmp_path / "one", tmp_path / "there")
    assert sorted(path.name for path in (tmp_path / "there").iterdir()) == ["component.json", "send.py"]
    # The same content is the same file, whenever and by whom it is packed
    os.utime(source / "send.py", (1, 1))
    assert pack(found, source, tmp_path / "two", sys.executable) == made
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_link_out_of_the_folder_is_refused(tmp_path):
    source = folder(tmp_path, GOOD, send="")
    (tmp_path / "secret").write_text("x")
    (source / "data").symlink_to(tmp_path / "secret")
    with pytest.raises(InputError, match="outside of"):
        read_component(source)


def test_packages_that_lie_where_they_are_installed_are_refused(tmp_path):
    source = folder(tmp_path, GOOD, send="")
    (source / "requirements.txt").write_text("idna\n")
    (source / "_packages").mkdir()
    (source / "_packages" / "idna.py").write_text("")
    with pytest.raises(InputError, match="may not bring its own"):
        pack(read_component(source), source, tmp_path / "packed", sys.executable)


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


def test_compiled_code_needs_the_system_and_processor_it_was_made_for(tmp_path):
    source = folder(tmp_path, GOOD, send="")
    plain = pack(read_component(source), source, tmp_path / "packed", sys.executable)
    assert plain.location["needs"] == f"python {python_here()[0]}"
    (source / "fast.so").write_bytes(b"\x7fELF\x02")
    compiled = pack(read_component(source), source, tmp_path / "packed", sys.executable)
    assert compiled.location["needs"] == " ".join(["python", *python_here()])


@pytest.mark.parametrize(
    "version", ["1.0.0-a..b", "1.0.0-01", "1.0.0-", "1.0.0-a.", "01.0.0", "1.0.0+build", "1.0.0-ä", "v1.0.0", "1.0"]
)
def test_a_version_is_one_of_semver_org_without_a_build(tmp_path, version):
    with pytest.raises(InputError, match="is not of the form"):
        read_component(folder(tmp_path, {**GOOD, "version": version}, send=""))


@pytest.mark.parametrize("version", ["1.0.0-0", "1.0.0-alpha.1", "1.0.0-0a.-b", "1.0.0-rc-1", "10.20.30"])
def test_versions_of_semver_org(tmp_path, version):
    assert read_component(folder(tmp_path, {**GOOD, "version": version}, send="")).version == version


@pytest.mark.parametrize("version", ["1.0.0", "0.9.0", "1.1.0-beta.2"])
def test_only_a_higher_version_is_taken(version):
    with pytest.raises(Refused) as caught:
        check_newer("x", version, ["1.1.0", "1.0.0"])
    assert "1.1.0, 1.0.0" in str(caught.value)


def test_one_that_sorts_beside_another_is_not_higher():
    with pytest.raises(Refused, match="does not come after all it has"):
        check_newer("x", "1.0.0-1", ["1.0.0-01"])


def test_a_higher_version_is_taken():
    check_newer("x", "1.10.0", ["1.9.0"])
    check_newer("x", "0.0.1", [])


@pytest.mark.parametrize("version", ["1.2.0", "1.1.5"])
def test_numbers_of_deleted_versions_are_used(version):
    with pytest.raises(Refused, match=r"had a version 1\.2\.0, which was deleted"):
        check_newer("x", version, ["1.1.0"], "1.2.0")
    check_newer("x", "1.2.1", ["1.1.0"], "1.2.0")


@pytest.mark.parametrize(
    ("written", "known", "starts"),
    [
        ("1.0.0", [], "1.0.0-dev."),
        ("1.0.0", ["1.0.0"], "1.0.1-dev."),
        ("1.0.0", ["1.0.1-dev.20250101000000000000", "1.0.0"], "1.0.1-dev."),
        ("1.1.0", ["1.0.1-dev.20250101000000000000", "1.0.0"], "1.1.0-dev."),
        ("1.0.0", ["2.3.9", "1.0.0"], "2.3.10-dev."),
        ("1.1.0-beta.1", ["1.0.0"], "1.1.0-dev."),
    ],
)
def test_a_version_of_work_in_progress_comes_after_all_and_before_the_next_release(written, known, starts):
    found = dev_version(written, known, datetime(2026, 1, 31, tzinfo=UTC))
    assert found.startswith(starts)
    check_newer("x", found, known)
    check_newer("x", found.partition("-")[0], [*known, found])
