"""`workspace create|set|list|show`: a workspace is full or limited, and named in Nomad, RabbitMQ, Vault and Consul."""

from __future__ import annotations

from typing import Any

import click

from nomadflows.cli import output
from nomadflows.cli.session import Session, pass_session
from nomadflows.model.errors import InputError
from nomadflows.model.states import WorkspaceType

Json = dict[str, Any]

_INHERIT = "inherit"


@click.group()
def workspace() -> None:
    """Create, set, list and show workspaces.

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
    from nomadflows.store import workspaces

    workspaces.create(session.store, name, WorkspaceType(type_))
    output.emit(session.output, {"workspace": name, "type": type_}, lambda: f"workspace {name} is created, {type_}")


@workspace.command("set")
@click.argument("name", required=False)
@click.option("--installation", is_flag=True, help="What holds in every workspace that does not say otherwise.")
@click.option("--type", "type_", type=click.Choice([t.value for t in WorkspaceType]), help="full or limited.")
@click.option("--queue-messages", metavar="N", help="Messages one step's queue holds; `inherit`: no word of its own.")
@click.option("--queue-bytes", metavar="SIZE", help="Bytes one step's queue holds, such as 100MiB; or `inherit`.")
@pass_session
def set_(
    session: Session,
    *,
    name: str | None,
    installation: bool,
    type_: str | None,
    queue_messages: str | None,
    queue_bytes: str | None,
) -> None:
    """Change a workspace's type, or how much queues hold: of versions published from now on.

    A limit in a flow file counts first, then the workspace's, then the installation's. Published versions keep theirs.

    \b
    Examples:
      nomadflows workspace set trial --queue-messages 5000 --queue-bytes 50MiB
      nomadflows workspace set trial --queue-messages inherit
      nomadflows workspace set --installation --queue-messages 20000
    """
    from nomadflows.store import workspaces

    given = {"messages": queue_messages, "bytes": queue_bytes}
    asked = {key: _as_written(text) for key, text in given.items() if text is not None}
    if installation == (name is not None):
        raise InputError("name a workspace, or write --installation")
    if installation and type_ is not None:
        raise InputError("an installation has no type; a workspace has")
    if type_ is None and not asked:
        raise InputError("nothing to set", hint="--type, --queue-messages, --queue-bytes")
    subject = "installation" if name is None else f"workspace {name}"
    if name is None:
        workspaces.change_installation(session.store, asked)
    else:
        workspaces.change(session.store, name, type_=WorkspaceType(type_) if type_ else None, limits=asked)
    data = workspaces.described(session.store, name)
    output.emit(session.output, data, lambda: _set_text(subject, data))


def _as_written(text: str) -> int | str | None:
    if text == _INHERIT:
        return None
    return int(text) if text.isdecimal() else text


def _set_text(subject: str, data: Json) -> str:
    kind = f" is {data['type']};" if "type" in data else ":"
    return (
        f"{subject}{kind} queues of versions published from now on hold {_queues_text(data['queues'])},\n"
        "unless their flow says otherwise; versions published before keep theirs"
    )


def _queues_text(queues: Json) -> str:
    from nomadflows.model.units import size_text

    messages, size = queues["messages"], queues["bytes"]
    return f"{messages['limit']:,} messages ({messages['from']}), {size_text(size['limit'])} ({size['from']})"


@workspace.command("list")
@pass_session
def list_(session: Session) -> None:
    """List workspaces and how many flows each holds.

    \b
    Example:
      nomadflows workspace list -o json
    """
    from nomadflows.store import workspaces

    rows = workspaces.listed(session.store)
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
    from nomadflows.store import workspaces

    data = workspaces.shown(session.store, name)
    output.emit(session.output, data, lambda: output.fields(_fields(data)))


def _fields(data: Json) -> list[tuple[str, object]]:
    shown = {**data, "queues": _queues_text(data["queues"]), "flows": ", ".join(data["flows"])}
    return [(key, value) for key, value in shown.items() if key != "limits"]  # they are told with the queues
