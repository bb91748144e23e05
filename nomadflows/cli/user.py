"""`user add|list|remove` and `user key create|list|revoke`: who may use the REST API, and with what keys."""

from __future__ import annotations

import click

from nomadflows.cli import output
from nomadflows.cli.session import Session, pass_session
from nomadflows.model.roles import Role

name_argument = click.argument("name", metavar="USER")


@click.group()
def user() -> None:
    """Let people and programs use the REST API.

    A user has a role in each workspace: a guest reads; an integrator also changes, publishes, starts and stops flows,
    and sets credentials; an owner also changes members and the workspace, and deletes flows for good.

    \b
    Examples:
      nomadflows user add anna@example.com --role integrator
      nomadflows user key create anna@example.com --note laptop
      nomadflows user list
    """


@user.command()
@name_argument
@click.option("--role", type=click.Choice([role.value for role in Role]), required=True, help="In the workspace.")
@pass_session
def add(session: Session, *, name: str, role: str) -> None:
    """Make somebody a member of the workspace, or give a member another role.

    \b
    Examples:
      nomadflows user add anna@example.com --role owner
      nomadflows user add build-server --role integrator -w sales
    """
    from nomadflows.store import users

    workspace = session.settings.workspace
    changed = users.set_role(session.store, name, workspace, Role(role))
    said = f"{name} is {role} of workspace {workspace}"
    if not changed.keys:
        said += f"\n  next: nomadflows user key create {name}"
    output.emit(session.output, {"user": name, "workspace": workspace, "role": role}, lambda: said)


@user.command("list")
@click.option("--all", "-a", "everywhere", is_flag=True, help="Members of all workspaces.")
@pass_session
def list_(session: Session, *, everywhere: bool) -> None:
    """List the members of the workspace and their roles.

    \b
    Examples:
      nomadflows user list
      nomadflows user list --all -o json
    """
    from nomadflows.store import users

    workspace = session.settings.workspace
    rows = [
        {"user": known.name, "workspace": name, "role": role.value, "keys": len(known.keys)}
        for known in users.everybody(session.store)
        for name, role in (sorted(known.roles.items()) if everywhere else known.roles.items())
        if everywhere or name == workspace
    ]
    output.emit(
        session.output,
        rows,
        lambda: output.table(
            ["USER", "WORKSPACE", "ROLE", "KEYS"],
            [list(row.values()) for row in rows],
            none=f"Nobody but you: `nomadflows user add NAME --role ROLE -w {workspace}` makes a member.",
        ),
    )


@user.command()
@name_argument
@click.option("--everywhere", is_flag=True, help="From all workspaces, with all keys.")
@pass_session
def remove(session: Session, *, name: str, everywhere: bool) -> None:
    """Take somebody out of the workspace. Keys and other workspaces stay, unless --everywhere.

    \b
    Examples:
      nomadflows user remove anna@example.com
      nomadflows user remove anna@example.com --everywhere
    """
    from nomadflows.store import users

    workspace = session.settings.workspace
    if everywhere:
        users.delete(session.store, name)
        said = f"{name} is removed; no key of theirs is good any more"
    else:
        users.remove_role(session.store, name, workspace)
        said = f"{name} is no member of workspace {workspace} any more"
    data = {"user": name, "workspace": None if everywhere else workspace, "removed": True}
    output.emit(session.output, data, lambda: said)


@user.group()
def key() -> None:
    """Create, list and revoke a user's API keys.

    \b
    Examples:
      nomadflows user key create anna@example.com --note laptop
      nomadflows user key revoke anna@example.com 3f9a1c2b
    """


@key.command()
@name_argument
@click.option("--note", default="", metavar="TEXT", help="Where it is used; shown in the list.")
@pass_session
def create(session: Session, *, name: str, note: str) -> None:
    """Make an API key. It is shown once: only its hash is kept.

    \b
    Examples:
      nomadflows user key create anna@example.com --note laptop
      nomadflows user key create build-server -o json | jq -r .key > key && chmod 600 key
    """
    from nomadflows.store import users

    key_id, made = users.create_key(session.store, name, by=session.user, note=note)
    address = session.settings.gateway_url
    said = f"{made}\n\nKeep it: it is not shown again. Use it as\n  curl -u '{name}:<key>' {address}/v2/users/me"
    output.emit(session.output, {"user": name, "id": key_id, "key": made}, lambda: said)


@key.command("list")
@name_argument
@pass_session
def list_keys(session: Session, *, name: str) -> None:
    """List a user's keys: when each was made, by whom, and what for.

    \b
    Example:
      nomadflows user key list anna@example.com
    """
    from nomadflows.store import users

    known = users.existing(session.store, name).value
    rows = [{"id": found, "at": one.at, "by": one.by, "note": one.note} for found, one in known.keys.items()]
    output.emit(
        session.output,
        rows,
        lambda: output.table(
            ["ID", "MADE AT", "BY", "NOTE"],
            [list(row.values()) for row in rows],
            none=f"{name} has no key. `nomadflows user key create {name}` makes one.",
        ),
    )


@key.command()
@name_argument
@click.argument("key_id", metavar="ID")
@pass_session
def revoke(session: Session, *, name: str, key_id: str) -> None:
    """End a key, at once and for good.

    \b
    Example:
      nomadflows user key revoke anna@example.com 3f9a1c2b
    """
    from nomadflows.store import users

    users.revoke_key(session.store, name, key_id)
    output.emit(session.output, {"user": name, "id": key_id, "revoked": True}, lambda: f"key {key_id} is revoked")
