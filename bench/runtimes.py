"""Node's library and our Python runtime side by side: start to consuming, and messages per second at prefetch 1.

The same broker, messages of 1 KiB, persistent, encrypted, confirmed; by turns. Node's library is version 2.7.8 with its
rate limit (100 messages/s) taken away, as steps have it. `ratio`: Python to Node.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench.start import seconds_to_consume
from bench.step import messages_per_second
from bench.steps import step_on_a_broker
from nomadflows.packing import build, read_component
from tests.stack.runtime.harness import Harness
from tests.world import COMPONENTS

MESSAGES = 1_000
STARTS = 15
ROUNDS = 3
NODE_RUN = "node_modules/elasticio-sailor-nodejs/run.js"


def node_step(harness: Harness, folder: Path) -> Callable[[], subprocess.Popen[str]]:
    def start() -> subprocess.Popen[str]:
        environment = harness.environment() | {
            "ELASTICIO_FUNCTION": "echo",
            "ELASTICIO_AMQP_URI": f"{harness.amqp_uri}?frameMax=131072&heartbeat=30",
            "ELASTICIO_DATA_RATE_LIMIT": "1000000",
            "LOG_LEVEL": "warn",
        }
        with (harness.folder / "node.log").open("a") as log:
            process = subprocess.Popen(
                ["node", NODE_RUN], cwd=folder, env=environment, stdout=log, stderr=log, text=True
            )
        harness.processes.append(process)
        return process

    return start


def durable(harness: Harness) -> None:
    for name, key in ((f"{harness.name}.data", "step.data"), (harness.queue, "step.input")):
        harness.channel.queue_delete(name)
        harness.channel.queue_declare(name, durable=True)
        harness.channel.queue_bind(name, harness.name, key)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="nomadflows-runtimes-") as home, step_on_a_broker() as harness:
        component, folder = read_component(COMPONENTS / "node_probe"), Path(home) / "component"
        build(component, COMPONENTS / "node_probe", folder, sys.executable)
        harness.component("def process(message, config, snapshot): return {'text': message.body['text']}")
        durable(harness)
        starts = {
            "python": lambda: harness.start(ready=False),
            "node": node_step(harness, folder),
        }
        ready: dict[str, list[float]] = {name: [] for name in starts}
        rates: dict[str, list[float]] = {name: [] for name in starts}
        for _ in range(STARTS):
            for name, start in starts.items():
                ready[name].append(seconds_to_consume(harness, start))
        for _ in range(ROUNDS):
            for name, start in starts.items():
                rates[name].append(messages_per_second(harness, MESSAGES, start))
    print(json.dumps({"node": component.location["node"], "starts": STARTS, "rounds": ROUNDS}))
    for name in starts:
        print(
            f"{name}: start to consuming {statistics.median(ready[name]) * 1000:.0f} ms "
            f"(best {min(ready[name]) * 1000:.0f}), prefetch 1: {statistics.median(rates[name]):.0f} messages/s "
            f"({', '.join(f'{rate:.0f}' for rate in rates[name])})"
        )
    print(f"ratio {statistics.median(rates['python']) / statistics.median(rates['node']):.2f}")


if __name__ == "__main__":
    main()
