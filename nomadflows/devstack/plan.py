"""What a stack consists of, decided by `up` before anything starts, read by the supervisor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from nomadflows.devstack.layout import Layout, read_json, write_json
from nomadflows.devstack.ports import Ports

OURS: Final = ("controller", "gateway")  # started once the servers are ready


@dataclass(frozen=True, slots=True)
class Running:
    """Servers that run already and are used instead of own ones: addresses, and what it takes to speak to them."""

    consul: str = ""
    nomad: str = ""
    vault: str = ""
    rabbitmq: str = ""  # amqp://user:password@host:port
    rabbitmq_api: str = ""
    consul_token: str = field(default="", repr=False)
    nomad_token: str = field(default="", repr=False)
    vault_token: str = field(default="", repr=False)

    def address(self, server: str) -> str:
        return {"consul": self.consul, "nomad": self.nomad, "vault": self.vault, "rabbitmq": self.rabbitmq}[server]


@dataclass(frozen=True, slots=True)
class StackPlan:
    home: Path
    ports: Ports
    running: Running
    programs: Mapping[str, str]
    controller: bool = True

    def own(self, server: str) -> bool:
        return not self.running.address(server)

    def save(self, layout: Layout) -> None:
        write_json(layout.plan_file, {**asdict(self), "home": str(self.home)})


def load_plan(layout: Layout) -> StackPlan | None:
    data = read_json(layout.plan_file)
    if data is None:
        return None
    return StackPlan(
        home=Path(data["home"]),
        ports=data["ports"],
        running=Running(**data["running"]),
        programs=data["programs"],
        controller=data["controller"],
    )
