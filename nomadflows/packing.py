"""A component folder becomes a component version: copied, its packages installed, addressed by its content.

What is installed lies in `<home>/components/<name>/<version>-<digest>`: two deployments of the same content are
one folder, and a folder is complete or not there. It knows npm and files, no server.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from nomadflows.model.component import ComponentVersion
from nomadflows.model.descriptor import SAILOR, component_name, language_of, problems, version_of
from nomadflows.model.errors import InputError, NomadflowsError
from nomadflows.model.states import timestamp, utc_now

Json = dict[str, Any]

_NOT_CODE: Final = frozenset({"__pycache__", "node_modules", ".git", ".DS_Store"})
_DIGEST_SHOWN: Final = 12
_INSTALL_S: Final = 600.0
_LINES_TOLD: Final = 15


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


def read_component(folder: Path, name: str = "", node: str = "node") -> ComponentVersion:
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
    runtime = {"node": node_version(node)} if language == "node" else {}
    return ComponentVersion(
        name=component_name(name, folder.resolve().name),
        version=version,
        language=language,
        descriptor=descriptor,
        location=runtime,
        digest=digest_of(folder, also=runtime.get("node", "")),
        at=timestamp(utc_now()),
    )


def install(component: ComponentVersion, folder: Path, home: Path) -> ComponentVersion:
    """The component with its place. Installing what is installed already costs nothing."""
    short = component.digest.removeprefix("sha256:")[:_DIGEST_SHOWN]
    place = home / "components" / component.name / f"{component.version}-{short}"
    if not place.is_dir():
        place.parent.mkdir(parents=True, exist_ok=True)
        # Made beside its place and moved there: whoever looks finds a whole component or none.
        with tempfile.TemporaryDirectory(prefix=".installing-", dir=place.parent) as fresh:
            made = Path(fresh) / "component"
            _copy(folder, made)
            if component.language == "node":
                _install_packages(made)
            try:
                made.rename(place)
            except OSError:
                if not place.is_dir():  # else somebody was quicker, with the same content
                    raise
    return ComponentVersion(**{**component.to_json(), "location": {"path": str(place), **component.location}})


def uninstall(component: ComponentVersion, home: Path) -> None:
    """Remove an installed folder; what lies elsewhere is its owner's."""
    place = Path(str(component.location.get("path", "")))
    if place.is_relative_to(home / "components" / component.name):
        shutil.rmtree(place, ignore_errors=True)


def node_version(node: str) -> str:
    """What `node --version` says."""
    try:
        found = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=20, check=True)  # noqa: S603 - the command is a setting
    except (OSError, subprocess.SubprocessError) as error:
        raise NomadflowsError(
            f"Node cannot be run as {node!r}: {error}", hint="install Node 20 or later, or set NOMADFLOWS_STEP_NODE"
        ) from error
    return found.stdout.strip()


def _copy(folder: Path, target: Path) -> None:
    for path in files_of(folder):
        there = target / path.relative_to(folder)
        there.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, there)


def _install_packages(folder: Path) -> None:
    """From the lock file where there is one, so that what runs is what was tested."""
    locked = any((folder / name).is_file() for name in ("package-lock.json", "npm-shrinkwrap.json"))
    command = ["npm", "ci" if locked else "install", "--omit=dev", "--no-audit", "--no-fund", "--loglevel=error"]
    try:
        done = subprocess.run(  # noqa: S603 - the command is fixed
            command,
            cwd=folder,
            env={**os.environ, "NODE_ENV": "production", "npm_config_update_notifier": "false"},
            capture_output=True,
            text=True,
            timeout=_INSTALL_S,
            check=False,
        )
    except OSError as error:
        raise NomadflowsError(f"npm cannot be run: {error}", hint="install npm, which comes with Node") from error
    except subprocess.TimeoutExpired:
        raise NomadflowsError(f"`{' '.join(command)}` did not end within {_INSTALL_S:.0f} s") from None
    if done.returncode:
        told = "\n".join((done.stderr or done.stdout).strip().splitlines()[-_LINES_TOLD:])
        raise NomadflowsError(f"`{' '.join(command)}` failed:\n{told}")
    if not (folder / "node_modules" / SAILOR / "run.js").is_file():
        raise NomadflowsError(f"after `{' '.join(command)}` there is no node_modules/{SAILOR}/run.js")


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
