"""`nomadflows dev`: the local stack of servers, on this machine, for this user."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Final

import click

from nomadflows.cli.output import emit, table
from nomadflows.cli.session import Session, pass_session
from nomadflows.devstack.assemble import Addresses
from nomadflows.devstack.plan import Running
from nomadflows.devstack.ports import offset_of
from nomadflows.devstack.stack import Stack
from nomadflows.devstack.state import ServerView, StackState
from nomadflows.model.errors import InputError
from nomadflows.settings import cache, home

_TITLES: Final = {
    "epmd": "Erlang names",
    "rabbitmq": "RabbitMQ",
    "consul": "Consul",
    "vault": "OpenBao/Vault",
    "nomad": "Nomad",
    "nomad-client": "Nomad's client",
    "identities": "Nomad's identities in Vault",
    "controller": "Controller",
    "gateway": "Gateway (webhooks)",
}
_CAN_RUN: Final = ("consul", "nomad", "vault", "rabbitmq", "rabbitmq-api")


@click.group()
def dev() -> None:
    """The local stack: RabbitMQ, Consul, OpenBao (or Vault) and Nomad on loopback ports of their own.

    \b
    Examples:
      nomadflows dev up
      nomadflows dev status
      nomadflows dev up --use-running consul=http://127.0.0.1:8500
      nomadflows dev down          # flows and data are kept
      nomadflows dev reset --yes   # everything is deleted
      nomadflows dev fetch         # only get the servers, start nothing

    Data, logs and settings are in NOMADFLOWS_HOME (~/.local/share/nomadflows), downloaded or built servers in
    NOMADFLOWS_CACHE (~/.cache/nomadflows).
    """


def local_stack() -> Stack:
    """This user's stack; the one in NOMADFLOWS_HOME, if that is set, has ports that follow from its path."""
    where = home()
    return Stack(where, cache(), port_offset=offset_of(where) if os.environ.get("NOMADFLOWS_HOME") else 0)


@dev.command()
@click.option(
    "--use-running",
    metavar="SERVER=ADDR",
    multiple=True,
    help=f"Use a server that runs already: {', '.join(_CAN_RUN)}. Tokens come from CONSUL_HTTP_TOKEN, NOMAD_TOKEN, "
    "VAULT_TOKEN. May be repeated.",
)
@click.option("--no-controller", is_flag=True, help="Only the servers; run `nomadflows controller run` yourself.")
@pass_session
def up(session: Session, use_running: Sequence[str], no_controller: bool) -> None:
    """Start the stack; a second `up` changes nothing.

    \b
    Examples:
      nomadflows dev up
      nomadflows dev up --use-running vault=http://127.0.0.1:8200
      nomadflows dev up --use-running rabbitmq=amqp://me:secret@127.0.0.1:5672 \\
                        --use-running rabbitmq-api=http://127.0.0.1:15672
    """
    from nomadflows.cli.dev_progress import Progress

    stack = local_stack()
    with Progress(_TITLES) as progress:
        outcome = stack.up(
            _running(use_running),
            controller=not no_controller,
            report=progress.report,
            on_state=progress.show,
        )
    emit(session.output, _as_data(stack), lambda: _summary(stack, was_up=outcome == "was up"))


@dev.command()
@pass_session
def down(session: Session) -> None:
    """Stop the controller, the steps and the servers. Flows, messages and state stay on disk.

    \b
    Example:
      nomadflows dev down
    """
    from nomadflows.cli.dev_progress import Progress

    with Progress(_TITLES) as progress:
        stopped = local_stack().down(progress.report)
    emit(session.output, {"stopped": stopped}, lambda: "The stack is down." if stopped else "The stack was not up.")


@dev.command()
@pass_session
def status(session: Session) -> int:
    """Show each server: state, address, process. Exit code 0 when all are ready, else 1.

    \b
    Examples:
      nomadflows dev status
      nomadflows dev status -o json
    """
    stack = local_stack()
    emit(session.output, _as_data(stack), lambda: _status_text(stack))
    state = stack.state()
    return 0 if state and all(one.state == "ready" for one in state.servers) else 1


@dev.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_session
def reset(session: Session, yes: bool) -> None:
    """Take the stack down and delete all its data: flows, messages, credentials.

    \b
    Example:
      nomadflows dev reset --yes
    """
    from nomadflows.cli.dev_progress import Progress

    stack = local_stack()
    if not yes:
        click.confirm(f"Delete all flows, messages and credentials in {stack.home}?", abort=True, err=True)
    with Progress(_TITLES) as progress:
        stack.reset(progress.report)
    emit(session.output, {"deleted": str(stack.home)}, lambda: f"Deleted {stack.home}.")


@dev.command()
@pass_session
def fetch(session: Session) -> None:
    """Find, download or build the servers, as `up` would, and start nothing.

    \b
    Examples:
      nomadflows dev fetch
      nomadflows dev fetch -o json
    """
    from nomadflows.cli.dev_progress import Progress

    with Progress(_TITLES) as progress:
        programs = local_stack().fetch(progress.report)
    emit(session.output, dict(programs), lambda: table(("SERVER", "PROGRAM"), list(programs.items())))


def _running(given: Sequence[str]) -> Running:
    found: dict[str, str] = {}
    for text in given:
        name, sign, address = text.partition("=")
        if name not in _CAN_RUN or not sign or "://" not in address:
            raise InputError(
                f"--use-running {text!r}: not SERVER=ADDR",
                hint=f"SERVER is one of {', '.join(_CAN_RUN)}; ADDR is a URL such as http://127.0.0.1:8500",
            )
        found[name.replace("-", "_")] = address.rstrip("/")
    if ("rabbitmq" in found) != ("rabbitmq_api" in found):
        raise InputError(
            "--use-running: a RabbitMQ that runs already needs both its addresses",
            hint="rabbitmq=amqp://user:password@host:port and rabbitmq-api=http://host:port",
        )
    if uri := found.get("rabbitmq"):
        from nomadflows.broker.address import Address

        Address.parse(uri)  # now, and not in the supervisor
    tokens = {"consul": "CONSUL_HTTP_TOKEN", "nomad": "NOMAD_TOKEN", "vault": "VAULT_TOKEN"}
    for name, variable in tokens.items():
        if name in found and os.environ.get(variable):
            found[f"{name}_token"] = os.environ[variable]
    return Running(**found)


def _as_data(stack: Stack) -> dict[str, Any]:
    state, at = stack.state(), stack.addresses()
    servers = state.servers if state else ()
    return {
        "home": str(stack.home),
        "running": state is not None,
        "phase": state.phase if state else "down",
        "supervisor_pid": state.supervisor.pid if state else None,
        "settings_file": str(stack.layout.settings_file),
        "servers": [
            {
                "name": one.name,
                "state": one.state,
                "why": one.why,
                "pid": one.process.pid if one.process else None,
                "restarts": one.restarts,
                "address": _address(one.name, at),
                "ui": _ui(one.name, at),
                "log": one.log,
            }
            for one in servers
        ],
    }


def _address(server: str, at: Addresses | None) -> str:
    """Without the broker's password."""
    if at is None:
        return ""
    broker = f"amqp://{at.amqp_uri.rpartition('@')[2].removeprefix('amqp://')}"
    known = {"consul": at.consul, "nomad": at.nomad, "vault": at.vault, "rabbitmq": broker}
    return {**known, "controller": at.component_api, "gateway": at.gateway}.get(server, "")


def _ui(server: str, at: Addresses | None) -> str:
    if at is None:
        return ""
    pages = {"consul": f"{at.consul}/ui", "nomad": f"{at.nomad}/ui", "vault": f"{at.vault}/ui"}
    return {**pages, "rabbitmq": f"{at.rabbitmq_api}/"}.get(server, "")


def _status_text(stack: Stack) -> str:
    state = stack.state()
    if state is not None:
        return f"{_table(state, stack.addresses())}\n\nData and logs: {stack.home}"
    if orphans := stack.orphans():
        names = ", ".join(f"{one.name} (pid {one.process.pid})" for one in orphans if one.process)
        return (
            f"The supervisor is gone, still running: {names}\n  `nomadflows dev up` starts anew, `dev down` stops them"
        )
    return f"The stack is down ({stack.home}).\n  `nomadflows dev up` starts it"


def _table(state: StackState, at: Addresses | None) -> str:
    def row(one: ServerView) -> tuple[object, ...]:
        pid = one.process.pid if one.process else None
        return (_TITLES.get(one.name, one.name), one.state, pid, one.restarts, _address(one.name, at), one.why)

    return table(("SERVER", "STATE", "PID", "RESTARTS", "ADDRESS", "REMARK"), [row(one) for one in state.servers])


def _summary(stack: Stack, *, was_up: bool) -> str:
    state, at = stack.state(), stack.addresses()
    if state is None or at is None:
        return "The stack went down again; see `nomadflows dev status`."
    first = "The stack was up already; nothing was changed." if was_up else "The stack is up."
    lines = [first, "", _table(state, at), "", "Pages to look at:"]
    links = [
        ("Nomad", f"{at.nomad}/ui", "jobs, one per flow version, and their steps"),
        ("Consul", f"{at.consul}/ui", "Key/Value: nomadflows/ holds the state of every flow"),
        ("Vault", f"{at.vault}/ui", f"credentials; token in {stack.layout.settings_file}"),
        ("RabbitMQ", f"{at.rabbitmq_api}/", f"queues; user and password in {stack.layout.settings_file}"),
    ]
    lines += [f"  {name:<9} {url:<28} {what}" for name, url, what in links]
    lines += ["", f"Data and logs: {stack.home}", "Every nomadflows command of this user finds this stack by itself."]
    return "\n".join(lines)
