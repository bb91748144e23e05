"""`component deploy|build|deprecate|delete`: a version comes, is advised against, goes."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nomadflows.cli import output
from nomadflows.cli.component import known as known_versions
from nomadflows.cli.component import version_of
from nomadflows.cli.session import Session, pass_session
from nomadflows.model.descriptor import FIRST_PERSISTENT, is_forgetful
from nomadflows.model.errors import InputError, Refused, ServerUnreachable
from nomadflows.model.freshness import pins, uses
from nomadflows.model.states import timestamp, utc_now

if TYPE_CHECKING:
    from nomadflows.artifact.client import ArtifactStore
    from nomadflows.model.component import ComponentVersion
    from nomadflows.store import FlowRecord


@click.command()
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
@click.option("--name", default="", help="What flows call it; default: the folder's or the image's name.")
@click.option("--image", metavar="REF", default="", help="Deploy an image instead of a folder.")
@click.option(
    "--registry-credential",
    metavar="NAME",
    default="",
    help="Credential (username, password) by which nodes fetch the image.",
)
@pass_session
def deploy(session: Session, *, folder: Path | None, name: str, image: str, registry_credential: str) -> None:
    """Make the folder DIR, or an image, the next version of a component.

    DIR holds a component.json. With a package.json it is a Node component of elastic.io's kind: its packages are
    installed by npm, from the lock file where there is one; a Python component's come from its requirements.txt. All of
    it is packed into one file for the artifact store. What runs keeps the version it started with.

    An image has its component.json in its working directory. What is recorded is the image's content: another image
    that gets the same tag later is another version. Its steps run in Docker, those of folders as processes of the node.

    \b
    Examples:
      nomadflows component deploy ./my-connector
      nomadflows component deploy ./checkout/splitter-component --name splitter
      nomadflows component deploy --image registry.example/edi:1.4.0
    """
    if (folder is None) == (not image):
        raise InputError("what is to be deployed? Write DIR or --image REF")
    if registry_credential and not image:
        raise InputError("--registry-credential belongs to --image")
    if folder is not None:
        made = deployed(session, folder, name)
    else:
        made = _deployed_image(session, image, name, registry_credential)
    if is_forgetful(made.library):
        click.echo(
            f"Note: {made.ref} runs by version {made.library} of Node's library, whose messages are lost if the broker is "
            f"restarted; from {FIRST_PERSISTENT} on they are kept.",
            err=True,
        )
    output.emit(session.output, made.to_json(), lambda: f"{made.ref} is deployed: {', '.join(made.functions())}")


def deployed(session: Session, folder: Path, name: str = "", *, version: str = "") -> ComponentVersion:
    """The new version, packed, stored and recorded. Refused unless it comes after those that are there. `version`:
    instead of what the folder says."""
    from nomadflows.dependencies import is_locked
    from nomadflows.packing import pack, read_component
    from nomadflows.store import components

    settings = session.settings
    found = read_component(folder, name, settings.step_node, settings.step_python)
    found = replace(found, version=version or found.version)
    components.check_new(session.store, found)
    if found.language == "node" and not is_locked(folder):
        click.echo(
            f"Note: {folder} has no lock file, so npm chooses the versions of its packages now, and others another time. "
            "`npm install --package-lock-only` writes one.",
            err=True,
        )
    with tempfile.TemporaryDirectory(prefix="nomadflows-") as fresh:
        packed = Path(fresh) / "component.tar.gz"
        made = pack(found, folder, packed, settings.step_python, settings.step_node)
        artifacts, sha256 = _artifacts(session), made.location["artifact"]
        artifacts.put(packed, sha256)
        components.record(session.store, made)
        artifacts.put_if_missing(packed, sha256)  # a version with the same files was deleted meanwhile
    return made


def _deployed_image(session: Session, image: str, name: str, credential: str) -> ComponentVersion:
    from nomadflows.images import read_image
    from nomadflows.model.names import CREDENTIAL
    from nomadflows.store import components

    if credential and not CREDENTIAL.fullmatch(credential):
        raise InputError(f"not the name of a credential: {credential!r}", hint="nomadflows credential list")
    found = read_image(image, name, credential)
    components.record(session.store, found)
    return found


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--name", default="", help="What flows call it; default: the folder's name.")
@click.option("--base", metavar="IMAGE", default="", help="Image to build upon; default: the setting base_image.")
@click.option("--tag", metavar="REF", default="", help="What to call the image; default: nomadflows/NAME:VERSION.")
@pass_session
def build(session: Session, *, folder: Path, name: str, base: str, tag: str) -> None:
    """Make an image of the component in the folder DIR, by the Docker of this machine.

    Nothing is deployed yet. A Dockerfile in DIR is used as it is, with the base image as its build argument BASE; without
    one the component is copied into the base image. servers/base-image makes that one from Debian's packages.

    \b
    Examples:
      nomadflows component build ./my-connector
      nomadflows component build ./my-connector --tag registry.example/my-connector:1.2.0
    """
    from nomadflows.images import build_image

    settings = session.settings
    made, reference = build_image(folder, name, base or settings.base_image, tag, settings.step_node)
    output.emit(
        session.output,
        {"component": made.ref, "image": reference},
        lambda: f"{reference} is built; next: nomadflows component deploy --image {reference}",
    )


def _artifacts(session: Session) -> ArtifactStore:
    from nomadflows.artifact.client import ArtifactStore

    settings = session.settings
    return ArtifactStore(
        settings.artifacts,
        session.vault.artifact_key,
        authorization=settings.artifact_authorization,
        timeout=settings.timeout,
    )


@click.command()
@click.argument("name", metavar="NAME@VERSION")
@click.option("--why", default="", metavar="TEXT", help="What is wrong with it, or what to use instead.")
@click.option("--undo", is_flag=True, help="Take the mark away.")
@pass_session
def deprecate(session: Session, name: str, why: str, undo: bool) -> None:
    """Advise against a version. What runs it goes on; `flow list --outdated` names those flows.

    A step that names no version gets the newest one without this mark, as long as there is one.

    \b
    Examples:
      nomadflows component deprecate my-connector@1.1.0 --why "loses time zones"
      nomadflows component deprecate my-connector@1.1.0 --undo
    """
    chosen = _chosen(session, name)
    mark = None if undo else {"why": why, "by": session.user, "at": timestamp(utc_now())}
    session.store.put_deprecation(chosen.name, chosen.version, mark)
    said = "is not deprecated any more" if undo else "is deprecated"
    output.emit(session.output, {"component": chosen.ref, "deprecated": mark}, lambda: f"{chosen.ref} {said}")


@click.command()
@click.argument("name", metavar="NAME@VERSION")
@pass_session
def delete(session: Session, name: str) -> None:
    """Delete a version of a component that no flow uses, and its files. An image stays in its registry.

    \b
    Example:
      nomadflows component delete my-connector@1.0.0
    """
    chosen = _chosen(session, name)
    remove(session, chosen)
    image = str(chosen.location.get("reference", chosen.image))
    left = f"; its image {image} stays where it is" if image else ""
    output.emit(
        session.output, {"deleted": chosen.ref, "image": image or None}, lambda: f"{chosen.ref} is deleted{left}"
    )


def remove(session: Session, chosen: ComponentVersion) -> None:
    """The version and its files. Refused while flows need it."""
    from nomadflows.store import components

    if "builtin" in chosen.location:
        raise Refused(f"{chosen.ref} is built in: the next controller would record it again")
    if users := _users(session, chosen):
        raise Refused(
            f"{chosen.ref} is used by {', '.join(users)}",
            hint="stop them, or publish versions of them that use another (`nomadflows flow update-components`)",
        )
    components.remove(session.store, chosen)
    _drop_files(session, chosen)


def _drop_files(session: Session, gone: ComponentVersion) -> None:
    """From the artifact store, unless another version has the same. Versions come first: files that nobody names any
    more do no harm."""
    artifact = gone.location.get("artifact")
    others = {version.location.get("artifact") for found in session.store.components().values() for version in found}
    if artifact and artifact not in others:
        try:
            _artifacts(session).remove(artifact)
        except ServerUnreachable as error:
            click.echo(f"Its files are still in the artifact store: {error.message}", err=True)


def _chosen(session: Session, name: str) -> ComponentVersion:
    base, _, number = name.partition("@")
    if not number:
        raise InputError("which version? Write NAME@VERSION", hint=f"nomadflows component versions {base}")
    return version_of(known_versions(session, base), number)


def _users(session: Session, version: ComponentVersion) -> list[str]:
    """Flows that could not go on, start or be published without it, each with how it uses the version."""
    last = len(session.store.component_versions(version.name)) == 1
    found = ((record, _use(session, record, version, last=last)) for record in session.store.flows())
    return [f"{record.ref} ({use})" for record, use in found if use]


def _use(session: Session, record: FlowRecord, version: ComponentVersion, *, last: bool) -> str:
    status = record.status.value
    if version.ref in {*status.components.values(), *status.incoming_components.values()}:
        return str(status.state)
    latest = session.store.version(record.ref.version(record.meta.value.latest)) if record.meta.value.latest else None
    draft = session.store.draft(record.ref) if record.has_draft else None
    for what, definition in (
        (f"version {record.meta.value.latest}", latest and latest["definition"]),
        ("draft", draft and draft.value["definition"]),
    ):
        if definition and (version.ref in pins(definition).values() or (last and uses(definition, version.name))):
            return what
    return ""
