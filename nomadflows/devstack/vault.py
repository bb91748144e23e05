"""OpenBao or Vault of the local stack: initialised once, unsealed at every start, KV and JWT auth set up.

The one unseal key and the root token lie in the stack's data folder, readable by their owner only: this is a
vault for one person's own machine.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from nomadflows.devstack.layout import read_json, write_json, write_private
from nomadflows.devstack.ports import Ports
from nomadflows.devstack.probe import Answer, ask
from nomadflows.devstack.server import READY, Command, Health

_NOT_INITIALISED: Final = 501
_SEALED: Final = 503


# Raft's store on disk is the one that both products have: OpenBao dropped "file".
_TEMPLATE: Final = """\
# Written by `nomadflows dev up` at every start; changes are lost.
storage "raft" {{
  path                   = {data}
  node_id                = "local"
  performance_multiplier = 1
}}
listener "tcp" {{
  address         = "127.0.0.1:{port}"
  cluster_address = "127.0.0.1:{cluster_port}"
  tls_disable     = true
}}
api_addr     = "http://127.0.0.1:{port}"
cluster_addr = "https://127.0.0.1:{cluster_port}"
ui           = true
log_level    = "info"
"""


def configuration(data: Path, ports: Ports, product: str) -> str:
    text = _TEMPLATE.format(
        data=json.dumps(str(data / "data")), port=ports["vault"], cluster_port=ports["vault_cluster"]
    )
    # OpenBao never locks memory; Vault does unless told, and needs a privilege for it.
    return text + "disable_mlock = true\n" if product == "vault" else text


def key_file(data: Path) -> Path:
    return data / "init.json"


def root_token(data: Path) -> str:
    """Empty before the first start."""
    saved = read_json(key_file(data))
    return str(saved["root_token"]) if saved else ""


def product_of(program: str) -> str:
    return "vault" if Path(program).name.startswith("vault") else "openbao"


@dataclass(frozen=True, slots=True)
class Vault:
    program: str
    data: Path
    ports: Ports
    address: str
    token: str = ""  # of a vault that runs already
    mount: str = "nomadflows"
    own: bool = True
    name: str = "vault"
    needs: tuple[str, ...] = ()

    def command(self) -> Command | None:
        if not self.own:
            return None
        (self.data / "data").mkdir(parents=True, exist_ok=True)
        file = self.data / "vault.hcl"
        write_private(file, configuration(self.data, self.ports, product_of(self.program)))
        return Command((self.program, "server", f"-config={file}"), cwd=self.data)

    def check(self) -> Health:
        health = ask("GET", f"{self.address}/v1/sys/health")
        if health.status == 0:
            return Health(ready=False, why=health.text)
        if health.status == _NOT_INITIALISED and self.own:
            return self._initialise()
        if health.status == _SEALED and self.own:
            return self._unseal()
        if not health.ok:
            return Health(
                ready=False,
                why={429: "not the active node yet", 501: "not initialised", 503: "sealed"}.get(
                    health.status, health.text
                ),
            )
        return ensure_kv(self.address, self.token or root_token(self.data), self.mount)

    def _initialise(self) -> Health:
        answer = ask(
            "PUT",
            f"{self.address}/v1/sys/init",
            body={"secret_shares": 1, "secret_threshold": 1},
            timeout=20,
        )
        if not answer.ok:
            return Health(ready=False, why=f"init: {answer.text}")
        write_json(
            key_file(self.data),
            {"key": answer.json["keys_base64"][0], "root_token": answer.json["root_token"]},
        )
        return self._unseal()

    def _unseal(self) -> Health:
        saved = read_json(key_file(self.data))
        if saved is None:
            return Health(ready=False, why=f"sealed, and its key is not in {key_file(self.data)}")
        answer = ask("PUT", f"{self.address}/v1/sys/unseal", body={"key": saved["key"]}, timeout=10)
        if not answer.ok or answer.json.get("sealed"):
            return Health(ready=False, why=f"unseal: {answer.text}")
        return Health(ready=False, why="unsealing")


def ensure_kv(address: str, token: str, mount: str) -> Health:
    """A KV version 2 store at `mount`."""
    headers = {"X-Vault-Token": token}
    present = ask("GET", f"{address}/v1/sys/mounts/{mount}", headers=headers)
    if present.ok:
        version = (_data(present).get("options") or {}).get("version")
        return READY if version == "2" else Health(ready=False, why=f"{mount}/ is not a KV version 2 store")
    body = {"type": "kv", "options": {"version": "2"}, "description": "nomadflows credentials and flow secrets"}
    made = ask("POST", f"{address}/v1/sys/mounts/{mount}", headers=headers, body=body)
    return Health(ready=False, why="mounting the KV store" if made.ok else f"mount {mount}: {made.text}")


@dataclass(frozen=True, slots=True)
class JwtAuth:
    """Lets Nomad's workload identities log in. Has no process: a state of two servers that is kept up like one."""

    vault: Vault
    nomad_address: str
    mount: str = "jwt-nomad"
    name: str = "identities"
    needs: tuple[str, ...] = ("vault", "nomad")

    def command(self) -> Command | None:
        return None

    def check(self) -> Health:
        address = self.vault.address
        headers = {"X-Vault-Token": self.vault.token or root_token(self.vault.data)}
        config = f"{address}/v1/auth/{self.mount}/config"
        wanted = {
            "jwks_url": f"{self.nomad_address}/.well-known/jwks.json",
            "jwt_supported_algs": ["RS256", "EdDSA"],
        }
        present = ask("GET", config, headers=headers)
        if present.ok and _contains(_data(present), wanted):
            return READY
        if not present.ok:
            body = {"type": "jwt", "description": "workload identities of Nomad"}
            enabled = ask("POST", f"{address}/v1/sys/auth/{self.mount}", headers=headers, body=body)
            if not enabled.ok and "already in use" not in enabled.text:
                return Health(ready=False, why=f"enable JWT auth: {enabled.text}")
        written = ask("POST", config, headers=headers, body=wanted, timeout=5)
        return READY if written.ok else Health(ready=False, why=f"configure JWT auth: {written.text}")


def _data(answer: Answer) -> dict[str, Any]:
    return dict((answer.json or {}).get("data") or answer.json or {})


def _contains(present: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    return all(present.get(name) == value for name, value in wanted.items())
