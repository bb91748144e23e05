"""Nomad of the local stack: server and client in one agent with its data on disk.

Also knows which processes belong to the steps that this agent runs, since they outlive it by design.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nomadflows.devstack.layout import write_private
from nomadflows.devstack.ports import Ports
from nomadflows.devstack.probe import ask
from nomadflows.devstack.processes import Identity, descendants, identify, table
from nomadflows.devstack.server import READY, Command, Health

_TEMPLATE = """\
# Written by `nomadflows dev up` at every start; changes are lost.
name       = "local"
region     = "global"
datacenter = "dc1"
data_dir   = {data}
bind_addr  = "127.0.0.1"
log_level  = "INFO"

leave_on_interrupt   = false
leave_on_terminate   = false
disable_update_check = true

ports {{
  http = {http}
  rpc  = {rpc}
  serf = {serf}
}}
advertise {{
  http = "127.0.0.1:{http}"
  rpc  = "127.0.0.1:{rpc}"
  serf = "127.0.0.1:{serf}"
}}
limits {{
  # every client of a local stack has the same address
  http_max_conns_per_client = 2000
}}

server {{
  enabled          = true
  bootstrap_expect = 1
  raft_multiplier  = 1

  # Flows park and wake all day long: each time leaves an evaluation and allocations behind.
  eval_gc_threshold = "30m"
}}

client {{
  enabled           = true
  network_interface = {interface}
  servers           = ["127.0.0.1:{rpc}"]
  cpu_total_compute = {cpu}
  max_kill_timeout  = "120s"

  gc_interval              = "1m"
  gc_max_allocs            = 500
  gc_disk_usage_threshold  = 95
  gc_inode_usage_threshold = 95

  options = {{
    # Asking a cloud's metadata service takes seconds where there is none, and env_aws ends the agent
    # on machines with AWS_CA_BUNDLE set.
    "fingerprint.denylist" = "env_aws,env_gce,env_azure,env_digitalocean"
  }}

  template {{
    # A vault that is away for a while is waited for; giving up would kill steps that run.
    vault_retry {{
      attempts    = 0
      backoff     = "250ms"
      max_backoff = "5s"
    }}
  }}
}}

plugin "raw_exec" {{
  config {{
    enabled = true
  }}
}}

consul {{
  address             = {consul}
  auto_advertise      = false
  server_auto_join    = false
  client_auto_join    = false
}}

vault {{
  enabled               = true
  address               = {vault}
  jwt_auth_backend_path = {auth_mount}

  default_identity {{
    aud = ["vault.io"]
    ttl = "1h"
  }}
}}

ui {{
  enabled = true
  label {{
    text = "nomadflows local stack"
  }}
  consul {{
    ui_url = {consul_ui}
  }}
  vault {{
    ui_url = {vault_ui}
  }}
}}
"""
# raw_exec does not hold steps to their CPU figure, so on one machine the sum may exceed what there is.
_MHZ_PER_CORE = 10_000


def configuration(data: Path, ports: Ports, *, consul: str, vault: str, auth_mount: str) -> str:
    return _TEMPLATE.format(
        data=json.dumps(str(data)),
        http=ports["nomad"],
        rpc=ports["nomad_rpc"],
        serf=ports["nomad_serf"],
        interface=json.dumps("lo" if sys.platform == "linux" else "lo0"),
        cpu=(os.cpu_count() or 1) * _MHZ_PER_CORE,
        consul=json.dumps(consul.partition("://")[2]),
        vault=json.dumps(vault),
        auth_mount=json.dumps(auth_mount),
        consul_ui=json.dumps(f"{consul}/ui"),
        vault_ui=json.dumps(f"{vault}/ui"),
    )


@dataclass(frozen=True, slots=True)
class Nomad:
    program: str
    data: Path
    ports: Ports
    address: str
    consul: str
    vault: str
    auth_mount: str = "jwt-nomad"
    token: str = ""
    own: bool = True
    name: str = "nomad"
    needs: tuple[str, ...] = ("consul", "vault")
    grace: float = 15.0

    def command(self) -> Command | None:
        if not self.own:
            return None
        self.data.mkdir(parents=True, exist_ok=True)
        file = self.data / "nomad.hcl"
        text = configuration(self.data, self.ports, consul=self.consul, vault=self.vault, auth_mount=self.auth_mount)
        write_private(file, text)
        return Command((self.program, "agent", f"-config={file}"), cwd=self.data)

    def check(self) -> Health:
        headers = {"X-Nomad-Token": self.token} if self.token else {}
        nodes = ask("GET", f"{self.address}/v1/nodes?resources=false", headers=headers)
        if not nodes.ok:
            return Health(ready=False, why=nodes.text or f"HTTP {nodes.status}")
        ready = [node for node in nodes.json or [] if node["Status"] == "ready"]
        if not ready:
            return Health(ready=False, why="its node is not ready yet")
        return self._check_node(ready[0], headers) if self.own else READY

    def _check_node(self, stub: dict[str, Any], headers: dict[str, str]) -> Health:
        if not ((stub.get("Drivers") or {}).get("raw_exec") or {}).get("Healthy"):
            return Health(ready=False, why="the raw_exec driver is not up yet")
        node = ask("GET", f"{self.address}/v1/node/{stub['ID']}", headers=headers)
        if not node.ok or "vault.version" not in node.json["Attributes"]:
            return Health(ready=False, why="it has not found the vault yet")
        return READY


def step_processes(data: Path, agent: int | None) -> list[Identity]:
    """Executors and tasks of this agent: its descendants, and whatever was started in its allocations."""
    processes = table()
    found = {one.pid for one in descendants(agent, processes)} if agent else set()
    mark = f"{data}/alloc/"
    roots = [one.pid for one in processes if mark in one.command or _works_below(one.pid, mark)]
    for pid in roots:
        found.add(pid)
        found.update(one.pid for one in descendants(pid, processes))
    return [who for pid in sorted(found) if pid != os.getpid() and (who := identify(pid))]


def executors_last(found: Sequence[Identity], program: str) -> tuple[list[Identity], list[Identity]]:
    """Split into step processes and Nomad's own executors: a step gets its grace while its executor still reads."""
    commands = {one.pid: one.command for one in table()}
    own = [who for who in found if commands.get(who.pid, "").startswith(program)]
    return [who for who in found if who not in own], own


def _works_below(pid: int, mark: str) -> bool:
    """Linux only; elsewhere the family tree has to do."""
    try:
        if str(Path(f"/proc/{pid}/cwd").readlink()).startswith(mark):
            return True
        return f"NOMAD_TASK_DIR={mark}".encode() in Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False  # ended meanwhile, somebody else's, or no /proc here
