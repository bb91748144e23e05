"""Nomad of the local stack: a server, and a client that runs the steps, each a process of its own.

One agent could be both, but then every restart is a race: the client half registers before the server half has
its keys, is refused, and waits half a minute before it asks again. Here the client starts when the server can
sign identities.

Also knows which processes belong to the steps that this client runs, since they outlive it by design.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from nomadflows.devstack.layout import write_private
from nomadflows.devstack.ports import Ports
from nomadflows.devstack.probe import ask
from nomadflows.devstack.processes import Identity, descendants, identify, table
from nomadflows.devstack.server import READY, Command, Health

_COMMON: Final = """\
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

consul {{
  address          = {consul}
  auto_advertise   = false
  server_auto_join = false
  client_auto_join = false
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
"""
_SERVER: Final = """
server {{
  enabled          = true
  bootstrap_expect = 1
  raft_multiplier  = 1

  # Flows park and wake all day long: each time leaves an evaluation and allocations behind.
  eval_gc_threshold = "30m"
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
_CLIENT: Final = """
ui {{
  enabled = false
}}

client {{
  enabled           = true
  servers           = ["127.0.0.1:{rpc}"]
  network_interface = {interface}
  cpu_total_compute = {cpu}
  max_kill_timeout  = "120s"
  alloc_dir         = {alloc}
  alloc_mounts_dir  = {alloc_mounts}

  gc_interval              = "1m"
  gc_max_allocs            = 500
  gc_disk_usage_threshold  = 95
  gc_inode_usage_threshold = 95

  options = {{
    # Asking a cloud's metadata service takes seconds where there is none, and env_aws ends the agent
    # on machines with AWS_CA_BUNDLE set.
    "fingerprint.denylist" = "env_aws,env_gce,env_azure,env_digitalocean"

    # No step uses them, and looking for Java starts a Java machine every half minute, which takes the processor
    # from the steps for a tenth of a second.
    "driver.denylist" = "java,qemu"
  }}

  template {{
    # Saves a process for each template at each start. raw_exec has no boundary that the sandbox could guard.
    disable_file_sandbox = true

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

# Only where a Docker engine answers (DOCKER_HOST, else its usual socket); it may come later.
plugin "docker" {{
  config {{
    allow_privileged = false

    volumes {{
      enabled = false
    }}

    gc {{
      # A parked flow needs its image again, and what was built here is nowhere else.
      image = false

      # Several stacks may share one engine, and would take each other's containers for left-overs.
      dangling_containers {{
        enabled = false
      }}
    }}
  }}
}}
"""
# Each task has three helper processes that are Nomad's own program and inherit this: collecting garbage less often
# while they start makes five tasks start in two thirds of the time, at no cost in memory (measured).
_ENVIRONMENT: Final = {"GOGC": "400"}
# raw_exec does not hold steps to their CPU figure, so on one machine the sum may exceed what there is.
_MHZ_PER_CORE: Final = 10_000


@dataclass(frozen=True, slots=True)
class Around:
    """What both agents are told of the rest of the stack."""

    program: str
    data: Path
    ports: Ports
    address: str
    consul: str
    vault: str
    auth_mount: str = "jwt-nomad"
    token: str = ""
    own: bool = True

    @property
    def allocations(self) -> Path:
        return allocations(self.data)

    def headers(self) -> dict[str, str]:
        return {"X-Nomad-Token": self.token} if self.token else {}

    def common(self, role: str, http: int) -> str:
        return _COMMON.format(
            data=json.dumps(str(self.data / role)),
            http=http,
            rpc=self.ports["nomad_rpc"],
            serf=self.ports["nomad_serf"],
            consul=json.dumps(self.consul.partition("://")[2]),
            vault=json.dumps(self.vault),
            auth_mount=json.dumps(self.auth_mount),
        )

    def start(self, role: str, text: str) -> Command:
        file = self.data / f"{role}.hcl"
        write_private(file, text)
        return Command((self.program, "agent", f"-config={file}"), env=_ENVIRONMENT, cwd=self.data)


@dataclass(frozen=True, slots=True)
class NomadServer:
    around: Around
    name: str = "nomad"
    needs: tuple[str, ...] = ()

    def configuration(self) -> str:
        around = self.around
        return around.common("server", around.ports["nomad"]) + _SERVER.format(
            consul_ui=json.dumps(f"{around.consul}/ui"), vault_ui=json.dumps(f"{around.vault}/ui")
        )

    def command(self) -> Command | None:
        return self.around.start("server", self.configuration()) if self.around.own else None

    def check(self) -> Health:
        address, headers = self.around.address, self.around.headers()
        leader = ask("GET", f"{address}/v1/status/leader", headers=headers)
        if not leader.ok:
            return Health(ready=False, why=leader.text or f"HTTP {leader.status}")
        if not leader.json:
            return Health(ready=False, why="no leader elected yet")
        keys = ask("GET", f"{address}/.well-known/jwks.json", headers=headers)
        if not (keys.ok and keys.json.get("keys")):
            return Health(ready=False, why="its keys are not ready yet")
        return READY


@dataclass(frozen=True, slots=True)
class NomadClient:
    around: Around
    name: str = "nomad-client"
    needs: tuple[str, ...] = ("nomad", "vault")

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.around.ports['nomad_client']}"

    def configuration(self) -> str:
        around = self.around
        return around.common("client", around.ports["nomad_client"]) + _CLIENT.format(
            rpc=around.ports["nomad_rpc"],
            interface=json.dumps("lo0" if platform.system() == "Darwin" else "lo"),
            cpu=(os.cpu_count() or 1) * _MHZ_PER_CORE,
            alloc=json.dumps(str(around.allocations)),
            alloc_mounts=json.dumps(str(around.data / "alloc_mounts")),
        )

    def command(self) -> Command | None:
        return self.around.start("client", self.configuration())

    def check(self) -> Health:
        me = ask("GET", f"{self.address}/v1/agent/self")
        if not me.ok:
            return Health(ready=False, why=me.text or f"HTTP {me.status}")
        stats = me.json["stats"]["client"]
        if stats["heartbeat_ttl"] == "0s":  # the server may still show it as it was before a restart
            return Health(ready=False, why="it has not registered with the server yet")
        node = ask("GET", f"{self.around.address}/v1/node/{stats['node_id']}", headers=self.around.headers())
        return _node_health(node.json) if node.ok else Health(ready=False, why="the server does not know it yet")


def _node_health(node: dict[str, Any]) -> Health:
    if node["Status"] != "ready":
        return Health(ready=False, why=f"its node is {node['Status']}")
    if not (node["Drivers"].get("raw_exec") or {}).get("Healthy"):
        return Health(ready=False, why="the raw_exec driver is not up yet")
    if "vault.version" not in node["Attributes"]:
        return Health(ready=False, why="it has not found the vault yet")
    return READY


def allocations(data: Path) -> Path:
    """Where the client keeps a folder for each allocation."""
    return data / "alloc"


def step_processes(data: Path, agent: int | None) -> list[Identity]:
    """Executors and tasks of this client: its descendants, and whatever was started in its allocations."""
    processes = table()
    found = {one.pid for one in descendants(agent, processes)} if agent else set()
    mark = f"{allocations(data)}/"
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
