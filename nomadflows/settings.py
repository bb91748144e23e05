"""Where the servers are and how to speak to them.

Looked up, first hit wins: flags, `NOMADFLOWS_*`, a TOML file, the servers' own variables (`NOMAD_ADDR`,
`CONSUL_HTTP_ADDR`, `VAULT_ADDR`, their tokens), the defaults. The file is `NOMADFLOWS_CONFIG`, else
`~/.config/nomadflows/config.toml`, else the one that a running local stack wrote for itself.
"""

from __future__ import annotations

import math
import os
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from nomadflows.model.errors import InputError

_NATIVE: Final = {
    "consul_addr": "CONSUL_HTTP_ADDR",
    "consul_token": "CONSUL_HTTP_TOKEN",
    "consul_cacert": "CONSUL_CACERT",
    "nomad_addr": "NOMAD_ADDR",
    "nomad_token": "NOMAD_TOKEN",
    "nomad_cacert": "NOMAD_CACERT",
    "vault_addr": "VAULT_ADDR",
    "vault_token": "VAULT_TOKEN",
    "vault_cacert": "VAULT_CACERT",
}

_NUMBERS: Final[dict[str, tuple[type[float | int], str]]] = {
    "timeout": (float, "number of seconds"),
    "deaf_after": (float, "number of seconds"),
    "stalled_after": (float, "number of seconds"),
    "shutdown_after": (float, "number of seconds"),
    "limited_ttl": (float, "number of seconds"),
    "full_round_every": (float, "number of seconds"),
    "tick_jitter": (float, "number of seconds"),
    "object_ttl": (float, "number of seconds"),
    "object_bytes": (int, "whole number"),
    "webhooks_per_minute": (int, "whole number"),
    "component_keep_days": (float, "number of days"),
    "step_log_mb": (int, "whole number"),
    "step_disk_mb": (int, "whole number"),
    "container_user": (int, "whole number"),
}

LOG_FILES: Final = 6  # three each of a step's two outputs, as the job specs have them
FETCHES: Final = ("cache", "nomad")


def home() -> Path:
    """Where the local stack keeps its data: `NOMADFLOWS_HOME`, else the user's data folder."""
    if given := os.environ.get("NOMADFLOWS_HOME"):
        return Path(given).expanduser().absolute()
    base = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(base).expanduser() / "nomadflows"


def cache() -> Path:
    """Where server binaries are kept: `NOMADFLOWS_CACHE`, else the user's cache folder."""
    if given := os.environ.get("NOMADFLOWS_CACHE"):
        return Path(given).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "nomadflows"


def stack_file() -> Path:
    """The settings file a running local stack writes, mode 0600."""
    return home() / "stack.toml"


@dataclass(frozen=True, slots=True)
class Settings:
    """Addresses are URLs; time-outs are seconds. Secrets never show in `repr`."""

    workspace: str = "default"
    consul_addr: str = "http://127.0.0.1:8500"
    consul_token: str = field(default="", repr=False)
    consul_cacert: str = ""
    nomad_addr: str = "http://127.0.0.1:4646"
    nomad_token: str = field(default="", repr=False)
    nomad_cacert: str = ""
    vault_addr: str = "http://127.0.0.1:8200"
    vault_token: str = field(default="", repr=False)
    vault_cacert: str = ""
    amqp_uri: str = field(default="amqp://guest:guest@127.0.0.1:5672", repr=False)  # an administrator; no vhost
    rabbitmq_api: str = "http://127.0.0.1:15672"
    steps_amqp_addr: str = ""  # host:port as the nodes see the broker; "": the one of amqp_uri
    component_api: str = "http://127.0.0.1:8646"  # as the nodes see it; the controller binds its port
    component_api_bind: str = "127.0.0.1:8646"
    gateway_bind: str = "127.0.0.1:8647"
    gateway_url: str = "http://127.0.0.1:8647"  # as callers of webhooks see it
    webhooks_per_minute: int = 60  # calls of one workspace that one gateway takes; 0: any number
    kv_prefix: str = "nomadflows"  # in Consul
    kv_mount: str = "nomadflows"  # in Vault
    vault_auth_mount: str = "jwt-nomad"
    step_driver: str = "raw_exec"
    step_python: str = sys.executable
    builtin_image: str = ""  # image in which the built-in components run; "": they run by step_driver
    base_image: str = "nomadflows/base:0.1.0"  # that `component build` builds upon
    step_network: str = "host"  # Docker's network mode of steps that are containers
    container_user: int = 10001  # user and group of those
    step_node: str = "node"  # of Node components that are a folder, as the nodes find it
    artifact_url: str = ""  # where deploy puts packed components, by HTTP; "": <component_api>/artifacts
    artifact_fetch_url: str = ""  # where nodes fetch them; "": there too
    artifact_authorization: str = field(default="", repr=False)  # header of deploy's requests to another store
    artifact_dir: str = ""  # where the component API keeps them; "": <home>/artifacts
    object_dir: str = ""  # large bodies and attachments, for all controllers and gateways; "": <home>/objects
    object_ttl: float = 604_800.0  # seconds they are kept, unless whoever makes one says so
    object_bytes: int = 1_000_000_000  # that one may have
    component_fetch: str = "cache"  # "cache": unpacked once on a node; "nomad": by Nomad, for each process
    component_cache: str = ""  # where nodes unpack them; "": <home>/components
    component_keep_days: float = 30.0  # for which nodes keep unpacked components that no step starts; 0: for ever
    step_log_mb: int = 5  # of a log file of a step; three are kept of each of its outputs
    step_disk_mb: int = 50  # that Nomad sets aside for a step's logs and what it writes
    datacenters: str = "*"
    tick_jitter: float = (
        0.0  # by how many seconds at most ticks come after their schedule, to spread flows of one minute
    )
    full_round_every: float = 300.0  # seconds from one look at all flows, for what no signal told, to the next
    deaf_after: float = 300.0  # a step whose process runs but does not consume is restarted after so many seconds
    stalled_after: float = 1200.0  # and one that holds messages and finishes none
    shutdown_after: float = 60.0  # a shutdown hook that takes longer is ended
    limited_ttl: float = 28_800.0  # a flow of a limited workspace is stopped so many seconds after its start
    timeout: float = 4.0  # a command must say within 5 s that a server is away, its own start included

    @property
    def artifacts(self) -> str:
        """Base address of packed components, for who puts them there."""
        return (self.artifact_url or self._own_artifacts).rstrip("/")

    @property
    def keeps_artifacts(self) -> bool:
        """Whether the component API is the store."""
        return self.artifacts == self._own_artifacts

    @property
    def _own_artifacts(self) -> str:
        return f"{self.component_api}/artifacts"

    @property
    def fetched_artifacts(self) -> str:
        """The same for nodes."""
        return (self.artifact_fetch_url or self.artifacts).rstrip("/")

    @property
    def artifact_folder(self) -> Path:
        return Path(self.artifact_dir).expanduser() if self.artifact_dir else home() / "artifacts"

    @property
    def object_folder(self) -> Path:
        return Path(self.object_dir).expanduser() if self.object_dir else home() / "objects"

    @property
    def cache_folder(self) -> Path:
        return Path(self.component_cache).expanduser() if self.component_cache else home() / "components"


def load_settings(
    flags: Mapping[str, object | None] | None = None, environ: Mapping[str, str] | None = None
) -> Settings:
    """Put the sources together. InputError names the source of a value that does not fit."""
    environ = os.environ if environ is None else environ
    values: dict[str, Any] = {}
    for name, variable in _NATIVE.items():
        if environ.get(variable):
            values[name] = environ[variable]
    values.update(_from_file(environ))
    for item in fields(Settings):
        if given := environ.get(f"NOMADFLOWS_{item.name.upper()}"):
            values[item.name] = given
    values.update({name: value for name, value in (flags or {}).items() if value is not None})
    for name, (kind, what) in _NUMBERS.items():
        if name in values:
            values[name] = _as_number(name, values[name], kind, what)
    _check_choices(values)
    for name in ("consul_addr", "nomad_addr", "vault_addr", "rabbitmq_api", "component_api", "gateway_url"):
        if name in values:
            values[name] = _as_url(str(values[name]))
    found = Settings(**values)
    _check_artifact_addresses(found)
    _check_disk(found)
    return found


def _check_choices(values: Mapping[str, Any]) -> None:
    if not values.get("timeout", 1):
        raise InputError("timeout: no server answers in 0 seconds", hint="it is 4 where nothing is said")
    if values.get("container_user", 1) < 1:
        raise InputError("container_user: no container runs as root", hint="allowed: the number of a user from 1 on")
    if values.get("component_fetch", "cache") not in FETCHES:
        raise InputError(f"component_fetch: unknown way {values['component_fetch']!r}", hint="allowed: cache, nomad")


def _check_disk(found: Settings) -> None:
    logs = LOG_FILES * found.step_log_mb
    if found.step_log_mb < 1 or found.step_disk_mb <= logs:
        raise InputError(
            f"step_disk_mb: {found.step_disk_mb} MB do not hold a step's logs and something beside them",
            hint=f"{LOG_FILES} files of step_log_mb ({found.step_log_mb}, at least 1) are {logs} MB; give it more",
        )


def _check_artifact_addresses(found: Settings) -> None:
    """Deploy speaks HTTP alone, and so do nodes, unless Nomad fetches for them: it knows more."""
    http = ("http://", "https://")
    if not found.artifacts.startswith(http):
        raise InputError(
            f"artifact_url: components are put there by HTTP, which {found.artifact_url!r} is not",
            hint="an address that only Nomad understands is for artifact_fetch_url",
        )
    if not found.fetched_artifacts.startswith(http) and found.component_fetch != "nomad":
        raise InputError(
            f"artifact_fetch_url: nodes fetch by HTTP, which {found.artifact_fetch_url!r} is not",
            hint='component_fetch = "nomad" has Nomad fetch, which knows s3:: and others',
        )


def _as_number(name: str, value: Any, kind: type[float | int], what: str) -> float:
    try:
        number = kind(value)
    except (ValueError, OverflowError):
        raise InputError(f"{name}: not a {what}: {value!r}") from None
    if not 0 <= number < math.inf:
        raise InputError(f"{name}: not a {what} from 0 on: {value!r}")
    return number


def _as_url(address: str) -> str:
    """`CONSUL_HTTP_ADDR` may lack its scheme."""
    return (address if "://" in address else f"http://{address}").rstrip("/")


def _from_file(environ: Mapping[str, str]) -> dict[str, Any]:
    given = environ.get("NOMADFLOWS_CONFIG")
    candidates = (
        [Path(given).expanduser()]
        if given
        else [
            Path(environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser() / "nomadflows" / "config.toml",
            stack_file(),
        ]
    )
    for path in candidates:
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            if given:
                raise InputError(f"NOMADFLOWS_CONFIG names a file that does not exist: {path}") from None
            continue
        except OSError as error:
            raise InputError(f"cannot read the settings in {path}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise InputError(f"{path}: not UTF-8 text: {error.reason} at byte {error.start}") from error
        return _checked(path, text)
    return {}


def _checked(path: Path, text: str) -> dict[str, Any]:
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: not TOML: {error}") from error
    known = {item.name for item in fields(Settings)}
    for name, value in data.items():
        if name not in known:
            raise InputError(f"{path}: unknown setting {name!r}", hint=f"known: {', '.join(sorted(known))}")
        if not isinstance(value, str) and not (name in _NUMBERS and type(value) in {int, float}):
            expected = f"a {_NUMBERS[name][1]}" if name in _NUMBERS else "text in quotes"
            raise InputError(f"{path}: {name}: expected {expected}")  # what is there may be a secret
    return data
