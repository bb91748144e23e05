"""Message into a parked flow → its step's `process()`: the same component as a container and as a process of the node.

Both flows are parked when their message comes, and wake in turns. The step tells the moment in a datagram to this
process, since a container has no file in common with it. Needs a Docker engine, root and debootstrap.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pika

from bench.ratio import report
from bench.stack import is_asleep, nomadflows, private_stack
from nomadflows import clients
from nomadflows.broker.wire import Crypto, tick
from nomadflows.model.names import FlowRef, input_key
from nomadflows.settings import Settings
from tests.world import eventually

ROUNDS = int(os.environ.get("ROUNDS", "20"))
BASE_IMAGE = Path(__file__).parent.parent / "servers/base-image"

PROBE = """
import socket, time

def process(message, config, snapshot):
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.sendto(f"{config['name']} {time.time()}".encode(), ("127.0.0.1", config["port"]))
"""
FLOW = """\
flow: {name}
idle_after: 1s
steps:
  - id: probe
    use: {name}:probe
    with: {{name: {name}, port: {port}}}
"""


class Flow:
    """A parked flow of one step."""

    def __init__(self, settings: Settings, folder: Path, name: str, answers: socket.socket) -> None:
        self.ref, self.answers = FlowRef("default", name), answers
        self.store = clients.consul(settings)
        file = folder / f"{name}.yaml"
        file.write_text(FLOW.format(name=name, port=answers.getsockname()[1]))
        for command in ("apply", "publish"):
            nomadflows("flow", command, str(file) if command == "apply" else name)
        nomadflows("flow", "start", name, "--wait")
        secret = clients.vault(settings).version_secret(self.ref.version(1))
        self.crypto = Crypto(secret.crypto_password, secret.crypto_iv)
        uri = f"{settings.amqp_uri}/nomadflows.default"
        self.channel = pika.BlockingConnection(pika.URLParameters(uri)).channel()
        self.channel.confirm_delivery()

    def is_asleep(self) -> bool:
        return is_asleep(self.store, self.ref)

    def wake(self) -> float:
        message = tick(self.crypto, workspace="default", flow=self.ref.flow, exec_id="bench")
        since = time.time()
        self.channel.basic_publish(
            self.ref.version(1).exchange,
            input_key("probe"),
            message.body,
            pika.BasicProperties(delivery_mode=2, headers=message.headers),
            mandatory=True,
        )
        while True:
            name, moment = self.answers.recv(200).decode().split()
            if name == self.ref.flow:
                return float(moment) - since


def component(folder: Path) -> Path:
    place = folder / "probe"
    place.mkdir()
    (place / "probe.py").write_text(PROBE)
    fields = {name: {"label": name, "viewClass": "TextFieldView"} for name in ("name", "port")}
    trigger = {"title": "Probe", "main": "probe", "type": "webhook", "fields": fields}
    descriptor = {"title": "Probe", "language": "python", "version": "1.0.0", "triggers": {"probe": trigger}}
    (place / "component.json").write_text(json.dumps(descriptor))
    return place


def alone(flow: Flow, other: Flow) -> float:
    """A wake while nothing else starts or stops."""
    eventually("both flows park", lambda: flow.is_asleep() and other.is_asleep(), 60)
    return flow.wake()


def main() -> None:
    base = subprocess.run([str(BASE_IMAGE)], check=True, capture_output=True, text=True).stdout.strip()
    with (
        tempfile.TemporaryDirectory(prefix="nomadflows-bench-") as name,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as answers,
        private_stack() as settings,
    ):
        answers.bind(("127.0.0.1", 0))
        answers.settimeout(60)
        folder = Path(name)
        place = component(folder)
        nomadflows("component", "deploy", str(place), "--name", "bench-process")
        nomadflows("component", "build", str(place), "--base", base, "--tag", "nomadflows/bench-container:1.0.0")
        nomadflows("component", "deploy", "--image", "nomadflows/bench-container:1.0.0")
        process = Flow(settings, folder, "bench-process", answers)
        container = Flow(settings, folder, "bench-container", answers)
        pairs = [(alone(process, container), alone(container, process)) for _ in range(ROUNDS)]
    report("raw_exec", "docker", pairs)


if __name__ == "__main__":
    main()
