"""`component`: the group, and `list|show|versions`: what flows can use, as recorded in Consul."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from nomadflows.cli import output
from nomadflows.cli.commands import COMPONENT_SECTIONS
from nomadflows.cli.root import LazyGroup
from nomadflows.cli.session import Session, pass_session
from nomadflows.model.errors import InputError, NotFound
from nomadflows.model.freshness import deprecated_functions, deprecation, newest

if TYPE_CHECKING:
    from nomadflows.model.component import ComponentVersion
    from nomadflows.model.freshness import Marks


@click.group(cls=LazyGroup, sections=COMPONENT_SECTIONS)
def component() -> None:
    """Deploy, see, deprecate and delete the components that flows can use.

    \b
    Examples:
      nomadflows component list
      nomadflows component deploy ./my-connector
      nomadflows component show sql
    """


@click.command("list")
@pass_session
def list_(session: Session) -> None:
    """List components, each with its newest version and functions.

    \b
    Example:
      nomadflows component list -o json
    """
    rows = []
    for name, found in session.store.components().items():
        marks = session.store.deprecations(name)
        chosen = newest(found, marks) or found[0]
        rows.append(
            {
                "component": chosen.name,
                "version": chosen.version,
                "language": chosen.language,
                "functions": chosen.functions(),
                "title": chosen.descriptor.get("title", ""),
                "deprecated": deprecation(chosen, marks) or None,
            }
        )
    output.emit(
        session.output,
        rows,
        lambda: output.table(
            ["COMPONENT", "VERSION", "LANGUAGE", "FUNCTIONS", "TITLE", "DEPRECATED"],
            [
                [
                    r["component"],
                    r["version"],
                    r["language"],
                    ", ".join(r["functions"]),
                    r["title"],
                    r["deprecated"] or "",
                ]
                for r in rows
            ],
            none="No components are recorded. A controller records the built-in ones when it starts.",
        ),
    )


@click.command()
@click.argument("name", metavar="NAME[@VERSION]")
@pass_session
def show(session: Session, name: str) -> None:
    """Show a component: versions, functions, fields.

    \b
    Examples:
      nomadflows component show files
      nomadflows component show files@1.0.0 -o json
    """
    chosen = named(session, name)
    versions, marks = known(session, chosen.name), session.store.deprecations(chosen.name)
    why = deprecation(chosen, marks)
    output.emit(
        session.output,
        {
            **chosen.to_json(),
            "deprecated": _mark(chosen, marks),
            "deprecated_functions": deprecated_functions(chosen),
        },
        lambda: _text(chosen, [v.version for v in versions], why),
    )


@click.command()
@click.argument("name")
@pass_session
def versions(session: Session, name: str) -> None:
    """List the versions of a component, newest first.

    \b
    Example:
      nomadflows component versions files
    """
    found, marks = known(session, name), session.store.deprecations(name)
    rows = [
        {
            "component": v.name,
            "version": v.version,
            "language": v.language,
            "runs_on": v.location.get("node") or v.location.get("python", ""),
            "deployed": v.at,
            "digest": v.digest,
            "deprecated": _mark(v, marks),
        }
        for v in found
    ]
    output.emit(
        session.output,
        rows,
        lambda: output.table(
            ["VERSION", "LANGUAGE", "RUNS ON", "DEPLOYED", "DIGEST", "DEPRECATED"],
            [
                [
                    r["version"],
                    r["language"],
                    r["runs_on"],
                    r["deployed"],
                    r["digest"][:19],
                    deprecation(v, marks),
                ]
                for r, v in zip(rows, found, strict=True)
            ],
        ),
    )


def known(session: Session, name: str) -> list[ComponentVersion]:
    """All versions of a component, newest first. NotFound if there are none."""
    found = session.store.component_versions(name)
    if not found:
        raise NotFound(f"there is no component {name!r}", hint="nomadflows component list")
    return found


def named(session: Session, text: str) -> ComponentVersion:
    """`name@1.2.3`, or of a `name` the version that a step gets which names none."""
    name, at, number = text.partition("@")
    if at and not number:
        raise InputError(f"a version is missing after @ in {text!r}")
    versions = known(session, name)
    return version_of(versions, number) if number else newest(versions, session.store.deprecations(name)) or versions[0]


def version_of(versions: list[ComponentVersion], number: str) -> ComponentVersion:
    """The one of that number. NotFound says which there are."""
    found = next((version for version in versions if version.version == number), None)
    if found is None:
        raise NotFound(
            f"component {versions[0].name} has no version {number}",
            hint=f"it has {', '.join(version.version for version in versions)}",
        )
    return found


def _mark(version: ComponentVersion, marks: Marks) -> dict[str, Any] | None:
    """Who advises against it, as recorded; what says so itself has only a reason."""
    why = deprecation(version, marks)
    return marks.get(version.ref) or ({"why": why} if why else None)


def _text(version: ComponentVersion, versions: list[str], deprecated: str) -> str:
    descriptor = version.descriptor
    facts = output.fields(
        [
            ("component", version.ref),
            ("title", descriptor.get("title")),
            ("about", descriptor.get("description")),
            ("language", version.language),
            ("image", version.location.get("reference", version.image)),
            ("versions", ", ".join(versions)),
            ("digest", version.digest),
            ("deprecated", deprecated),
            ("credential", ", ".join(descriptor.get("credentials", {}).get("fields", {}))),
        ]
    )
    advised_against = deprecated_functions(version)
    rows = [
        [
            f"{version.name}:{name}",
            f"{kind}, deprecated" if name in advised_against else kind,
            ", ".join(_fields(version.entry(name))),
            version.entry(name).get("title", ""),
        ]
        for name, kind in version.functions().items()
    ]
    return f"{facts}\n\n{output.table(['USE', 'KIND', 'WITH (* required)', 'TITLE'], rows)}"


def _fields(entry: dict[str, Any]) -> list[str]:
    return [f"{name}*" if field.get("required") else name for name, field in entry.get("fields", {}).items()]
