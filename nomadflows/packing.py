"""A component folder becomes a component version: read, refused or packed, addressed by its content.

What is packed is complete: nothing is installed where it runs. It knows files, no server.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from nomadflows.artifact import archive
from nomadflows.artifact.needs import NODE_CHECK, node_check
from nomadflows.dependencies import (
    Elsewhere,
    install_node,
    install_python,
    is_locked,
    node_platform,
    node_version,
    python_platform,
    python_version,
)
from nomadflows.folder import NPMRC, check_folder, copy_files, digest_of
from nomadflows.hooks import functions_with_hooks
from nomadflows.model.component import ComponentVersion
from nomadflows.model.descriptor import (
    check_installed,
    check_library,
    component_name,
    language_of,
    problems,
    version_of,
)
from nomadflows.model.errors import InputError
from nomadflows.model.states import timestamp, utc_now

Json = dict[str, Any]

_COMPILED: Final = (b"\x7fELF", b"\xcf\xfa\xed\xfe")  # how programs and libraries of Linux and macOS begin


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
    if language == "node":
        check_library(package or {}, locked=is_locked(folder))
    check_folder(folder)
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
        component = build(component, folder, made, python)
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


def build(
    component: ComponentVersion, folder: Path, made: Path, python: str, target: Elsewhere | None = None
) -> ComponentVersion:
    """The folder as a step finds it: what its developer wrote, and what that needs, installed. `target`: the Python that
    is to run it, if it is not `python` itself. The component, with the version of Node's library that came to it."""
    copy_files(folder, made)
    if component.language == "python":
        install_python(made, python, target)
        return component
    with _npm_settings(folder, made):
        library = install_node(made)
    check_installed(library)
    return replace(component, location={**component.location, "sailor": library})


@contextmanager
def _npm_settings(folder: Path, made: Path) -> Iterator[None]:
    """The folder's own, such as a registry and its token: there for npm, and gone before anything is packed."""
    if (folder / NPMRC).is_file():
        shutil.copyfile(folder / NPMRC, made / NPMRC)
    try:
        yield
    finally:
        (made / NPMRC).unlink(missing_ok=True)


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
