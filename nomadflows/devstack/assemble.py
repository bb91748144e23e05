"""From a plan to its servers, in start order, and to the settings that everybody else finds them by."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from nomadflows.devstack import rabbitmq, vault
from nomadflows.devstack.consul import Consul
from nomadflows.devstack.controller import Controller
from nomadflows.devstack.gateway import Gateway
from nomadflows.devstack.layout import Layout
from nomadflows.devstack.nomad import Around, NomadClient, NomadServer
from nomadflows.devstack.plan import StackPlan
from nomadflows.devstack.rabbitmq import Epmd, RabbitMQ
from nomadflows.devstack.server import Server
from nomadflows.devstack.vault import JwtAuth, Vault


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where each server of a stack is reached: URLs, without a slash at the end."""

    consul: str
    nomad: str
    vault: str
    amqp_uri: str  # holds a password
    rabbitmq_api: str
    component_api: str
    gateway: str


def addresses(plan: StackPlan) -> Addresses:
    """Of our own servers by their ports, of those that run already as `up` was told."""
    ports, running = plan.ports, plan.running
    own_amqp = "amqp://{user}:{password}@127.0.0.1:{port}"
    if plan.own("rabbitmq"):
        password = quote(rabbitmq.password(Layout(plan.home).data("rabbitmq")), safe="")
        amqp = own_amqp.format(user=rabbitmq.USER, password=password, port=ports["amqp"])
    else:
        amqp = running.rabbitmq
    return Addresses(
        consul=running.consul or f"http://127.0.0.1:{ports['consul']}",
        nomad=running.nomad or f"http://127.0.0.1:{ports['nomad']}",
        vault=running.vault or f"http://127.0.0.1:{ports['vault']}",
        amqp_uri=amqp,
        rabbitmq_api=running.rabbitmq_api or f"http://127.0.0.1:{ports['rabbitmq_api']}",
        component_api=f"http://127.0.0.1:{ports['component_api']}",
        gateway=f"http://127.0.0.1:{ports['gateway']}",
    )


def servers(plan: StackPlan) -> Sequence[Server]:
    """Stopping goes through them backwards."""
    layout, at, programs = Layout(plan.home), addresses(plan), plan.programs
    broker_data = layout.data("rabbitmq")
    the_vault = Vault(
        program=programs.get("vault", ""),
        data=layout.data("vault"),
        ports=plan.ports,
        address=at.vault,
        token=plan.running.vault_token,
        own=plan.own("vault"),
    )
    around = Around(
        program=programs.get("nomad", ""),
        data=layout.data("nomad"),
        ports=plan.ports,
        address=at.nomad,
        consul=at.consul,
        vault=at.vault,
        token=plan.running.nomad_token,
        own=plan.own("nomad"),
    )
    listed: list[Server] = [
        *([Epmd(data=broker_data, ports=plan.ports)] if plan.own("rabbitmq") else []),
        RabbitMQ(
            program=programs.get("rabbitmq", ""),
            data=broker_data,
            ports=plan.ports,
            amqp_uri=at.amqp_uri,
            api=at.rabbitmq_api,
            own=plan.own("rabbitmq"),
            needs=("epmd",) if plan.own("rabbitmq") else (),
        ),
        Consul(
            program=programs.get("consul", ""),
            data=layout.data("consul"),
            ports=plan.ports,
            address=at.consul,
            token=plan.running.consul_token,
            own=plan.own("consul"),
        ),
        the_vault,
        NomadServer(around),
        *([NomadClient(around)] if plan.own("nomad") else []),
        JwtAuth(vault=the_vault, nomad_address=at.nomad),
    ]
    if plan.controller:
        needs = tuple(one.name for one in listed)
        listed.append(Controller(plan.home, layout.settings_file, plan.ports["component_api"], needs))
        listed.append(Gateway(plan.home, layout.settings_file, plan.ports["gateway"], needs))
    return listed


def settings(plan: StackPlan) -> dict[str, str]:
    """The content of the settings file; names are those of `nomadflows.settings.Settings`."""
    at, running = addresses(plan), plan.running
    token = running.vault_token or vault.root_token(Layout(plan.home).data("vault"))
    values = {
        "consul_addr": at.consul,
        "consul_token": running.consul_token,
        "nomad_addr": at.nomad,
        "nomad_token": running.nomad_token,
        "vault_addr": at.vault,
        "vault_token": token,
        "amqp_uri": at.amqp_uri,
        "rabbitmq_api": at.rabbitmq_api,
        "component_api": at.component_api,
        "component_api_bind": at.component_api.partition("://")[2],
        "gateway_bind": at.gateway.partition("://")[2],
        "gateway_url": at.gateway,
        "webhooks_per_minute": "0",
        "step_python": sys.executable,
    }
    return {name: value for name, value in values.items() if value}


def as_toml(values: dict[str, str]) -> str:
    def text(value: str) -> str:
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'

    head = "# Written by `nomadflows dev up` for as long as the local stack is up. Holds secrets of this stack only.\n"
    return head + "".join(f"{name} = {text(value)}\n" for name, value in values.items())
