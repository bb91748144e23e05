"""An image becomes a component version, and a component folder becomes an image. Knows the `docker` command, no server.

What is recorded is the image's content, not its tag: the digest by which its registry gives it, or, for an image that
is only on this machine, its id. A tag may mean something else tomorrow, a version may not.
"""

from __future__ import annotations

import io
import json
import posixpath
import subprocess
import sys
import tarfile
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from nomadflows.dependencies import Elsewhere
from nomadflows.model.component import ComponentVersion
from nomadflows.model.descriptor import SAILOR, check_installed, component_name, problems, version_of
from nomadflows.model.errors import InputError, NomadflowsError
from nomadflows.model.states import timestamp, utc_now
from nomadflows.packing import build, read_component

Json = dict[str, Any]

_OWN_START: Final = {"python": "python", "node": "node", "nodejs": "node"}  # languages whose step process we start
_LARGEST_TEXT: Final = 1_000_000  # of a component.json or package.json
_LIBRARY: Final = f"node_modules/{SAILOR}/package.json"
_LARGEST_OUTPUT: Final = 4_000_000  # of any command
_QUICK_S: Final = 60.0
_SLOW_S: Final = 1_800.0  # pulling or building
_LINES_TOLD: Final = 15
_LABELS: Final = {"python": "nomadflows.python", "node": "nomadflows.node"}  # what `component build` knows of its image
_VARIABLES: Final = {"python": "PYTHON_VERSION", "node": "NODE_VERSION"}  # and what official images say of themselves
_ABOUT_PYTHON: Final = "import os, sys; print('%d.%d' % sys.version_info[:2], os.uname().machine)"
_DOCKERFILE: Final = """\
# Written by `nomadflows component build`; a Dockerfile in the component's folder takes its place.
ARG BASE
FROM ${BASE}
COPY . /component
WORKDIR /component
"""


def read_image(reference: str, name: str = "", credential: str = "") -> ComponentVersion:
    """The component version that an image holds. It is pulled if this machine does not have it.

    InputError if there is no component in it.
    """
    if reference.startswith("-") or not reference.isprintable() or " " in reference:
        raise InputError(f"not an image: {reference!r}")
    about = _inspect(reference)
    settings = about.get("Config") or {}
    place = settings.get("WorkingDir") or "/"
    with _files_of(reference) as read:
        texts, place = _component_files(reference, place, read)
    descriptor = _parsed(texts["component.json"], "component.json")
    package = _parsed(texts["package.json"], "package.json") if texts["package.json"] else None
    language = _language(descriptor, package)
    if language == "image" and not (settings.get("Entrypoint") or settings.get("Cmd")):
        raise InputError(
            f"{reference} has no command, and nothing is known of a language {descriptor.get('language')!r}",
            hint="give the image an ENTRYPOINT that speaks the component contract",
        )
    if found := list(problems(descriptor, language, lambda _: True)):
        raise InputError(f"component.json of {reference}: " + "; ".join(found))
    pinned, digest = _pinned(reference, about)
    location = {"image": pinned, "reference": reference, "dir": place, "credential": credential}
    if language in _LABELS:
        location[language] = _runtime_of(language, settings)
    if library := texts[_LIBRARY]:
        location["sailor"] = str(_parsed(library, _LIBRARY).get("version", ""))
        check_installed(location["sailor"])
    return ComponentVersion(
        name=component_name(name, repository(reference).rpartition("/")[2]),
        version=version_of(descriptor, package),
        language=language,
        descriptor=descriptor,
        location={key: value for key, value in location.items() if value},
        digest=digest,
        at=timestamp(utc_now()),
        hooks=tuple(descriptor.get("triggers") or ()),  # whether they have any is not known
    )


def build_image(folder: Path, name: str, base: str, tag: str, node: str) -> tuple[ComponentVersion, str]:
    """What the folder holds, and the reference of the image made of it. The packages it needs go into the image, chosen
    for the Python of the base image.

    A Dockerfile of the folder's own gets the base image as its build argument `BASE`. Where there is no such image, its
    packages are chosen for the Python of this machine.
    """
    if tag.startswith("-") or base.startswith("-"):
        raise InputError(f"not an image: {tag if tag.startswith('-') else base!r}")
    found = read_component(folder, name, node)
    reference = tag or f"nomadflows/{found.name}:{found.version}"
    own = folder / "Dockerfile"
    try:
        version, target = _asked(base, found.language)
    except NomadflowsError:
        if not own.is_file():
            raise
        version, target = "", None  # it may build upon another image altogether
    with tempfile.TemporaryDirectory(prefix="nomadflows-build-") as work:
        context = Path(work) / "component"
        build(found, folder, context, sys.executable, target)
        _open_to_all(context)
        written = Path(work) / "Dockerfile"
        written.write_text(_DOCKERFILE)
        dockerfile = own if own.is_file() else written
        options = [f"--tag={reference}", f"--file={dockerfile}", f"--build-arg=BASE={base}", "--quiet"]
        labels = [f"--label={_LABELS[found.language]}={version}"] if version else []
        _docker("build", *options, *labels, str(context), seconds=_SLOW_S)
    return found, reference


def _asked(base: str, language: str) -> tuple[str, Elsewhere | None]:
    """The version of what runs the language in an image; for Python also what packages are chosen by."""
    command = ["python3", "-c", _ABOUT_PYTHON] if language == "python" else ["node", "--version"]
    locked_up = ["--rm", "--network=none", "--user=65534", "--read-only", "--cap-drop=all"]
    try:
        said = _docker("run", *locked_up, f"--entrypoint={command[0]}", base, *command[1:], seconds=_SLOW_S)
    except NomadflowsError as error:
        raise NomadflowsError(
            f"the base image {base} does not say which {language} it has: {error.message}", hint=error.hint
        ) from error
    version, *machine = said.decode().split()
    return version, Elsewhere(version, machine[0]) if machine else None


def _open_to_all(context: Path) -> None:
    """Whatever the developer's umask says: the user that runs it in a container is nobody they know."""
    for path in [context, *context.rglob("*")]:
        if path.is_symlink():
            continue
        path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)


def _runtime_of(language: str, settings: Json) -> str:
    """The version of Python or Node in an image, as far as it can be told without starting it; "" if it cannot."""
    variables = dict(line.partition("=")[::2] for line in settings.get("Env") or [])
    return str((settings.get("Labels") or {}).get(_LABELS[language]) or variables.get(_VARIABLES[language], ""))


def repository(reference: str) -> str:
    """An image's name without tag and digest."""
    name = reference.partition("@")[0]
    head, slash, last = name.rpartition("/")
    return f"{head}{slash}{last.partition(':')[0]}"


def _component_files(reference: str, place: str, read: Callable[[str], bytes | None]) -> tuple[dict[str, bytes], str]:
    """component.json, package.json and that of Node's library, from the image's working folder, else from its root."""
    for folder in dict.fromkeys((place, "/")):
        descriptor = read(posixpath.join(folder, "component.json"))
        if descriptor is not None:
            others = {name: read(posixpath.join(folder, name)) or b"" for name in ("package.json", _LIBRARY)}
            return {"component.json": descriptor, **others}, folder
    raise InputError(
        f"{reference} holds no component.json, neither in its WORKDIR {place} nor in /",
        hint="`nomadflows component build DIR` makes an image of a component's folder",
    )


def _language(descriptor: Json, package: Json | None) -> str:
    """`image`: one that only the image's own command can start."""
    stated = str(descriptor.get("language", "node" if package is not None else "python")).lower()
    return _OWN_START.get(stated, "image")


def _pinned(reference: str, about: Json) -> tuple[str, str]:
    """How a job spec names the content, and its digest."""
    name = repository(reference)
    for known in about.get("RepoDigests") or []:
        if known.partition("@")[0] == name:
            return known, known.partition("@")[2]
    return str(about["Id"]), str(about["Id"])


def _inspect(reference: str) -> Json:
    try:
        text = _docker("image", "inspect", reference)
    except NomadflowsError as error:
        if "No such image" not in error.message:
            raise
        _docker("pull", "--quiet", reference, seconds=_SLOW_S)
        text = _docker("image", "inspect", reference)
    found: Json = json.loads(text)[0]
    return found


@contextmanager
def _files_of(reference: str) -> Iterator[Callable[[str], bytes | None]]:
    """Reads files of an image through a container that is made and never started."""
    container = _docker("create", "--network=none", reference, "-").decode().strip()
    try:
        yield lambda path: _file(container, path)
    finally:
        _docker("rm", "--force", container)


def _file(container: str, path: str) -> bytes | None:
    """A small regular file; None if there is none. What the image's maker put at its end of a link is not followed."""
    try:
        packed = _docker("cp", f"{container}:{path}", "-")
    except NomadflowsError as error:
        if "Could not find the file" in error.message or "No such container:path" in error.message:
            return None
        raise
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        entry = tar.next()
        opened = tar.extractfile(entry) if entry is not None and entry.isfile() else None
        if entry is None or opened is None or entry.size > _LARGEST_TEXT:
            raise InputError(f"{path} of the image is no regular file of at most {_LARGEST_TEXT} bytes")
        return opened.read()


def _parsed(text: bytes, name: str) -> Json:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise InputError(f"{name} of the image is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise InputError(f"{name} of the image is not a JSON object")
    return found


def _docker(*arguments: str, seconds: float = _QUICK_S) -> bytes:
    """What the command prints; NomadflowsError with what it said if it failed. An image is a stranger's: of a file in
    it that never ends no more is read than anything asked for here has."""
    command = f"docker {arguments[0]}"
    with tempfile.TemporaryFile() as errors:
        try:
            process = subprocess.Popen(  # noqa: S603 - no shell; references never begin with a dash
                ["docker", *arguments],  # noqa: S607 - docker is where the user's PATH has it
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        except FileNotFoundError as error:
            raise NomadflowsError("the command `docker` is not there", hint="install Docker's command line") from error
        printed, ended = _bounded(process, seconds)
        errors.seek(0)
        told = "\n".join(errors.read().decode(errors="replace").strip().splitlines()[-_LINES_TOLD:])
    if not ended:
        raise NomadflowsError(f"`{command}` did not end within {seconds:.0f} s")
    if len(printed) > _LARGEST_OUTPUT:
        raise NomadflowsError(f"`{command}` printed more than {_LARGEST_OUTPUT} bytes")
    if process.returncode:
        away = "is the Docker engine running? DOCKER_HOST says where it is looked for" if "connect" in told else ""
        raise NomadflowsError(f"`{command}` failed: {told}", hint=away)
    return printed


def _bounded(process: subprocess.Popen[bytes], seconds: float) -> tuple[bytes, bool]:
    """What it printed, at most a byte more than there may be, and whether it ended in time. It is over then."""
    late = threading.Event()

    def end() -> None:
        late.set()
        process.kill()

    timer = threading.Timer(seconds, end)
    timer.start()
    with process:
        assert process.stdout is not None, "it has a pipe"
        printed = process.stdout.read(_LARGEST_OUTPUT + 1)
        if len(printed) > _LARGEST_OUTPUT:
            process.kill()
        process.wait()
    timer.cancel()
    return printed, not late.is_set()
