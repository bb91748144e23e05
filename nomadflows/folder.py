"""What of a developer's folder is the component: its own files, within what a component may have.

Neither caches nor what an installation makes, no editor's leftovers, and no files that hold secrets by their nature: what
is packed is served to whoever knows its digest.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from nomadflows.artifact.archive import LIMITS, Limits
from nomadflows.model.errors import InputError

NPMRC: Final = ".npmrc"  # npm reads it at deploy; nobody else should
_NOT_CODE: Final = frozenset(
    {"__pycache__", "node_modules", ".git", ".hg", ".svn", ".DS_Store", ".venv", ".idea", ".vscode",
     ".mypy_cache", ".pytest_cache", ".ruff_cache"}
)  # fmt: skip
_SECRET: Final = (".env", ".env.*", NPMRC, ".yarnrc", ".yarnrc.yml", ".netrc", ".pypirc", ".ssh", ".aws")
_EDITORS: Final = (
    "*~",  # many
    "*.sw?", ".*.sw?", "4913",  # Vim, which tries with the latter whether a folder can be written
    ".#*", "#*#",  # Emacs
    ".*.kate-swp", "*___jb_tmp___", "*___jb_old___",
)  # fmt: skip
_LEFT_OUT: Final = (*_SECRET, *_EDITORS)


def files_of(folder: Path) -> Iterator[Path]:
    """In a fixed order. A file that goes while it is looked for is none."""
    for path in sorted(_walk(folder)):
        if path.is_file():
            yield path


def digest_of(folder: Path, also: str = "") -> str:
    """SHA-256 over names and contents, so that a changed file is a changed component."""
    sha = hashlib.sha256()
    for path in files_of(folder):
        sha.update(f"{path.relative_to(folder).as_posix()}\0{path.stat().st_size}\0".encode())
        with path.open("rb") as file:
            while piece := file.read(1 << 20):
                sha.update(piece)
    sha.update(also.encode())
    return f"sha256:{sha.hexdigest()}"


def check_folder(folder: Path, limits: Limits = LIMITS) -> None:
    """InputError for what is no component before anything of it is read: a link out of it (it would be packed as what it
    points to, which is not the component's), or more than a component may hold."""
    root, size, number = folder.resolve(), 0, 0
    for path in files_of(folder):
        if not path.resolve().is_relative_to(root):
            raise InputError(f"{path}: links to {path.resolve()}, outside of {folder}")
        size, number = size + path.stat().st_size, number + 1
        if size > limits.unpacked or number > limits.entries:
            raise InputError(
                f"{folder} is larger than a component may be; allowed: {limits.unpacked} bytes in {limits.entries} files",
                hint=f"{path} is one too many; data that grows does not belong into a component's folder",
            )


def copy_files(folder: Path, target: Path) -> None:
    """The component's own files, and nothing else."""
    for path in files_of(folder):
        there = target / path.relative_to(folder)
        there.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, there)


def _walk(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not _is_left_out(name)]
        yield from (Path(place, name) for name in files if not _is_left_out(name))


def _is_left_out(name: str) -> bool:
    return name in _NOT_CODE or any(fnmatchcase(name, pattern) for pattern in _LEFT_OUT)
