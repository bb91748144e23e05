"""Memory of an idle step process, beside a bare pika consumer: PSS, which shares out what processes have in common.

Several of each run at once, as on a node. Linux only. `ratio` is step to bare.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

from bench.start import BARE
from bench.steps import step_on_a_broker
from tests.stack.runtime.harness import Harness

PROCESSES = 5


def pss_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise SystemExit(f"no Pss in /proc/{pid}/smaps_rollup")


def wait_for_consumers(harness: Harness, count: int) -> None:
    deadline = time.monotonic() + 60
    while harness.consumers() != count:
        if time.monotonic() > deadline:
            raise SystemExit(f"{harness.consumers()} consumers instead of {count}\n{harness.log()}")
        time.sleep(0.02)


def measured(harness: Harness, processes: list[subprocess.Popen[str]]) -> float:
    """Median of the processes, once each has consumed and is idle."""
    wait_for_consumers(harness, len(processes))
    for _ in range(20 * len(processes)):
        harness.send({"text": "x" * 1000})
    harness.settled(30)
    figures = [pss_mb(process.pid) for process in processes]
    for process in processes:
        process.terminate()
        process.wait()
    wait_for_consumers(harness, 0)
    return statistics.median(figures)


def main() -> None:
    with step_on_a_broker() as harness:
        harness.component("def process(message, config, snapshot): return message")
        acknowledging = BARE.replace("body: None", "body: channel.basic_ack(method.delivery_tag)")
        bare_command = [sys.executable, "-c", acknowledging, harness.amqp_uri, harness.queue]
        bare = measured(harness, [subprocess.Popen(bare_command, text=True) for _ in range(PROCESSES)])
        step = measured(harness, [harness.start(ready=False) for _ in range(PROCESSES)])
    print(f"idle, {PROCESSES} at once: bare pika {bare:.1f} MB, step {step:.1f} MB")
    print(f"ratio {step / bare:.2f}")


if __name__ == "__main__":
    main()
