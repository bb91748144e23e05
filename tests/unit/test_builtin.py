"""The shipped folders are found both in a checkout and in a wheel."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nomadflows import builtin
from nomadflows.model.errors import NomadflowsError


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(builtin, "_PACKAGE", tmp_path / "nomadflows")
    folder = tmp_path / "nomadflows" / "_data" / "components" / "timer"
    folder.mkdir(parents=True)
    (folder / "component.json").write_text(
        json.dumps(
            {
                "title": "Timer",
                "version": "1.2.0",
                "triggers": {"tick": {"title": "Tick", "type": "polling"}},
            }
        )
    )
    (folder / "timer.py").write_text("def process(): ...\n")
    return tmp_path


def test_components_of_a_wheel(wheel: Path) -> None:
    (timer,) = builtin.builtin_components()
    assert timer.ref == "timer@1.2.0"
    assert timer.location == {"builtin": "timer"}
    assert timer.language == "python"
    assert timer.is_polling("tick")
    assert builtin.builtin_dir("timer") == wheel / "nomadflows/_data/components/timer"


def test_checkout_is_used_where_there_is_no_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builtin, "_PACKAGE", tmp_path / "nomadflows")
    (tmp_path / "jobspecs").mkdir()
    assert builtin.data_dir("jobspecs") == tmp_path / "jobspecs"


def test_digest_changes_with_the_code_and_not_with_caches(wheel: Path) -> None:
    folder = builtin.builtin_dir("timer")
    (before,) = builtin.builtin_components()
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "timer.cpython-311.pyc").write_bytes(b"x")
    assert builtin.builtin_components() == [before]
    (folder / "timer.py").write_text("def process(): return 1\n")
    assert builtin.builtin_components()[0].digest != before.digest


def test_absent_folder_and_absent_component_are_told(wheel: Path) -> None:
    with pytest.raises(NomadflowsError, match="lacks its folder 'jobspecs'"):
        builtin.data_dir("jobspecs")
    with pytest.raises(NomadflowsError, match="no built-in component 'tmier'") as raised:
        builtin.builtin_dir("tmier")
    assert raised.value.hint == "built in: timer"


def test_descriptor_must_state_its_version(wheel: Path) -> None:
    (builtin.builtin_dir("timer") / "component.json").write_text("{}")
    with pytest.raises(NomadflowsError, match="version"):
        builtin.builtin_components()
