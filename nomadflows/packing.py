"""A component folder becomes a component version: read, refused or packed, addressed by its content.

What is packed is complete: nothing is installed where it runs. It knows files, no server.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from nomadflows.artifact import archive
from nomadflows.artifact.needs import NODE_CHECK, node_check
from nomadflows.dependencies import (
    Elsewhere,
    install_node,
    install_python,
    node_platform,
    node_version,
    python_platform,
    python_version,
)
from nomadflows.hooks import functions_with_hooks
from nomadflows.model.component import ComponentVersion
from nomadflows.model.descriptor import SAILOR, component_name, language_of, problems, version_of
from nomadflows.model.errors import InputError
from nomadflows.model.states import timestamp, utc_now

Json = dict[str, Any]

_COMPILED: Final = (b"\x7fELF", b"\xcf\xfa\xed\xfe")  # how programs and libraries of Linux and macOS begin
_NOT_CODE: Final = frozenset({"__pycache__", "node_modules", ".git", ".DS_Store", ".venv"})


def files_of(folder: Path) -> Iterator[Path]:
    """What makes a component, in a fixed order: neither caches nor what an installation puts there."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not _NOT_CODE & set(path.relative_to(folder).parts):
            yield path


def digest_of(folder: Path, also: str = "") -> str:
    """SHA-256 over names and contents, so that a changed file is a changed component."""
    sha = hashlib.sha256()
    for path in files_of(folder):
        sha.update(f"{path.relative_to(folder).as_posix()}\0{path.stat().st_size}\0".encode())
        sha.update(path.read_bytes())
    sha.update(also.encode())
    return f"sha256:{sha.hexdigest()}"


def read_component(folder: Path, name: str = "", node: str = "node", python: str = sys.executable) -> ComponentVersion:
    """The version a folder holds, not installed yet. InputError says everything that is wrong with it."""
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder")
    descriptor = _read_json(folder / "component.json")
    if descriptor is None:
        raise InputError(f"{folder} has no component.json")
    package = _read_json(folder / "package.json")
    language = language_of(descriptor, package)
    version = version_of(descriptor, package)
    if found := list(problems(descriptor, language, lambda path: (folder / path).is_file())):
        raise InputError("component.json: " + "; ".join(found))
    if language == "node" and SAILOR not in (package or {}).get("dependencies", {}):
        raise InputError(f"package.json: {SAILOR} is not among the dependencies; a Node step runs by it")
    _refuse_links_out(folder)
    runtime = {"node": node_version(node)} if language == "node" else {"python": python_version(python)}
    return ComponentVersion(
        name=component_name(name, folder.resolve().name),
        version=version,
        language=language,
        descriptor=descriptor,
        location=runtime,
        digest=digest_of(folder, also=" ".join(runtime.values())),
        at=timestamp(utc_now()),
    )


def pack(component: ComponentVersion, folder: Path, target: Path, python: str, node: str = "node") -> ComponentVersion:
    """Write the component with all it needs as one file; the component with that file as its place."""
    with tempfile.TemporaryDirectory(prefix="nomadflows-") as fresh:
        made = Path(fresh) / "component"
        build(component, folder, made, python)
        needs = _needs(component, made, python, node)
        check = {"check": NODE_CHECK} if component.language == "node" else {}
        if check:
            (made / NODE_CHECK).write_text(node_check(needs))
        try:
            sha256 = archive.pack(made, target)
        except archive.HostileError as error:
            raise InputError(f"{folder} cannot be packed: {error}") from error
        hooks = tuple(functions_with_hooks(component, made, node))
    place = {"artifact": sha256, "bytes": target.stat().st_size, "needs": needs, **check, **component.location}
    return replace(component, location=place, hooks=hooks)


def build(component: ComponentVersion, folder: Path, made: Path, python: str, target: Elsewhere | None = None) -> None:
    """The folder as a step finds it: what its developer wrote, and what that needs, installed. `target`: the Python that
    is to run it, if it is not `python` itself."""
    _copy(folder, made)
    if component.language == "node":
        install_node(made)
    else:
        install_python(made, python, target)


def _needs(component: ComponentVersion, made: Path, python: str, node: str) -> str:
    """What a node must have: a minor of Python or a major of Node; for compiled code its system and processor too."""
    compiled = any(_is_compiled(path) for path in made.rglob("*"))
    if version := component.location.get("python"):
        words = ["python", str(version), *([python_platform(python)] if compiled else [])]
    else:
        major = str(component.location["node"]).removeprefix("v").partition(".")[0]
        words = ["node", major, *([node_platform(node)] if compiled else [])]
    return " ".join(words)


def _is_compiled(path: Path) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(4) in _COMPILED


def _refuse_links_out(folder: Path) -> None:
    """A link is packed as what it points to: what lies elsewhere is not the component's."""
    root = folder.resolve()
    for path in files_of(folder):
        if not path.resolve().is_relative_to(root):
            raise InputError(f"{path}: links to {path.resolve()}, outside of {folder}")


def _copy(folder: Path, target: Path) -> None:
    for path in files_of(folder):
        there = target / path.relative_to(folder)
        there.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, there)


def _read_json(path: Path) -> Json | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise InputError(f"{path}: not JSON: {error}") from error
    if not isinstance(found, dict):
        raise InputError(f"{path}: expected a JSON object")
    return found
