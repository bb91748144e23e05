"""`component list|show|versions|deploy|delete`: what flows can use, as recorded in Consul."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nomadflows.cli import output
from nomadflows.cli.session import Session, pass_session
from nomadflows.model.errors import InputError, NotFound, Refused

if TYPE_CHECKING:
    from nomadflows.model.component import ComponentVersion


@click.group()
def component() -> None:
    """See, deploy and delete the components that flows can use.

    \b
    Examples:
      nomadflows component list
      nomadflows component deploy ./my-connector
      nomadflows component show sql
    """


@component.command("list")
@pass_session
def list_(session: Session) -> None:
    """List components, each with its newest version and functions.

    \b
    Example:
      nomadflows component list -o json
    """
    newest = [versions[0] for versions in session.store.components().values()]
    rows = [
        {
            "component": v.name,
            "version": v.version,
            "language": v.language,
            "functions": v.functions(),
            "title": v.descriptor.get("title", ""),
        }
        for v in newest
    ]
    output.emit(
        session.output,
        rows,
        lambda: output.table(
            ["COMPONENT", "VERSION", "LANGUAGE", "FUNCTIONS", "TITLE"],
            [[r["component"], r["version"], r["language"], ", ".join(r["functions"]), r["title"]] for r in rows],
            none="No components are recorded. A controller records the built-in ones when it starts.",
        ),
    )


@component.command()
@click.argument("name", metavar="NAME[@VERSION]")
@pass_session
def show(session: Session, name: str) -> None:
    """Show a component: versions, functions, fields.

    \b
    Examples:
      nomadflows component show files
      nomadflows component show files@1.0.0 -o json
    """
    base, at, number = name.partition("@")
    if at and not number:
        raise InputError(f"a version is missing after @ in {name!r}")
    versions = session.store.component_versions(base)
    if not versions:
        raise NotFound(f"there is no component {base!r}", hint="nomadflows component list")
    chosen = next((v for v in versions if number in {"", v.version}), None)
    if chosen is None:
        raise NotFound(
            f"component {base} has no version {number}", hint=f"it has {', '.join(v.version for v in versions)}"
        )
    output.emit(session.output, chosen.to_json(), lambda: _text(chosen, [v.version for v in versions]))


@component.command()
@click.argument("name")
@pass_session
def versions(session: Session, name: str) -> None:
    """List the versions of a component, newest first.

    \b
    Example:
      nomadflows component versions files
    """
    rows = [
        {
            "component": v.name,
            "version": v.version,
            "language": v.language,
            "node": v.location.get("node", ""),
            "deployed": v.at,
            "digest": v.digest,
        }
        for v in _known(session, name)
    ]
    output.emit(
        session.output,
        rows,
        lambda: output.table(
            ["VERSION", "LANGUAGE", "NODE", "DEPLOYED", "DIGEST"],
            [[r["version"], r["language"], r["node"], r["deployed"], r["digest"][:19]] for r in rows],
        ),
    )


@component.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--name", default="", help="What flows call it; default: the folder's name.")
@pass_session
def deploy(session: Session, folder: Path, name: str) -> None:
    """Make the folder DIR the next version of a component.

    DIR holds a component.json. With a package.json it is a Node component of elastic.io's kind: its packages are
    installed by npm, from the lock file where there is one. Running flows keep the version they started with.

    \b
    Examples:
      nomadflows component deploy ./my-connector
      nomadflows component deploy ./checkout/splitter-component --name splitter
    """
    from nomadflows.model.descriptor import check_newer
    from nomadflows.packing import install, read_component
    from nomadflows.settings import home

    found = read_component(folder, name, session.settings.step_node)
    known = session.store.component_versions(found.name)
    if any("builtin" in version.location for version in known):
        raise Refused(f"{found.name} is a built-in component", hint="--name gives yours another name")
    check_newer(found.name, found.version, [version.version for version in known])
    made = install(found, folder, home())
    session.store.put_component(made)
    output.emit(session.output, made.to_json(), lambda: f"{made.ref} is deployed: {', '.join(made.functions())}")


@component.command()
@click.argument("name", metavar="NAME@VERSION")
@pass_session
def delete(session: Session, name: str) -> None:
    """Delete a version of a component that no started flow uses.

    \b
    Example:
      nomadflows component delete my-connector@1.0.0
    """
    from nomadflows.packing import uninstall
    from nomadflows.settings import home

    base, _, number = name.partition("@")
    if not number:
        raise InputError("which version? Write NAME@VERSION", hint=f"nomadflows component versions {base}")
    chosen = next((version for version in _known(session, base) if version.version == number), None)
    if chosen is None:
        raise NotFound(f"component {base} has no version {number}", hint=f"nomadflows component versions {base}")
    if "builtin" in chosen.location:
        raise Refused(f"{chosen.ref} is built in: the next controller would record it again")
    users = [
        str(record.ref)
        for record in session.store.flows()
        if chosen.ref in {*record.status.value.components.values(), *record.status.value.incoming_components.values()}
    ]
    if users:
        raise Refused(
            f"{chosen.ref} is used by {', '.join(users)}", hint="stop them, or publish versions that use another"
        )
    session.store.delete_component(base, number)
    uninstall(chosen, home())
    output.emit(session.output, {"deleted": chosen.ref}, lambda: f"{chosen.ref} is deleted")


def _known(session: Session, name: str) -> list[ComponentVersion]:
    found = session.store.component_versions(name)
    if not found:
        raise NotFound(f"there is no component {name!r}", hint="nomadflows component list")
    return found


def _text(version: ComponentVersion, versions: list[str]) -> str:
    descriptor = version.descriptor
    facts = output.fields(
        [
            ("component", version.ref),
            ("title", descriptor.get("title")),
            ("about", descriptor.get("description")),
            ("language", version.language),
            ("versions", ", ".join(versions)),
            ("digest", version.digest),
            ("credential", ", ".join(descriptor.get("credentials", {}).get("fields", {}))),
        ]
    )
    rows = [
        [f"{version.name}:{name}", kind, ", ".join(_fields(version.entry(name))), version.entry(name).get("title", "")]
        for name, kind in version.functions().items()
    ]
    return f"{facts}\n\n{output.table(['USE', 'KIND', 'WITH (* required)', 'TITLE'], rows)}"


def _fields(entry: dict[str, Any]) -> list[str]:
    return [f"{name}*" if field.get("required") else name for name, field in entry.get("fields", {}).items()]
