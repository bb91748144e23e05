"""Consul of the local stack: one server, its UI, a data folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nomadflows.devstack.layout import write_json
from nomadflows.devstack.ports import Ports
from nomadflows.devstack.probe import ask
from nomadflows.devstack.server import READY, Command, Health


def configuration(data: Path, ports: Ports) -> dict[str, Any]:
    return {
        "server": True,
        "bootstrap_expect": 1,
        "node_name": "local",
        "data_dir": str(data / "data"),
        "bind_addr": "127.0.0.1",
        "client_addr": "127.0.0.1",
        "ports": {
            "http": ports["consul"],
            "server": ports["consul_rpc"],
            "serf_lan": ports["consul_serf"],
            "serf_wan": -1,
            "dns": -1,
            "grpc": -1,
            "grpc_tls": -1,
        },
        "ui_config": {"enabled": True},
        "performance": {"raft_multiplier": 1},
        "limits": {"http_max_conns_per_client": 2000},  # every client of a local stack has the same address
        "connect": {"enabled": False},
        "disable_update_check": True,
        "leave_on_terminate": False,
        "skip_leave_on_interrupt": True,
        "log_level": "INFO",
    }


@dataclass(frozen=True, slots=True)
class Consul:
    program: str
    data: Path
    ports: Ports
    address: str
    token: str = ""
    own: bool = True
    name: str = "consul"
    needs: tuple[str, ...] = ()

    def command(self) -> Command | None:
        if not self.own:
            return None
        self.data.mkdir(parents=True, exist_ok=True)
        file = self.data / "consul.json"
        write_json(file, configuration(self.data, self.ports))
        return Command((self.program, "agent", f"-config-file={file}"), cwd=self.data)

    def check(self) -> Health:
        headers = {"X-Consul-Token": self.token} if self.token else {}
        leader = ask("GET", f"{self.address}/v1/status/leader", headers=headers)
        if not leader.ok:
            return Health(ready=False, why=leader.text or f"HTTP {leader.status}")
        if not leader.json:
            return Health(ready=False, why="no leader elected yet")
        # A leader is named a moment before it accepts writes: read through it.
        consistent = ask("GET", f"{self.address}/v1/kv/nomadflows/leader?consistent", headers=headers)
        if not (consistent.ok or consistent.status == 404):  # noqa: PLR2004 - "no such key" is an answer
            return Health(ready=False, why=f"reading is refused: HTTP {consistent.status}")
        return READY
