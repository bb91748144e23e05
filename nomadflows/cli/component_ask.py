"""`component verify|metadata|select`: questions to a component outside any flow."""

from __future__ import annotations

import json
from typing import IO, Any

import click

from nomadflows.cli import output
from nomadflows.cli.component import named
from nomadflows.cli.jsonfile import JSON_FILE, json_object
from nomadflows.cli.session import Session, pass_session
from nomadflows.model.errors import InputError, NomadflowsError, NotFound

_config = click.option(
    "--config", "-c", "config", type=JSON_FILE, metavar="FILE", help="JSON: the function's settings."
)
_credential = click.option("--credential", default="", metavar="NAME", help="A credential of the workspace.")


@click.command()
@click.argument("component", metavar="NAME[@VERSION]")
@click.option("--credential", required=True, metavar="NAME", help="A credential of the workspace.")
@pass_session
def verify(session: Session, component: str, credential: str) -> None:
    """Let a component check a credential. Exit code 1 if it says no.

    \b
    Example:
      nomadflows component verify sql --credential warehouse-db
    """
    verify_credential(session, component, credential)


def verify_credential(session: Session, component: str, credential: str) -> None:
    """What the component says of it; NomadflowsError if that is no."""
    from nomadflows.cli.ask import ask
    from nomadflows.render.once import Question

    found = named(session, component)
    said = ask(session, found, Question("verifyCredentials"), {}, credential)
    verified = not isinstance(said, dict) or said.get("verified") is not False
    if not verified:
        reason = said.get("reason") or said.get("details") or "it gives no reason"
        raise NomadflowsError(f"{found.ref} does not accept credential {credential}: {_text(reason)}")
    output.emit(
        session.output,
        {"component": found.ref, "credential": credential, "verified": True},
        lambda: f"{found.ref} accepts credential {credential}",
    )


@click.command()
@click.argument("function", metavar="NAME[@VERSION]:FUNCTION")
@_credential
@_config
@pass_session
def metadata(session: Session, *, function: str, credential: str, config: IO[str] | None) -> None:
    """Ask a function which fields it takes and gives, where it finds that out by itself.

    \b
    Example:
      nomadflows component metadata petstore:getPets --credential petstore -o json
    """
    from nomadflows.cli.ask import ask
    from nomadflows.render.once import Question

    name, entry = _split(function)
    found = named(session, name)
    described = _entry(found, entry)
    if not described.get("dynamicMetadata"):
        answer: Any = described.get("metadata") or {}
    else:
        answer = ask(session, found, Question("getMetaModel", entry), json_object(config, "--config"), credential)
    output.emit(session.output, answer, lambda: json.dumps(answer, indent=2, ensure_ascii=False))


@click.command()
@click.argument("function", metavar="NAME[@VERSION]:FUNCTION")
@click.argument("field")
@_credential
@_config
@pass_session
def select(session: Session, *, function: str, field: str, credential: str, config: IO[str] | None) -> None:
    """List what may be chosen for a field of a function.

    \b
    Example:
      nomadflows component select petstore:getPets status --credential petstore
    """
    from nomadflows.cli.ask import ask
    from nomadflows.render.once import Question

    name, entry = _split(function)
    found = named(session, name)
    fields = _entry(found, entry).get("fields") or {}
    if field not in fields:
        raise InputError(f"{function} has no field {field!r}; it has: {', '.join(fields) or 'none'}")
    model = fields[field].get("model")
    if isinstance(model, str):
        answer = ask(session, found, Question("selectModel", entry, model), json_object(config, "--config"), credential)
    elif isinstance(model, dict):
        answer = model
    else:
        raise InputError(f"field {field!r} of {function} takes any value; there is nothing to choose from")
    rows = answer if isinstance(answer, dict) else {}
    output.emit(
        session.output, answer, lambda: output.table(["VALUE", "LABEL"], [[k, _text(v)] for k, v in rows.items()])
    )


def _split(text: str) -> tuple[str, str]:
    name, colon, function = text.partition(":")
    if not colon or not name or not function:
        raise InputError(f"not NAME:FUNCTION: {text!r}")
    return name, function


def _entry(found: Any, function: str) -> dict[str, Any]:
    try:
        return dict(found.entry(function))
    except KeyError:
        raise NotFound(
            f"{found.ref} has no function {function}", hint=f"it has {', '.join(found.functions())}"
        ) from None


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
