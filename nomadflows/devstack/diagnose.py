"""Look at every server a flow needs, from the outside, and say what is wrong and how to mend it.

Works on any cluster, not only on the local stack. Each check answers within its time-out; a server that is away
spoils only its own findings.
"""

from __future__ import annotations

import importlib.util
import re
import secrets
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import quote, urlencode

from nomadflows.broker.address import Address
from nomadflows.broker.topology import BYTES, DEAD_KEPT, UNROUTED_KEPT
from nomadflows.devstack.binaries import as_version
from nomadflows.devstack.probe import Answer, ask
from nomadflows.model.names import UNROUTED, VHOST_PREFIX
from nomadflows.settings import Settings

Level = Literal["ok", "warning", "failed", "unreachable"]

_FORBIDDEN: Final = 403
_UP: Final = "start the local stack with `nomadflows dev up`, or set {variable} to where {server} is"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one look at one server found, and how to mend it."""

    server: str
    what: str
    level: Level
    detail: str
    mend: str = ""


def diagnose(settings: Settings) -> list[Finding]:
    """All checks at once; in the order of the servers in the answer."""
    checks: list[Callable[[Settings], list[Finding]]] = [consul, nomad, vault, rabbitmq, step_python]
    with ThreadPoolExecutor(len(checks)) as pool:
        return [finding for found in pool.map(lambda check: check(settings), checks) for finding in found]


def consul(settings: Settings) -> list[Finding]:
    headers = {"X-Consul-Token": settings.consul_token} if settings.consul_token else {}
    verify = settings.consul_cacert or True
    me = ask("GET", f"{settings.consul_addr}/v1/agent/self", headers=headers, timeout=_part(settings), verify=verify)
    if me.status == 0:
        return [_away("Consul", settings.consul_addr, me, "CONSUL_HTTP_ADDR")]
    version = str(((me.json or {}).get("Config") or {}).get("Version") or "unknown")
    return [_version("Consul", settings.consul_addr, version, (1, 16)), _consul_write(settings, headers, verify)]


def _consul_write(settings: Settings, headers: dict[str, str], verify: bool | str) -> Finding:
    """A transaction that sets and deletes a key of its own: what every change of a flow needs."""
    key = f"{settings.kv_prefix}/doctor/{secrets.token_hex(4)}"
    operations = [
        {"KV": {"Verb": "set", "Key": key, "Value": "MQ=="}},
        {"KV": {"Verb": "delete", "Key": key}},
    ]
    done = ask(
        "PUT",
        f"{settings.consul_addr}/v1/txn",
        headers=headers,
        body=operations,
        timeout=_part(settings),
        verify=verify,
    )
    what = f"transactions below {settings.kv_prefix}/"
    if done.ok:
        return Finding("Consul", what, "ok", "can read and write")
    mend = f'give CONSUL_HTTP_TOKEN a policy with key_prefix "{settings.kv_prefix}/" write, session_prefix "" write'
    return Finding("Consul", what, "failed", _said(done), mend)


def nomad(settings: Settings) -> list[Finding]:
    headers = {"X-Nomad-Token": settings.nomad_token} if settings.nomad_token else {}
    verify = settings.nomad_cacert or True

    def get(path: str) -> Answer:
        return ask("GET", f"{settings.nomad_addr}{path}", headers=headers, timeout=_part(settings), verify=verify)

    me = get("/v1/agent/self")
    if me.status == 0:
        return [_away("Nomad", settings.nomad_addr, me, "NOMAD_ADDR")]
    if not me.ok:
        return [Finding("Nomad", settings.nomad_addr, "failed", _said(me), "give NOMAD_TOKEN agent:read, node:read")]
    version = str(me.json["config"]["Version"]["Version"])
    findings = [_version("Nomad", settings.nomad_addr, version, (1, 10))]
    if not get("/v1/status/leader").json:
        return [*findings, Finding("Nomad", "leader", "failed", "no leader elected", "look at its servers' logs")]
    nodes = get("/v1/nodes")
    ready = [one for one in nodes.json or [] if one["Status"] == "ready" and one["SchedulingEligibility"] == "eligible"]
    if not ready:
        mend = "start a client, or make one eligible: `nomad node eligibility -enable NODE`"
        return [*findings, Finding("Nomad", "nodes", "failed", "no node is ready for work", mend)]
    full = [answer.json for one in ready[:20] if (answer := get(f"/v1/node/{one['ID']}")).ok]
    drivers = dict.fromkeys([settings.step_driver, *(["docker"] if settings.builtin_image else [])])
    return [*findings, *(_driver(name, full) for name in drivers), _node_vault(full)]


def _driver(driver: str, nodes: list[dict[str, Any]]) -> Finding:
    able = [node for node in nodes if (node["Drivers"].get(driver) or {}).get("Healthy")]
    if able:
        return Finding("Nomad", f"driver {driver}", "ok", f"healthy on {len(able)} of {len(nodes)} nodes")
    mend = f'enable it on the clients: plugin "{driver}" {{ config {{ enabled = true }} }}'
    if driver == "docker":
        mend = "start a Docker engine on the clients; Nomad finds it within half a minute"
    return Finding("Nomad", f"driver {driver}", "failed", "healthy on no node", mend)


def _node_vault(nodes: list[dict[str, Any]]) -> Finding:
    able = [node for node in nodes if "vault.version" in node["Attributes"]]
    if able:
        return Finding("Nomad", "Vault integration", "ok", f"on {len(able)} of {len(nodes)} nodes")
    mend = "set vault { enabled = true, address, jwt_auth_backend_path, default_identity { aud } } in its agents"
    return Finding("Nomad", "Vault integration", "failed", "no node sees a Vault", mend)


def vault(settings: Settings) -> list[Finding]:
    headers = {"X-Vault-Token": settings.vault_token} if settings.vault_token else {}
    verify = settings.vault_cacert or True

    def get(path: str) -> Answer:
        return ask("GET", f"{settings.vault_addr}/v1/{path}", headers=headers, timeout=_part(settings), verify=verify)

    health = get("sys/health?standbyok=true")
    if health.status == 0:
        return [_away("Vault", settings.vault_addr, health, "VAULT_ADDR")]
    if not health.ok:
        state = {501: "is not initialised", 503: "is sealed"}.get(health.status, _said(health))
        return [Finding("Vault", settings.vault_addr, "failed", f"it {state}", "initialise and unseal it")]
    # OpenBao counts its versions anew from 2.0, Vault is at 1.x: both have what is needed.
    findings = [_version("Vault", settings.vault_addr, str(health.json["version"]), (1, 14))]
    token = get("auth/token/lookup-self")
    if not token.ok:
        detail = "no token is set" if not settings.vault_token else f"the token is refused: {_said(token)}"
        return [*findings, Finding("Vault", "token", "failed", detail, "set VAULT_TOKEN")]
    return [*findings, _kv(settings, get), _jwt(settings, get)]


def _kv(settings: Settings, get: Callable[[str], Answer]) -> Finding:
    what = f"KV store {settings.kv_mount}/"
    answer = get(f"sys/internal/ui/mounts/{settings.kv_mount}")
    if not answer.ok:
        mend = f"`vault secrets enable -path={settings.kv_mount} -version=2 kv`, and a policy that may use it"
        return Finding("Vault", what, "failed", "not there, or not for this token", mend)
    data = answer.json["data"]
    if data.get("type") != "kv" or (data.get("options") or {}).get("version") != "2":
        return Finding("Vault", what, "failed", "not version 2", "name another mount with NOMADFLOWS_KV_MOUNT")
    return Finding("Vault", what, "ok", "version 2")


def _jwt(settings: Settings, get: Callable[[str], Answer]) -> Finding:
    what = f"JWT auth {settings.vault_auth_mount}/"
    answer = get(f"auth/{settings.vault_auth_mount}/config")
    if answer.ok:
        return Finding("Vault", what, "ok", f"keys from {answer.json['data'].get('jwks_url') or 'elsewhere'}")
    if answer.status == _FORBIDDEN:
        return Finding("Vault", what, "warning", "this token may not look at its configuration")
    jwks = f"{settings.nomad_addr}/.well-known/jwks.json"
    mend = (
        f"`vault auth enable -path={settings.vault_auth_mount} jwt`, "
        f"`vault write auth/{settings.vault_auth_mount}/config jwks_url={jwks}`"
    )
    return Finding("Vault", what, "failed", "not there: steps cannot log in", mend)


def rabbitmq(settings: Settings) -> list[Finding]:
    broker = Address.parse(settings.amqp_uri)
    auth = (broker.user, broker.password)
    findings = [_amqp(broker, _part(settings))]
    overview = ask("GET", f"{settings.rabbitmq_api}/api/overview", auth=auth, timeout=_part(settings))
    if overview.status == 0:
        away = _away("RabbitMQ", settings.rabbitmq_api, overview, "NOMADFLOWS_RABBITMQ_API")
        return [*findings, away]
    if not overview.ok:
        mend = "NOMADFLOWS_AMQP_URI must name an administrator's user and password"
        return [*findings, Finding("RabbitMQ", "management API", "failed", _said(overview), mend)]
    findings.append(_version("RabbitMQ", settings.rabbitmq_api, overview.json["rabbitmq_version"], (3, 10)))
    me = ask("GET", f"{settings.rabbitmq_api}/api/whoami", auth=auth, timeout=_part(settings))
    tags = str((me.json or {}).get("tags", ""))
    if "administrator" not in tags:
        mend = f"`rabbitmqctl set_user_tags {auth[0]} administrator`"
        return [*findings, Finding("RabbitMQ", "permission", "failed", f"user {auth[0]} is no administrator", mend)]
    findings.append(Finding("RabbitMQ", "permission", "ok", f"user {auth[0]} is administrator"))
    listed = ask("GET", f"{settings.rabbitmq_api}/api/queues?{_KEPT_QUERY}", auth=auth, timeout=_part(settings))
    if not listed.ok:
        return [*findings, Finding("RabbitMQ", "unroutable messages", "warning", f"unknown: {_said(listed)}")]

    def sized(queue: dict[str, Any]) -> dict[str, Any]:
        """With the bytes it holds, which the list does not tell, where they could be near the limit."""
        if int(queue.get("messages", 0)) * _LARGEST_MESSAGE < _NEARLY * BYTES:
            return queue
        path = f"{quote(str(queue['vhost']), safe='')}/{quote(str(queue['name']), safe='')}"
        one = ask("GET", f"{settings.rabbitmq_api}/api/queues/{path}", auth=auth, timeout=_part(settings))
        return {**queue, "message_bytes": (one.json or {}).get("message_bytes", 0) if one.ok else 0}

    return [*findings, *left_behind(sized(queue) for queue in listed.json["items"])]


# The fullest of all workspaces, live.
_KEPT_QUERY: Final = urlencode(
    {
        "disable_stats": "true",
        "enable_queue_totals": "true",
        "use_regex": "true",
        "name": f"^{re.escape(UNROUTED)}$|\\.dead$",
        "sort": "messages",
        "sort_reverse": "true",
        "page": 1,
        "page_size": 30,
    }
)
_NEARLY: Final = 0.8
_LARGEST_MESSAGE: Final = 10_485_760


def left_behind(queues: Iterable[dict[str, Any]]) -> list[Finding]:
    """What waits for people: messages that found no queue, and dead letters that are about to be dropped."""
    ours = [q for q in queues if str(q["vhost"]).startswith(VHOST_PREFIX) and "messages" in q]
    lost = [f"{q['messages']} in workspace {_workspace(q)}" for q in ours if q["name"] == UNROUTED and q["messages"]]
    findings = [Finding("RabbitMQ", "unroutable messages", "ok", "none")]
    if lost:
        mend = f"`nomadflows flow dead FLOW --unrouted` shows a flow's; of a workspace's, {UNROUTED_KEPT:,} are kept"
        findings = [Finding("RabbitMQ", "unroutable messages", "warning", ", ".join(sorted(lost)), mend)]
    for queue in ours:
        count, size = int(queue["messages"]), int(queue.get("message_bytes", 0))
        if queue["name"] != UNROUTED and (count >= _NEARLY * DEAD_KEPT or size >= _NEARLY * BYTES):
            flow = f"{_workspace(queue)}/{str(queue['name']).removesuffix('.dead')}"
            mend = f"`nomadflows flow dead {flow}` lists them; replay or drop what is done with"
            detail = f"{count:,}, {size / 2**20:.0f} MiB; from {DEAD_KEPT:,} or {BYTES >> 20} MiB on the oldest go"
            findings.append(Finding("RabbitMQ", f"dead letters of {flow}", "warning", detail, mend))
    return findings


def _workspace(queue: dict[str, Any]) -> str:
    return str(queue["vhost"]).removeprefix(VHOST_PREFIX)


def _amqp(broker: Address, timeout: float) -> Finding:
    """A broker answers a wrong protocol header with the right one."""
    address = str(broker).partition("://")[2]
    try:
        with _connected(broker, timeout) as connection:
            connection.sendall(b"AMQP\x00\x00\x00\x00")
            answer = connection.recv(8)
    except OSError as error:
        why = error.strerror or "no answer in time"
        mend = _UP.format(variable="NOMADFLOWS_AMQP_URI", server="RabbitMQ")
        return Finding("RabbitMQ", f"AMQP {address}", "unreachable", why, mend)
    if answer.startswith(b"AMQP"):
        return Finding("RabbitMQ", f"AMQP {address}", "ok", "answers")
    return Finding("RabbitMQ", f"AMQP {address}", "failed", "speaks no AMQP", "look at NOMADFLOWS_AMQP_URI")


def _connected(broker: Address, timeout: float) -> socket.socket:
    plain = socket.create_connection((broker.host, broker.port), timeout)
    if not broker.tls:
        return plain
    return ssl.create_default_context().wrap_socket(plain, server_hostname=broker.host)


def step_python(settings: Settings) -> list[Finding]:
    """Only for steps on this machine: what other nodes have installed cannot be seen from here."""
    what = f"python {settings.step_python}"
    if settings.step_driver != "raw_exec":
        return []
    if importlib.util.find_spec("nomadflows.runtime") is None:
        return [Finding("Steps", what, "failed", "the package lacks nomadflows.runtime", "install nomadflows again")]
    try:
        answer = subprocess.run(  # noqa: S603 - the user's own setting
            [settings.step_python, "-c", "import nomadflows.runtime, sys; print(sys.version.split()[0])"],
            capture_output=True,
            text=True,
            timeout=settings.timeout,
            check=False,
            cwd="/",
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return [Finding("Steps", what, "failed", f"does not start: {type(error).__name__}", _MEND_PYTHON)]
    if answer.returncode != 0:
        reason = answer.stderr.strip().splitlines()[-1:] or ["no reason given"]
        return [Finding("Steps", what, "failed", reason[0], _MEND_PYTHON)]
    return [Finding("Steps", what, "ok", f"{answer.stdout.strip()}, nomadflows installed")]


_MEND_PYTHON: Final = "set NOMADFLOWS_STEP_PYTHON to a Python that has nomadflows installed, on every node"


def _part(settings: Settings) -> float:
    """Several questions share the time that one server may take."""
    return max(0.5, min(settings.timeout, 5.0) / 2.5)


def _away(server: str, address: str, answer: Answer, variable: str) -> Finding:
    return Finding(server, address, "unreachable", answer.text, _UP.format(variable=variable, server=server))


def _version(server: str, address: str, version: str, oldest: tuple[int, ...]) -> Finding:
    if as_version(version) >= oldest:
        return Finding(server, address, "ok", f"version {version}")
    needed = ".".join(map(str, oldest))
    return Finding(server, address, "warning", f"version {version}", f"{needed} or newer is what is tested")


def _said(answer: Answer) -> str:
    if answer.status == 0:
        return answer.text
    text = " ".join(answer.text.split())[:160]
    return f"HTTP {answer.status}{': ' if text else ''}{text}"
