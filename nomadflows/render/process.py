"""How the process of a step is started: by which of Nomad's drivers, with which command, from which folder or image.

The driver follows from the component version: what is an image runs in Docker, what is a folder as a process of the
node (`Site.driver`). Built-in components are folders of the installed package, unless the cluster names an image that
holds them. So both kinds mix in one flow.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from nomadflows.artifact.needs import NODE_CHECK
from nomadflows.artifact.needs import VARIABLE as NEEDS
from nomadflows.model.component import ComponentVersion
from nomadflows.model.descriptor import SAILOR
from nomadflows.model.errors import InputError
from nomadflows.render.escape import Runtime
from nomadflows.render.site import Site

_UNPACKED: Final = "${NOMAD_TASK_DIR}/component"  # where the template's artifact block puts it
_MARK: Final = (
    '{ echo >"$NOMADFLOWS_COMPONENT_DIR.used"; } 2>/dev/null; '  # it is wanted: who tidies up leaves it alone
)
_FETCH: Final = '[ -d "$NOMADFLOWS_COMPONENT_DIR" ] || "$0" -m nomadflows.artifact.fetch "$1" || exit; shift; '
_FORGET: Final = "unset NOMADFLOWS_ARTIFACT_AUTHORIZATION; "  # the node's, for fetching
_ENTER: Final = 'cd "$NOMADFLOWS_COMPONENT_DIR" || exit; '
_GO: Final = 'exec "$@"'
_LIBRARY: Final = f"node_modules/{SAILOR}"
_BUILTINS_OF_IMAGE: Final = "/opt/nomadflows/components"  # where an image that holds the built-in components has them
_IMAGE: Final = re.compile(
    r"sha256:[0-9a-f]{64}"  # one that is only on its machine, by its id
    r"|(?:[A-Za-z0-9][A-Za-z0-9.-]*(?::[0-9]{1,5})?/)?[a-z0-9][a-z0-9._/-]*(?::[A-Za-z0-9_.-]{1,128})?(?:@sha256:[0-9a-f]{64})?"
)
_FIXED: Final = re.compile(
    r".+(?:@sha256:[0-9a-f]{64}|:(?!latest$)[A-Za-z0-9_.-]{1,128})"
)  # Nomad asks for `latest` anew
_PLACE: Final = re.compile(r"/[A-Za-z0-9_.@+/-]*")
_NETWORK: Final = re.compile(r"[A-Za-z0-9_.-]+")


@dataclass(frozen=True, slots=True)
class Program:
    """What the interpreters of either language are told to run."""

    python: tuple[str, ...]
    node: tuple[str, ...]


STEP: Final = Program(("-m", "nomadflows.runtime"), (f"{_LIBRARY}/run.js",))


def question(method: str) -> Program:
    """One question to a component instead of its step."""
    return Program(("-m", "nomadflows.runtime.service", method), (f"{_LIBRARY}/runService.js", method))


@dataclass(frozen=True, slots=True)
class Launch:
    """What the job spec says of a step's process."""

    driver: str
    command: tuple[str, ...]  # (): the image's own
    component_dir: str | Runtime  # "": the image knows it
    folder: str | Runtime = ""  # working folder; "": the task's own
    image: str = ""  # "": no container
    registry_credential: str = ""  # credential of the flow's workspace by which the node fetches the image
    artifact: str = ""  # what Nomad fetches and unpacks before each start; "": nothing
    checksum: str = ""  # of that
    fetched: Mapping[str, str] = field(
        default_factory=dict
    )  # variables by which the node fetches it, and checks that it fits


def launch(component: ComponentVersion, site: Site, program: Program = STEP) -> Launch:
    """InputError for an image or a place in it that no job spec should hold."""
    if component.image:
        return _own_image(component, component.image, program)
    if component.location.get("builtin") and site.builtin_image:
        _match(_IMAGE, site.builtin_image, "builtin_image")
        _match(_FIXED, site.builtin_image, "builtin_image, which needs a tag other than latest or a digest")
        folder = f"{_BUILTINS_OF_IMAGE}/{component.name}"
        return Launch("docker", ("python3", *program.python), folder, image=site.builtin_image)
    if "artifact" in component.location:
        return _by_nomad(component, site, program) if site.fetched_by_nomad else _by_node(component, site, program)
    folder = site.component_dir(component)
    if component.language == "python":
        return Launch(site.driver, (site.python, *program.python), folder)
    # Node's library takes the working folder for the component's
    return Launch(site.driver, (site.node, *program.node), folder, folder)


def _by_node(component: ComponentVersion, site: Site, program: Program) -> Launch:
    """A shell looks whether the component is there, has it fetched if not, and becomes the step."""
    own = _own_program(component, site, program)
    enter = _ENTER if component.language == "node" else ""  # Nomad would look for a working folder before it is there
    script = _MARK + _FETCH + _FORGET + enter + _GO
    fetched = {
        "NOMADFLOWS_ARTIFACT_URL": _address(component, site),
        "NOMADFLOWS_ARTIFACT_SHA256": str(component.location["artifact"]),
        NEEDS: str(component.location.get("needs", "")),
        "NOMADFLOWS_COMPONENT_KEEP_DAYS": f"{site.component_keep_days:g}",
    }
    shell = ("/bin/sh", "-c", script, site.python, site.node)
    return Launch(site.driver, (*shell, *own), site.component_dir(component), fetched=fetched)


def _by_nomad(component: ComponentVersion, site: Site, program: Program) -> Launch:
    folder = Runtime(_UNPACKED)
    return Launch(
        site.driver,
        _own_program(component, site, program),
        folder,
        "" if component.language == "python" else folder,
        artifact=_address(component, site),
        checksum=f"sha256:{component.location['artifact']}",
        fetched={NEEDS: str(component.location.get("needs", ""))},
    )


def _own_program(component: ComponentVersion, site: Site, program: Program) -> tuple[str, ...]:
    """Each start asks whether the node has what the component needs: Python by itself, Node by what was packed for it."""
    if component.language == "python":
        return (site.python, *program.python)
    first = ("--require", f"./{NODE_CHECK}") if component.location.get("check") == NODE_CHECK else ()
    return (site.node, *first, *program.node)


def _address(component: ComponentVersion, site: Site) -> str:
    return f"{site.artifacts}/{component.location['artifact']}.tar.gz"


def check_network(site: Site) -> None:
    """Docker's network modes include other containers' networks (`container:…`), which are nobody's business here."""
    _match(_NETWORK, site.network, "step_network")


def _own_image(component: ComponentVersion, image: str, program: Program) -> Launch:
    place = str(component.location.get("dir", ""))
    _match(_IMAGE, image, f"image of {component.ref}")
    if place:
        _match(_PLACE, place, f"folder in the image of {component.ref}")
    commands = {"python": ("python3", *program.python), "node": ("node", *program.node)}
    credential = str(component.location.get("credential", ""))
    command = commands.get(component.language, ())
    return Launch("docker", command, place, place if command else "", image, credential)


def _match(pattern: re.Pattern[str], text: str, what: str) -> None:
    if not pattern.fullmatch(text):
        raise InputError(f"{what}: {text!a} is not what a job spec can hold", hint=f"allowed: {pattern.pattern}")
