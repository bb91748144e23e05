"""A flow version as Nomad job spec, by the template `jobspecs/flow.nomad.hcl.j2`.

The template says what a job looks like; here is only what it is given. Names that become part of paths,
labels or addresses are checked once more, since a job spec outlives the code that wrote its definition.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from nomadflows.builtin import data_dir
from nomadflows.model import names
from nomadflows.model.component import CREDENTIAL_BY_FILE, ComponentVersion
from nomadflows.model.errors import InputError
from nomadflows.model.graph import RunStep
from nomadflows.model.names import VersionRef
from nomadflows.model.states import Kind
from nomadflows.render.env import SILENT, silent_steps, step_env
from nomadflows.render.escape import Name, Shown, hcl
from nomadflows.render.process import Launch, check_network, launch
from nomadflows.render.site import Site

_TEMPLATE: Final = "flow.nomad.hcl.j2"
_LAYOUT: Final = "1"  # in the job's meta: tells our jobs from others, and which rendering made them
_PRIORITY: Final = {Kind.ORDINARY: 50, Kind.REALTIME: 70}
_SHOWN_MAX: Final = 1_000  # Nomad warns about a longer description
_STEP: Final = re.compile(rf"{names.STEP.pattern}|mapper:{names.STEP.pattern}:{names.STEP.pattern}")
_PATH: Final = re.compile(r"[A-Za-z0-9_-]+(?:[./][A-Za-z0-9_-]+)*")
_AMQP: Final = re.compile(r"amqps?://(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(?::[0-9]{1,5})?")


def render_job(
    version: VersionRef,
    kind: Kind,
    digest: str,
    steps: Sequence[RunStep],
    components: Mapping[str, ComponentVersion],
    counts: Mapping[str, int],
    site: Site,
    *,
    description: str = "",
) -> str:
    """HCL of the version's job. InputError for text that a job spec cannot hold."""
    check_names(version, steps, site)
    silent = silent_steps(steps, components)
    more = {step.id: SILENT if step.id in silent else {} for step in steps}
    return template(_TEMPLATE).render(
        version=version,
        kind=kind.value,
        digest=digest,
        layout=_LAYOUT,
        priority=_PRIORITY[kind],
        datacenters=list(site.datacenters),
        description=_shown(version, kind, steps, description),
        link=f"{site.ui_base.rstrip('/')}/{version.workspace}/{version.flow}/" if site.ui_base else "",
        amqp_uri=_amqp_uri(version, site),
        object_token=object_token(version),
        secret=secret_of(site, version.secret_path),
        network=site.network,
        user=site.container_user,
        steps=[_group(version, step, components[step.id], counts[step.id], site, more[step.id]) for step in steps],
    )


def _group(
    version: VersionRef, step: RunStep, component: ComponentVersion, count: int, site: Site, more: Mapping[str, str]
) -> dict[str, Any]:
    start = launch(component, site)
    env = {**step_env(version, step, component, site, start.component_dir), **more, **start.fetched}
    return {
        "id": step.id,
        "title": f"{step.kind} {component.ref}:{step.function}",
        "count": count,
        "memory": step.memory or component.amount("memory"),
        "cpu": step.cpu or component.amount("cpu"),
        "hooks": step.kind == "trigger" and step.function in component.hooks,
        "credential": credential_secret(version, step, component, site),
        "env": [(Name(name, max(map(len, env))), value) for name, value in env.items()],
        "variables": secret_variables(version, step, site),
        **process_values(version, start, site),
    }


def credential_secret(version: VersionRef, step: RunStep, component: ComponentVersion, site: Site) -> str:
    """The secret of the credential that a step reads in a file; "": it has none, or asks the component API for it."""
    if not step.credential or component.language not in CREDENTIAL_BY_FILE:
        return ""
    return secret_of(site, names.credential_path(version.workspace, step.credential))


def secret_variables(version: VersionRef, step: RunStep, site: Site) -> dict[str, Any]:
    """What `jobspecs/variables.hcl.j2` is given; nothing for a step without such variables."""
    if not step.secret_env or not step.credential:
        return {}
    return {
        "secret": secret_of(site, names.credential_path(version.workspace, step.credential)),
        "members": [(Name(name), Name(member)) for name, member in step.secret_env.items()],
    }


def process_values(version: VersionRef, start: Launch, site: Site) -> dict[str, Any]:
    """What `jobspecs/process.hcl.j2` is given."""
    return {
        "driver": start.driver,
        "command": list(start.command),
        "folder": start.folder,
        "image": start.image,
        "artifact": start.artifact,
        "checksum": start.checksum,
        "registry": _registry(version, start, site),
        "log_mb": site.log_mb,
        "disk_mb": site.disk_mb,
    }


def _registry(version: VersionRef, start: Launch, site: Site) -> str:
    """Where the node reads the password of the image's registry; "" = it needs none, or knows one itself."""
    if not start.registry_credential:
        return ""
    _match(names.CREDENTIAL, start.registry_credential, "credential of the registry")
    return secret_of(site, names.credential_path(version.workspace, start.registry_credential))


def _amqp_uri(version: VersionRef, site: Site) -> str:
    """Address with `%s` for the password. Node's client needs `frameMax`: it asks for too small frames by itself."""
    scheme, _, address = site.amqp.partition("://")
    return (
        f"{scheme}://{version.broker_user}:%s@{address}/{names.vhost(version.workspace)}?frameMax=131072&heartbeat=30"
    )


def object_token(version: VersionRef) -> str:
    """What a step shows to the object store, with `%s` for what is made of its key."""
    return f"{version.api_user}.%s"


def _shown(version: VersionRef, kind: Kind, steps: Sequence[RunStep], description: str) -> Shown:
    path = ", ".join(step.id for step in steps if step.visible)
    text = f"Version {version.number} of the {kind.value} flow {version.ref}: {path}."
    text = f"{description.strip()}\n\n{text}" if description.strip() else text
    return Shown(text if len(text) <= _SHOWN_MAX else text[: _SHOWN_MAX - 1] + "…")


def secret_of(site: Site, path: str) -> str:
    """Where the API of a KV version 2 mount reads a secret."""
    return f"{site.kv_mount}/data/{path}"


def check_names(version: VersionRef, steps: Sequence[RunStep], site: Site) -> None:
    """InputError for a name that must not become part of a path, a label or an address."""
    _match(names.WORKSPACE, version.workspace, "workspace")
    _match(names.FLOW, version.flow, "flow")
    _match(_PATH, site.kv_mount, "the KV mount")
    _match(_AMQP, site.amqp, "the broker's address")
    check_network(site)
    for step in steps:
        _match(_STEP, step.id, "step")
        if step.credential:
            _match(names.CREDENTIAL, step.credential, "credential")
    if len({step.id for step in steps}) != len(steps):
        raise InputError("two steps have the same id")


def _match(pattern: re.Pattern[str], text: str, what: str) -> None:
    if not pattern.fullmatch(text):
        raise InputError(f"{what}: {text!a} is no name that a job spec can hold", hint=f"allowed: {pattern.pattern}")


@cache
def template(name: str) -> Template:
    """A job spec of `jobspecs/`. `[[ value ]]` and `[% statement %]`, because double braces are Nomad's own templates."""
    environment = Environment(  # noqa: S701 - HTML escaping is of no use here; `finalize` escapes for HCL
        loader=FileSystemLoader(data_dir("jobspecs")),
        variable_start_string="[[",
        variable_end_string="]]",
        block_start_string="[%",
        block_end_string="%]",
        comment_start_string="[#",
        comment_end_string="#]",
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
        finalize=hcl,
    )
    return environment.get_template(name)
