"""What one run of the command line shares: the options given anywhere in it, the settings, the servers.

A server's client is made when a command first asks for it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import click

from nomadflows import clients
from nomadflows.model.errors import InputError
from nomadflows.model.names import FLOW, WORKSPACE, WORKSPACE_RULE, FlowRef

if TYPE_CHECKING:  # each costs more to import than a command may take to start
    from nomadflows.broker.broker import Broker
    from nomadflows.cluster.client import Nomad
    from nomadflows.settings import Settings
    from nomadflows.store.store import Store
    from nomadflows.vault.client import Vault

FORMATS = ("table", "json", "yaml")

F = TypeVar("F", bound=Callable[..., Any])


@dataclasses.dataclass
class Session:
    """Made once per command line and handed to commands as click's object."""

    flags: dict[str, object] = dataclasses.field(default_factory=dict)
    output: str = "table"

    @cached_property
    def settings(self) -> Settings:
        from nomadflows.settings import load_settings

        settings = load_settings(self.flags)
        if not WORKSPACE.fullmatch(settings.workspace):
            raise InputError(f"not a workspace name: {settings.workspace!r}", hint=WORKSPACE_RULE)
        return settings

    @cached_property
    def store(self) -> Store:
        return clients.consul(self.settings)

    @cached_property
    def nomad(self) -> Nomad:
        return clients.nomad(self.settings)

    @cached_property
    def broker(self) -> Broker:
        return clients.rabbitmq(self.settings)

    @cached_property
    def vault(self) -> Vault:
        return clients.vault(self.settings)

    @cached_property
    def user(self) -> str:
        """Who is written into `by` and `author`."""
        from nomadflows.store.requests import whoami

        return whoami()

    def ref(self, text: str) -> FlowRef:
        """`flow` in the session's workspace, or `workspace/flow`."""
        workspace, slash, flow = text.rpartition("/")
        ref = FlowRef(workspace if slash else self.settings.workspace, flow)
        if not WORKSPACE.fullmatch(ref.workspace) or not FLOW.fullmatch(ref.flow):
            raise InputError(f"not a flow name: {text!r}", hint="write FLOW or WORKSPACE/FLOW; not the name of a file")
        return ref


pass_session = click.make_pass_decorator(Session, ensure=True)


def _keep(ctx: click.Context, param: click.Parameter, value: object) -> None:
    if value is None or ctx.resilient_parsing:
        return
    session = ctx.ensure_object(Session)
    if param.name == "output":
        session.output = str(value)
    else:
        session.flags[str(param.name)] = value


def shared_options() -> Iterator[click.Option]:
    """The options that stand before or after any command; new objects at each call, as click needs them."""

    def option(*names: str, **more: Any) -> click.Option:
        return click.Option([*names], expose_value=False, callback=_keep, **more)

    yield option("-w", "--workspace", metavar="NAME", help="The workspace to work in.")
    yield option("-o", "--output", type=click.Choice(FORMATS), help="How to print results.")
    for name in ("consul-addr", "nomad-addr", "vault-addr", "rabbitmq-api"):
        yield option(f"--{name}", metavar="URL", hidden=True)
    yield option("--timeout", metavar="SECONDS", type=click.FloatRange(min=0.1), hidden=True)


def _flow_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001
    """Completion of flow names. A completion that cannot be made is no completion: nothing may be printed."""
    from nomadflows.model.errors import NomadflowsError

    session = ctx.find_object(Session) or Session()
    session.flags["timeout"] = 1.0
    try:
        refs = session.store.flow_refs(session.settings.workspace)
    except NomadflowsError:
        return []
    return [ref.flow for ref in refs if ref.flow.startswith(incomplete)]


def flow_argument(function: F) -> F:
    return click.argument("flow", shell_complete=_flow_names)(function)
