"""`credential set|list|verify|delete`: secrets go to Vault and are never printed again.

A value may come from a hidden prompt, from stdin, or from a file, so that it need not stand in a command line,
which other users of the machine and the shell's history can read.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nomadflows.cli import output
from nomadflows.cli.session import Session, pass_session
from nomadflows.model.errors import InputError
from nomadflows.model.freshness import component_of
from nomadflows.model.names import CREDENTIAL, CREDENTIAL_RULE

if TYPE_CHECKING:
    from nomadflows.store.documents import FlowRecord

_PROMPT = "-"
_OF_WEBHOOKS = {"key", "secret", "header", "algorithm"}  # members that say nothing without a `type`


@click.group()
def credential() -> None:
    """Keep the secrets that steps need in Vault.

    \b
    Examples:
      nomadflows credential set warehouse-db url=-
      nomadflows credential list
    """


@credential.command("set")
@click.argument("name")
@click.argument("members", nargs=-1, metavar="[KEY=VALUE|KEY=@FILE|KEY=-]...")
@click.option("--stdin", "from_stdin", is_flag=True, help="Read a JSON object of texts from stdin.")
@pass_session
def set_(session: Session, *, name: str, members: tuple[str, ...], from_stdin: bool) -> None:
    """Store a credential; it replaces one of that name as a whole.

    KEY=- asks for the value without showing it. KEY=@FILE takes what a file holds, without the line end at its
    end. KEY=VALUE is for values that are no secret: a command line can be seen by others. KEY=@@TEXT is the value
    @TEXT. Without members the command asks for keys and values until an empty key.

    \b
    Examples:
      nomadflows credential set warehouse-db url=-
      nomadflows credential set crm user=robot password=@/run/secrets/crm
      pass show crm.json | nomadflows credential set crm --stdin
    """
    _check_name(name)
    if from_stdin and members:
        raise click.UsageError("--stdin takes no KEY=VALUE beside it")
    values = _from_stdin() if from_stdin else _from_members(members) if members else _ask()
    workspace = session.settings.workspace
    session.vault.set_credential(workspace, name, values)
    keys = sorted(values)
    if values.keys() <= _OF_WEBHOOKS:
        click.echo("Note: a webhook takes this only with a `type` beside it: api_key or hmac.", err=True)
    output.emit(
        session.output,
        {"workspace": workspace, "credential": name, "keys": keys},
        lambda: f"credential {name} of workspace {workspace} is set: {', '.join(keys)}",
    )


@credential.command("list")
@pass_session
def list_(session: Session) -> None:
    """List credentials and their keys, never their values.

    \b
    Examples:
      nomadflows credential list
      nomadflows credential list -w sales -o json
    """
    workspace = session.settings.workspace
    rows = [
        {"credential": name, "keys": sorted(session.vault.read_credential(workspace, name) or {})}
        for name in sorted(session.vault.credential_names(workspace))
    ]
    output.emit(
        session.output,
        rows,
        lambda: output.table(
            ["CREDENTIAL", "KEYS"],
            [[row["credential"], ", ".join(row["keys"])] for row in rows],
            none=f"Workspace {workspace} has no credentials. `nomadflows credential set NAME KEY=-` stores one.",
        ),
    )


@credential.command()
@click.argument("name")
@click.option("--component", default="", metavar="NAME[@VERSION]", help="Who checks it; default: whose steps use it.")
@pass_session
def verify(session: Session, *, name: str, component: str) -> None:
    """Let the component that works with a credential check it. Exit code 1 if it says no.

    \b
    Example:
      nomadflows credential verify warehouse-db
    """
    from nomadflows.cli.component_ask import verify_credential

    verify_credential(session, component or _used_by(session, name), name)


@credential.command()
@click.argument("name")
@pass_session
def delete(session: Session, name: str) -> None:
    """Delete a credential. Refused, with the flows named, while one runs, could be started or published with it.

    \b
    Example:
      nomadflows credential delete warehouse-db
    """
    from nomadflows.store.credential_use import check_unused

    workspace = session.settings.workspace
    check_unused(session.store, workspace, name)
    session.vault.delete_credential(workspace, name)
    output.emit(
        session.output,
        {"workspace": workspace, "deleted": name},
        lambda: f"credential {name} of workspace {workspace} is deleted",
    )


def _used_by(session: Session, name: str) -> str:
    """The one component whose steps name the credential, in any version or draft of a flow."""
    found = {
        component_of(step)
        for record in session.store.flows(session.settings.workspace)
        for step in _steps(session, record)
        if step.get("credential") == name
    }
    if len(found) != 1:
        used = f"it is used by {', '.join(sorted(found))}" if found else "no flow uses it"
        raise InputError(f"which component is to check credential {name}? {used}", hint="--component NAME says which")
    return found.pop()


def _steps(session: Session, record: FlowRecord) -> Iterator[dict[str, Any]]:
    """Of every published version and of the draft."""
    draft = session.store.draft(record.ref)
    published = [version["definition"] for version in session.store.versions(record.ref)]
    for definition in (*published, draft.value["definition"] if draft else {}):
        yield from definition.get("steps", ())


def _check_name(name: str) -> None:
    if not CREDENTIAL.fullmatch(name):
        raise InputError(f"not a credential name: {name!r}", hint=CREDENTIAL_RULE)


def _from_members(members: Sequence[str]) -> dict[str, str]:
    values: dict[str, str] = {}
    shown = []
    for member in members:
        key, equals, value = member.partition("=")
        if not key or not equals:
            raise InputError(
                "a member is KEY=VALUE, KEY=@FILE or KEY=-", hint="got a word without `=` or without a key"
            )
        if key in values:
            raise InputError(f"the key {key!r} is given twice")
        if value == _PROMPT:
            values[key] = _hidden(key)
        elif value.startswith("@@"):
            values[key] = value[1:]
            shown.append(key)
        elif value.startswith("@"):
            values[key] = _from_file(key, Path(value[1:]))
        else:
            values[key] = value
            shown.append(key)
    if shown:
        click.echo(
            f"Note: {', '.join(shown)} stood in the command line, which the process list and the shell's history show. "
            f"For a secret use {shown[0]}=- or {shown[0]}=@FILE.",
            err=True,
        )
    return values


def _from_file(key: str, path: Path) -> str:
    try:
        text = path.expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise InputError(f"{key}: cannot read {path}: {reason}") from error
    return text.removesuffix("\n").removesuffix("\r")


def _from_stdin() -> dict[str, str]:
    try:
        data = json.loads(sys.stdin.read())
    except ValueError:
        raise InputError("stdin is not JSON", hint='expected {"key": "value", …}') from None  # its text may be secret
    if not isinstance(data, dict) or not data or not all(isinstance(value, str) for value in data.values()):
        raise InputError("stdin must hold a JSON object, not empty, whose values are texts", hint='{"key": "value", …}')
    return data


def _ask() -> dict[str, str]:
    values: dict[str, str] = {}
    while key := click.prompt("Key (empty: done)", default="", show_default=False, err=True):
        values[key] = _hidden(key)
    if not values:
        raise InputError("a credential has one member at least")
    return values


def _hidden(key: str) -> str:
    """A value nobody sees: typed on a terminal, or one line of stdin."""
    if sys.stdin.isatty():
        return str(click.prompt(key, hide_input=True, err=True))
    line = sys.stdin.readline()
    if not line:
        raise InputError(f"{key}: stdin ended before a value came")
    return line.rstrip("\r\n")
