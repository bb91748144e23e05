"""Message into a parked flow → its first step's `process()`, beside bare Nomad starting a bare pika consumer.

Both sides get one persistent message in a durable queue while their job's count is 0. The bare side scales its job
itself right after the publish; the flow is woken by the controller. Both write the moment they hold the message.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path

import pika
import requests

from bench.ratio import report
from bench.stack import is_asleep, nomadflows, private_stack
from nomadflows import clients
from nomadflows.broker.wire import Crypto, tick
from nomadflows.model.component import ComponentVersion
from nomadflows.model.names import FlowRef, input_key
from nomadflows.settings import Settings
from tests.world import eventually

ROUNDS = int(os.environ.get("ROUNDS", "20"))
FLOW = FlowRef("default", "bench-wake")

PROBE = """
import os, time

def process(message, config, snapshot):
    with open(config["out"], "a") as out:
        out.write(f"{time.time()}\\n")
"""

BARE = """
import sys, time
import pika

uri, queue, out = sys.argv[1:]
channel = pika.BlockingConnection(pika.URLParameters(uri)).channel()
channel.basic_qos(prefetch_count=1)

def on_message(channel, method, properties, body):
    with open(out, "a") as file:
        file.write(f"{time.time()}\\n")
    channel.basic_ack(method.delivery_tag)

channel.basic_consume(queue, on_message)
channel.start_consuming()
"""


def seconds_until(out: Path, since: float) -> float:
    """Wait for the next line in a probe's file; seconds from `since` to the moment it names."""
    known = len(out.read_text().splitlines()) if out.exists() else 0
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        lines = out.read_text().splitlines() if out.exists() else []
        if len(lines) > known:
            return float(lines[-1]) - since
        time.sleep(0.005)
    raise SystemExit(f"nothing arrived in {out} within 30 s")


class Bare:
    """A raw_exec job of one pika consumer, scaled by hand."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings, self.out = settings, folder / "bare.out"
        (folder / "bare.py").write_text(BARE)
        self.uri = f"{settings.amqp_uri}/%2F"
        self.channel = pika.BlockingConnection(pika.URLParameters(self.uri)).channel()
        self.channel.confirm_delivery()
        self.channel.queue_declare("bench.bare", durable=True)
        args = [str(folder / "bare.py"), self.uri, "bench.bare", str(self.out)]
        hcl = f"""
        job "bench-bare" {{
          datacenters = ["*"]
          update {{ max_parallel = 0 }}
          group "main" {{
            count = 0
            task "main" {{
              driver = "raw_exec"
              config {{
                command = {json.dumps(sys.executable)}
                args = {json.dumps(args)}
              }}
              resources {{
                cpu = 100
                memory = 128
              }}
            }}
          }}
        }}"""
        job = requests.post(f"{settings.nomad_addr}/v1/jobs/parse", json={"JobHCL": hcl}, timeout=10).json()
        requests.post(f"{settings.nomad_addr}/v1/jobs", json={"Job": job}, timeout=10).raise_for_status()

    def scale(self, count: int) -> None:
        body = {"Count": count, "Target": {"Group": "main"}}
        requests.post(f"{self.settings.nomad_addr}/v1/job/bench-bare/scale", json=body, timeout=10).raise_for_status()

    def gone(self) -> bool:
        allocs = requests.get(f"{self.settings.nomad_addr}/v1/job/bench-bare/allocations", timeout=10).json()
        return all(alloc["ClientStatus"] not in {"running", "pending"} for alloc in allocs)

    def wake(self) -> float:
        since = time.time()
        self.channel.basic_publish("", "bench.bare", b"x" * 100, pika.BasicProperties(delivery_mode=2))
        self.scale(1)
        took = seconds_until(self.out, since)
        self.scale(0)
        eventually("the bare consumer goes", self.gone, 60)
        return took


class Flow:
    """A parked flow of one step, woken by a message from a stranger."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.out = folder / "flow.out"
        component = folder / "probe"
        component.mkdir()
        (component / "probe.py").write_text(PROBE)
        trigger = {
            "title": "Probe",
            "main": "probe",
            "type": "webhook",
            "fields": {"out": {"label": "Out", "viewClass": "TextFieldView"}},
        }
        descriptor = {"title": "Probe", "language": "python", "version": "1.0.0", "triggers": {"probe": trigger}}
        (component / "component.json").write_text(json.dumps(descriptor))
        self.store = clients.consul(settings)
        self.store.put_component(
            ComponentVersion("bench-probe", "1.0.0", "python", descriptor, {"path": str(component)})
        )
        file = folder / "flow.yaml"
        file.write_text(
            f"flow: {FLOW.flow}\nidle_after: 1s\nsteps:\n  - id: probe\n    use: bench-probe:probe\n    with: {{out: {self.out}}}\n"
        )
        nomadflows("flow", "apply", str(file))
        nomadflows("flow", "publish", FLOW.flow)
        nomadflows("flow", "start", FLOW.flow, "--wait")
        secret = clients.vault(settings).version_secret(FLOW.version(1))
        self.crypto = Crypto(secret.crypto_password, secret.crypto_iv)
        uri = f"{settings.amqp_uri}/nomadflows.default"
        self.channel = pika.BlockingConnection(pika.URLParameters(uri)).channel()
        self.channel.confirm_delivery()

    def wake(self) -> float:
        eventually("the flow parks", lambda: is_asleep(self.store, FLOW), 60)
        message = tick(self.crypto, workspace="default", flow=FLOW.flow, exec_id="bench")
        since = time.time()
        self.channel.basic_publish(
            FLOW.version(1).exchange,
            input_key("probe"),
            message.body,
            pika.BasicProperties(delivery_mode=2, headers=message.headers),
            mandatory=True,
        )
        return seconds_until(self.out, since)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="nomadflows-bench-") as name, private_stack() as settings:
        folder = Path(name)
        flow, bare = Flow(settings, folder), Bare(settings, folder)
        pairs = [(bare.wake(), flow.wake()) for _ in range(ROUNDS)]
    report("bare", "flow", pairs)


if __name__ == "__main__":
    main()
