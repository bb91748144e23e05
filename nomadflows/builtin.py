"""Where the files that ship with nomadflows are: built-in components, job spec templates, server modules.

They lie at the top of a source checkout and in `nomadflows/_data` of an installed wheel; nobody else needs to
know which of the two runs. Knows nothing of any server.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from nomadflows.folder import digest_of
from nomadflows.model.component import ComponentVersion
from nomadflows.model.errors import NomadflowsError

_PACKAGE = Path(__file__).resolve().parent


def data_dir(name: str) -> Path:
    """The shipped folder `components`, `jobspecs` or `servers`."""
    for folder in (_PACKAGE / "_data" / name, _PACKAGE.parent / name):
        if folder.is_dir():
            return folder
    raise NomadflowsError(
        f"this installation lacks its folder {name!r}: looked in {_PACKAGE / '_data'} and {_PACKAGE.parent}",
        hint="install nomadflows again, or run it from a complete checkout",
    )


def builtin_dir(name: str) -> Path:
    """The folder of one built-in component. NomadflowsError if there is none of that name."""
    folder = data_dir("components") / name
    if not (folder / "component.json").is_file():
        raise NomadflowsError(f"there is no built-in component {name!r}", hint=f"built in: {', '.join(_names())}")
    return folder


def builtin_components() -> list[ComponentVersion]:
    """Every built-in component as the version this installation ships, by name."""
    return [_load(name) for name in _names()]


def _names() -> list[str]:
    return sorted(found.parent.name for found in data_dir("components").glob("*/component.json"))


def _load(name: str) -> ComponentVersion:
    folder = builtin_dir(name)
    descriptor = _descriptor(folder / "component.json")
    if not isinstance(descriptor.get("version"), str):
        raise NomadflowsError(f'{folder / "component.json"}: a built-in component states its "version"')
    return ComponentVersion(
        name=name,
        version=descriptor["version"],
        language=descriptor.get("language", "python"),
        descriptor=descriptor,
        location={"builtin": name},
        digest=digest_of(folder),
    )


def _descriptor(path: Path) -> dict[str, Any]:
    try:
        descriptor = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise NomadflowsError(f"{path}: not JSON: {error}") from error
    if not isinstance(descriptor, dict):
        raise NomadflowsError(f"{path}: a descriptor is a JSON object")
    return descriptor
