"""`workspace create|set|list|show`: a workspace is full or limited, and named in Nomad, RabbitMQ, Vault and Consul."""

from __future__ import annotations

from typing import Any

import click

from nomadflows.cli import output
from nomadflows.cli.session import Session, pass_session
from nomadflows.model.errors import InputError, NotFound, Refused
from nomadflows.model.limits import Holding, holding, written
from nomadflows.model.names import WORKSPACE
from nomadflows.model.states import WorkspaceType

Json = dict[str, Any]

_DEFAULT = "default"
_INHERIT = "inherit"
_NAME_HINT = "lower-case letters, digits and dashes, 40 at most, no dash at either end"


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
    if not WORKSPACE.fullmatch(name):
        raise InputError(f"not a workspace name: {name!r}", hint=_NAME_HINT)
    if session.store.workspace(name) is not None:
        raise Refused(f"workspace {name} exists already", hint=f"nomadflows workspace show {name}")
    session.store.put_workspace(name, {"type": type_}, cas=0)
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
    asked = {key: value for key, value in (("messages", queue_messages), ("bytes", queue_bytes)) if value is not None}
    if installation == (name is not None):
        raise InputError("name a workspace, or write --installation")
    if installation and type_ is not None:
        raise InputError("an installation has no type; a workspace has")
    if type_ is None and not asked:
        raise InputError("nothing to set", hint="--type, --queue-messages, --queue-bytes")
    subject = "installation" if name is None else f"workspace {name}"
    if name is None:
        _set_installation(session, asked)
    else:
        _set_workspace(session, name, type_, asked)
    data = _described(session, name)
    output.emit(session.output, data, lambda: _set_text(subject, data))


def _set_installation(session: Session, asked: dict[str, str]) -> None:
    found = session.store.installation_limits()
    limits = _changed(found.value if found else {}, asked, "installation")
    session.store.put_installation_limits(limits, cas=found.index if found else 0)


def _set_workspace(session: Session, name: str, type_: str | None, asked: dict[str, str]) -> None:
    found = session.store.workspace(name)
    if found is None and name != _DEFAULT and not (WORKSPACE.fullmatch(name) and session.store.flow_refs(name)):
        raise NotFound(f"there is no workspace {name!r}", hint=f"nomadflows workspace create {name}")
    document = {"type": WorkspaceType.FULL.value, **(found.value if found else {})}
    if type_ is not None:
        document["type"] = type_
    if asked:
        document["limits"] = _changed(document.get("limits", {}), asked, "workspace")
    session.store.put_workspace(name, document, cas=found.index if found else 0)


def _changed(limits: Json, asked: dict[str, str], level: str) -> Json:
    """InputError if what is asked for is no limit."""
    kept = {key: value for key, value in limits.items() if key not in asked}
    said = {key: int(text) if text.isdecimal() else text for key, text in asked.items() if text != _INHERIT}
    return kept | written(said, level)


def _described(session: Session, name: str | None) -> Json:
    """A workspace, or the installation, and what holds for queues in it."""
    found = session.store.workspace(name) if name else None
    installed = session.store.installation_limits()
    own: Json = found.value if found else {}
    held = holding({"workspace": own.get("limits"), "installation": installed.value if installed else None})
    named = {"workspace": name, "type": WorkspaceType.FULL.value} if name else {}
    return {**named, **own, "queues": _queues(held)}


def _queues(held: Holding) -> Json:
    return {key: {"limit": value, "from": held.origin[key]} for key, value in held.limits.to_json().items()}


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
    data = {**_described(session, name), "flows": [ref.flow for ref in flows]}
    output.emit(session.output, data, lambda: output.fields(_fields(data)))


def _fields(data: Json) -> list[tuple[str, object]]:
    shown = {**data, "queues": _queues_text(data["queues"]), "flows": ", ".join(data["flows"])}
    return [(key, value) for key, value in shown.items() if key != "limits"]  # they are told with the queues
