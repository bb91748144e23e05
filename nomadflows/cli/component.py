"""`component list|show`: what flows can use, as recorded in Consul and as this installation ships it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from nomadflows.cli import output
from nomadflows.cli.session import Session, pass_session
from nomadflows.model.errors import InputError, NotFound

if TYPE_CHECKING:
    from nomadflows.model.component import ComponentVersion


@click.group()
def component() -> None:
    """See the components that flows can use.

    \b
    Examples:
      nomadflows component list
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
        {"component": v.name, "version": v.version, "language": v.language, "functions": v.functions(), "title": v.descriptor.get("title", "")}
        for v in newest
    ]
    output.emit(session.output, rows, lambda: output.table(
        ["COMPONENT", "VERSION", "LANGUAGE", "FUNCTIONS", "TITLE"],
        [[r["component"], r["version"], r["language"], ", ".join(r["functions"]), r["title"]] for r in rows],
        none="No components are recorded. A controller records the built-in ones when it starts.",
    ))


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
        raise NotFound(f"component {base} has no version {number}", hint=f"it has {', '.join(v.version for v in versions)}")
    output.emit(session.output, chosen.to_json(), lambda: _text(chosen, [v.version for v in versions]))


def _text(version: ComponentVersion, versions: list[str]) -> str:
    descriptor = version.descriptor
    facts = output.fields([
        ("component", version.ref),
        ("title", descriptor.get("title")),
        ("about", descriptor.get("description")),
        ("language", version.language),
        ("versions", ", ".join(versions)),
        ("digest", version.digest),
        ("credential", ", ".join(descriptor.get("credentials", {}).get("fields", {}))),
    ])
    rows = [
        [f"{version.name}:{name}", kind, ", ".join(_fields(version.entry(name))), version.entry(name).get("title", "")]
        for name, kind in version.functions().items()
    ]
    return f"{facts}\n\n{output.table(['USE', 'KIND', 'WITH (* required)', 'TITLE'], rows)}"


def _fields(entry: dict[str, Any]) -> list[str]:
    return [f"{name}*" if field.get("required") else name for name, field in entry.get("fields", {}).items()]
