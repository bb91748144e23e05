"""`workspace create|list|show`: a workspace is full or limited, and named in Nomad, RabbitMQ, Vault and Consul."""

from __future__ import annotations

import click

from nomadflows.cli import output
from nomadflows.cli.session import Session, pass_session
from nomadflows.model.errors import InputError, NotFound, Refused
from nomadflows.model.names import WORKSPACE
from nomadflows.model.states import WorkspaceType

_NAME_HINT = "lower-case letters, digits and dashes, 40 at most, no dash at either end"


@click.group()
def workspace() -> None:
    """Create, list and show workspaces.

    The workspace `default` is full and need not be created.

    \b
    Examples:
      nomadflows workspace create trial --type limited
      nomadflows workspace list
    """


@workspace.command()
@click.argument("name")
@click.option("--type", "type_", type=click.Choice([t.value for t in WorkspaceType]), default="full", show_default=True)
@pass_session
def create(session: Session, name: str, type_: str) -> None:
    """Record a workspace. A limited one stops flows where a full one suspends them, and 8 h after their start.

    \b
    Example:
      nomadflows workspace create trial --type limited
    """
    if not WORKSPACE.fullmatch(name):
        raise InputError(f"not a workspace name: {name!r}", hint=_NAME_HINT)
    if session.store.workspace(name) is not None:
        raise Refused(f"workspace {name} exists already", hint=f"nomadflows workspace show {name}")
    session.store.put_workspace(name, {"type": type_}, cas=0)
    output.emit(session.output, {"workspace": name, "type": type_}, lambda: f"workspace {name} is created, {type_}")


@workspace.command("list")
@pass_session
def list_(session: Session) -> None:
    """List workspaces and how many flows each holds.

    \b
    Example:
      nomadflows workspace list -o json
    """
    known = session.store.workspaces()
    counts: dict[str, int] = dict.fromkeys(known, 0)
    for ref in session.store.flow_refs():
        counts[ref.workspace] = counts.get(ref.workspace, 0) + 1
    rows = [
        {"workspace": name, "type": known.get(name, {}).get("type", "full"), "flows": counts[name]}
        for name in sorted(counts)
    ]
    output.emit(
        session.output,
        rows,
        lambda: output.table(
            ["WORKSPACE", "TYPE", "FLOWS"],
            [[r["workspace"], r["type"], r["flows"]] for r in rows],
            none="No workspace is recorded, and no flow. The first flow makes its workspace.",
        ),
    )


@workspace.command()
@click.argument("name")
@pass_session
def show(session: Session, name: str) -> None:
    """Show one workspace.

    \b
    Example:
      nomadflows workspace show default
    """
    found = session.store.workspace(name)
    flows = session.store.flow_refs(name) if WORKSPACE.fullmatch(name) else []
    if found is None and not flows:
        raise NotFound(f"there is no workspace {name!r}", hint="nomadflows workspace list")
    data = {
        "workspace": name,
        "type": WorkspaceType.FULL.value,
        **(found.value if found else {}),
        "flows": [ref.flow for ref in flows],
    }
    output.emit(
        session.output,
        data,
        lambda: output.fields(
            [(key, ", ".join(map(str, value)) if isinstance(value, list) else value) for key, value in data.items()]
        ),
    )
