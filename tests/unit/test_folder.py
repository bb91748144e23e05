"""What of a folder is the component, and what never leaves its developer's machine."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from nomadflows.artifact.archive import Limits
from nomadflows.folder import check_folder, copy_files, digest_of, files_of
from nomadflows.model.errors import InputError

OURS = ["component.json", "lib/send.py", "lib/data/.keep", "environment.py", "a.env.example"]
NOT_OURS = [
    ".env", ".env.production", "lib/.env", ".npmrc", "lib/.npmrc", ".netrc", ".pypirc", ".yarnrc.yml", ".ssh/id_rsa",
    ".send.py.swp", "lib/.send.py.swo", "send.py~", "4913", ".#send.py", "#send.py#", ".send.py.kate-swp",
    "send.py___jb_tmp___", "__pycache__/send.pyc", "node_modules/x/index.js", ".git/config", ".venv/bin/python",
    ".vscode/settings.json", ".mypy_cache/x",
]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in [*OURS, *NOT_OURS]:
        file = tmp_path / "shop" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
    return tmp_path / "shop"


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in files_of(folder))


def test_secrets_leftovers_of_editors_and_caches_are_not_the_component(folder: Path, tmp_path: Path):
    assert names(folder) == sorted(OURS)
    copy_files(folder, tmp_path / "copy")
    found = sorted(p.relative_to(tmp_path / "copy").as_posix() for p in (tmp_path / "copy").rglob("*") if p.is_file())
    assert found == sorted(OURS)


def test_to_open_a_file_in_an_editor_changes_nothing(folder: Path):
    before = digest_of(folder)
    (folder / "lib" / ".send.py.swp").write_text("opened")
    (folder / "lib" / ".#send.py").symlink_to("me@here.1")
    assert digest_of(folder) == before
    (folder / "lib" / "send.py").write_text("saved")
    assert digest_of(folder) != before


def test_a_digest_is_of_names_sizes_and_contents(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"x" * 3_000_000)
    wanted = hashlib.sha256(b"a\x003000000\x00" + b"x" * 3_000_000 + b"python 3.11").hexdigest()
    assert digest_of(tmp_path, also="python 3.11") == f"sha256:{wanted}"


@pytest.mark.parametrize("limits", [Limits(unpacked=60), Limits(entries=4)])
def test_what_is_too_large_is_refused_before_it_is_read(folder: Path, limits: Limits):
    check_folder(folder)
    with pytest.raises(InputError, match="larger than a component may be"):
        check_folder(folder, limits)


def test_a_file_with_holes_counts_as_large_as_it_says(tmp_path: Path):
    with (tmp_path / "data").open("wb") as file:
        os.ftruncate(file.fileno(), 1 << 40)
    with pytest.raises(InputError, match="data is one too many"):
        check_folder(tmp_path)


def test_a_link_out_is_refused_and_one_within_is_not(folder: Path, tmp_path: Path):
    (folder / "same").symlink_to("environment.py")
    check_folder(folder)
    (tmp_path / "secret").write_text("x")
    (folder / "data").symlink_to(tmp_path / "secret")
    with pytest.raises(InputError, match="outside of"):
        check_folder(folder)
