"""What a component folder must say about itself before it can be deployed. Pure: of data that somebody else read.

A descriptor is elastic.io's `component.json`, with what this platform adds: `language`, and `version` where there
is no `package.json`. Fields that nobody here reads are kept as they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, Final

from nomadflows.model.component import AMOUNTS
from nomadflows.model.errors import InputError, Refused
from nomadflows.model.names import COMPONENT, COMPONENT_RULE
from nomadflows.model.semver import semver_key

Json = dict[str, Any]

SAILOR: Final = "elasticio-sailor-nodejs"
OLDEST_LIBRARY: Final = "2.6.5"
FIRST_PERSISTENT: Final = "2.7.0"
_NUMBER: Final = r"(?:0|[1-9][0-9]*)"
_WORD: Final = rf"(?:{_NUMBER}|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"  # of a pre-release; a number has no leading zero
_SEMVER: Final = re.compile(  # the grammar of semver.org without its build part, which would not sort
    rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-{_WORD}(?:\.{_WORD})*)?"
)
_LANGUAGES: Final = ("python", "node")


def component_name(given: str, folder: str) -> str:
    """The name a component is used by: as given, else its folder's. InputError if a flow could not spell it."""
    name = given or folder.lower().replace("_", "-")
    if not COMPONENT.fullmatch(name):
        raise InputError(
            f"not a component name: {name!r}",
            hint=f"{COMPONENT_RULE}; --name gives another one than the folder's",
        )
    return name


def language_of(descriptor: Json, package: Json | None) -> str:
    """As the descriptor says, else Node where there is a `package.json`."""
    language = str(descriptor.get("language", "node" if package is not None else "python")).lower()
    language = {"nodejs": "node"}.get(language, language)
    if language not in _LANGUAGES:
        raise InputError(f"component.json: unknown language {language!r}", hint=f"allowed: {', '.join(_LANGUAGES)}")
    if language == "node" and package is None:
        raise InputError("a Node component needs a package.json")
    return language


def version_of(descriptor: Json, package: Json | None) -> str:
    """The descriptor's `version`, else that of `package.json`."""
    found = descriptor.get("version", (package or {}).get("version"))
    if not isinstance(found, str) or not _SEMVER.fullmatch(found):
        missing = "is missing" if found is None else f"{found!r} is not of the form 1.2.3 or 1.2.3-beta.1"
        raise InputError(f"component.json: version {missing}")
    return found


def check_installed(library: str) -> None:
    """InputError for a version of the step library that cannot read this platform's messages: a step would reject each."""
    if semver_key(library) < semver_key(OLDEST_LIBRARY):
        raise InputError(
            f"{SAILOR} {library} reads no messages as bytes, which {OLDEST_LIBRARY} brought",
            hint="npm install elasticio-sailor-nodejs@2.7.8, and see whether the component still passes its tests",
        )


def is_forgetful(library: str) -> bool:
    """Whether what a step with this version of the library sends is lost if the broker is restarted."""
    return bool(library) and semver_key(library) < semver_key(FIRST_PERSISTENT)


def check_library(package: Json, *, locked: bool) -> None:
    """InputError unless a Node component says which version of the step library it runs by: one, or any that a lock file
    chooses. What runs would otherwise depend on the day it is deployed."""
    wanted = (package.get("dependencies") or {}).get(SAILOR)
    if wanted is None:
        raise InputError(f"package.json: {SAILOR} is not among the dependencies; a Node step runs by it")
    if not locked and not _SEMVER.fullmatch(str(wanted)):
        raise InputError(
            f"package.json: {SAILOR} {wanted!r:.60} is more than one version, and there is no lock file that chooses",
            hint="`npm install --package-lock-only` writes one; or name one version, such as 2.7.8",
        )


def problems(descriptor: Json, language: str, exists: Callable[[str], bool]) -> Iterator[str]:
    """Everything that keeps a descriptor's functions from being run. `exists` tells of files in the folder."""
    yield from _resource_problems(descriptor.get("resources", {}))
    groups = {name: descriptor.get(name) or {} for name in ("triggers", "actions")}
    for group, entries in groups.items():
        if not isinstance(entries, dict):
            yield f"{group}: expected an object"
            return
    if not any(groups.values()):
        yield "there is neither a trigger nor an action"
    for both in sorted(groups["triggers"].keys() & groups["actions"].keys()):
        yield f"{both}: is a trigger and an action; a function's name is used once"
    for group, entries in groups.items():
        for function, entry in entries.items():
            main = entry.get("main") if isinstance(entry, dict) else None
            if not isinstance(main, str) or not main:
                yield f"{group}.{function}: `main` is missing"
            elif not any(exists(path) for path in files_of_main(main, language)):
                yield f"{group}.{function}: there is no file {main}"


def _resource_problems(resources: Any) -> Iterator[str]:
    if not isinstance(resources, dict):
        yield 'resources: expected an object such as {"memory": 256, "cpu": 100}'
        return
    for name, value in resources.items():
        amount = AMOUNTS.get(name)
        if amount is None:
            yield f"resources.{name}: not known; allowed: {', '.join(AMOUNTS)}"
        elif type(value) is not int or not amount.least <= value <= amount.most:
            yield f"resources.{name}: expected a whole number from {amount.least} to {amount.most}"


def files_of_main(main: str, language: str) -> list[str]:
    """Where the code named by `main` may lie."""
    if language == "python":
        path = main.partition(":")[0].removeprefix("./").removesuffix(".py")
        return [f"{p}{end}" for p in {path, path.replace(".", "/")} for end in (".py", "/__init__.py")]
    return [main, *(f"{main}{end}" for end in (".js", ".cjs", ".json", "/index.js"))]


def check_newer(name: str, version: str, known: list[str], highest: str = "") -> None:
    """Refused unless `version` comes after all that are there (a step that names no version gets the newest), and after
    the highest there ever was: what once stood for other code stands for nothing else."""
    if version in known:
        raise Refused(
            f"component {name} has a version {version} already, and a version never changes",
            hint=f"it has {', '.join(known)}; give component.json a higher version",
        )
    if known and semver_key(version) <= max(semver_key(other) for other in known):
        raise Refused(
            f"version {version} of component {name} does not come after all it has",
            hint=f"it has {', '.join(known)}; give component.json a higher version",
        )
    if highest and semver_key(version) <= semver_key(highest):
        raise Refused(
            f"component {name} had a version {highest}, which was deleted, and no number up to that is used again",
            hint=f"give component.json a version higher than {highest}",
        )


def dev_version(written: str, known: list[str], now: datetime) -> str:
    """A version for what is saved while somebody works at it: after all that are there, before the next release."""
    base = written.partition("-")[0]
    highest = max(known, key=semver_key, default="")
    core, dash, _ = highest.partition("-")
    if highest and semver_key(core) >= semver_key(base):
        major, minor, patch = core.split(".")
        base = core if dash else f"{major}.{minor}.{int(patch) + 1}"
    return f"{base}-dev.{now:%Y%m%d%H%M%S%f}"
