"""RabbitMQ of the local stack, with an epmd of its own: never the system's service, never the shared epmd.

The broker is started by the script next to its libraries; the one on PATH may switch to another user.
"""

from __future__ import annotations

import secrets
import shutil
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nomadflows.broker.address import Address
from nomadflows.devstack.layout import read_json, write_json, write_private
from nomadflows.devstack.ports import Ports
from nomadflows.devstack.probe import ask
from nomadflows.devstack.server import READY, Command, Health

USER: Final = "nomadflows"
CONSUMER_TIMEOUT_MS: Final = 86_400_000
# What a full queue refused of the messages whose delay is over is tried again after 10 s instead of 3 min, and 1,000
# of them instead of 32 are on their way before others wait for them.
ADVANCED: Final = """[{rabbit, [
  {dead_letter_worker_publisher_confirm_timeout, 10000},
  {dead_letter_worker_consumer_prefetch, 1000}
]}].
"""
# Erlang's schedulers would spin for a while before they sleep: on a machine that the steps share with the broker, that
# is their processor.
_NO_BUSY_WAIT: Final = "+sbwt none +sbwtdcpu none +sbwtdio none"
_NAMES_REQUEST: Final = b"\x00\x01n"  # epmd logs a complaint about a connection that asks nothing


def password(data: Path) -> str:
    """The administrator's, made once; the broker stores it at its first start."""
    file = data / "admin.json"
    saved = read_json(file)
    if saved is None:
        saved = {"user": USER, "password": secrets.token_hex(16)}
        write_json(file, saved)
    return str(saved["password"])


def configuration(ports: Ports, administrator_password: str) -> str:
    return "\n".join(
        [
            "# Written by `nomadflows dev up` at every start; changes are lost.",
            f"listeners.tcp.local = 127.0.0.1:{ports['amqp']}",
            "management.tcp.ip = 127.0.0.1",
            f"management.tcp.port = {ports['rabbitmq_api']}",
            f"default_user = {USER}",
            f"default_pass = {administrator_password}",
            "collect_statistics_interval = 1000",
            # A message may be in work for long: the controller ends a step that hangs, by `stalled_after`.
            f"consumer_timeout = {CONSUMER_TIMEOUT_MS}",
            "log.console = true",
            "log.console.level = info",
            "log.file = false",
            "",
        ]
    )


def environment(data: Path, ports: Ports) -> Mapping[str, str]:
    return {
        "HOME": str(data),  # the Erlang cookie lies here
        "RABBITMQ_CONF_ENV_FILE": str(data / "rabbitmq-env.conf"),
        "RABBITMQ_CONFIG_FILE": str(data / "rabbitmq.conf"),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(data / "advanced.config"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(data / "enabled_plugins"),
        "RABBITMQ_NODENAME": f"nomadflows-{ports['amqp']}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(ports["amqp"]),
        "RABBITMQ_DIST_PORT": str(ports["rabbitmq_dist"]),
        "RABBITMQ_MNESIA_BASE": str(data / "mnesia"),
        "RABBITMQ_LOG_BASE": str(data / "log"),
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_PID_FILE": str(data / "rabbitmq.pid"),
        "RABBITMQ_GENERATED_CONFIG_DIR": str(data / "generated"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"-start_epmd false -kernel inet_dist_use_interface {{127,0,0,1}} {_NO_BUSY_WAIT}",
        # Makes the start script replace itself by the Erlang machine: one process to watch and to stop.
        "RUNNING_UNDER_SYSTEMD": "true",
        "ERL_EPMD_PORT": str(ports["epmd"]),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
    }


@dataclass(frozen=True, slots=True)
class Epmd:
    """Erlang's name service on a port of this stack's own, in the foreground."""

    data: Path
    ports: Ports
    name: str = "epmd"
    needs: tuple[str, ...] = ()

    def command(self) -> Command | None:
        self.data.mkdir(parents=True, exist_ok=True)
        argv = (epmd_program(), "-port", str(self.ports["epmd"]), "-address", "127.0.0.1")
        # -relaxed_command_check lets it be stopped while a dead broker's name is still registered
        return Command((*argv, "-relaxed_command_check"), cwd=self.data)

    def check(self) -> Health:
        try:
            with socket.create_connection(("127.0.0.1", self.ports["epmd"]), timeout=1) as connection:
                connection.sendall(_NAMES_REQUEST)
                return READY if connection.recv(4) else Health(ready=False, why="it hangs up")
        except OSError as error:
            return Health(ready=False, why=error.strerror or str(error))


@dataclass(frozen=True, slots=True)
class RabbitMQ:
    program: str
    data: Path
    ports: Ports
    amqp_uri: str
    api: str
    own: bool = True
    name: str = "rabbitmq"
    needs: tuple[str, ...] = ("epmd",)

    def command(self) -> Command | None:
        if not self.own:
            return None
        self.data.mkdir(parents=True, exist_ok=True)
        write_private(self.data / "rabbitmq.conf", configuration(self.ports, password(self.data)))
        (self.data / "enabled_plugins").write_text("[rabbitmq_management].\n")
        (self.data / "rabbitmq-env.conf").write_text("")
        (self.data / "advanced.config").write_text(ADVANCED)
        env = environment(self.data, self.ports)
        return Command((self.program,), cwd=self.data, env=env)

    def check(self) -> Health:
        broker = Address.parse(self.amqp_uri)
        try:
            with socket.create_connection((broker.host, broker.port), timeout=1):
                pass
        except OSError as error:
            return Health(ready=False, why=error.strerror or str(error))
        answer = ask("GET", f"{self.api}/api/whoami", auth=(broker.user, broker.password))
        if not answer.ok:
            return Health(ready=False, why=f"management API: {answer.text or answer.status}")
        return READY


def epmd_program() -> str:
    """On PATH, or beside `erl` where Erlang's own layout keeps it."""
    if found := shutil.which("epmd"):
        return found
    erl = shutil.which("erl")
    beside = Path(erl).resolve().parent / "epmd" if erl else Path("epmd")
    return str(beside)
