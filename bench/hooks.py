"""Webhooks to a sleeping flow, with one of two gateways ended in the middle: what became of each request.

    python -m bench.hooks --rate 200 --seconds 60

Each fault finds the flow asleep. A request counts as acknowledged once it is answered by 200; it is lost if the flow's
last step never saw it. `ratio` is processed by acknowledged.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.faults import stack_and_world
from nomadflows.model.names import FlowRef
from tests.gateways import Callers, builtins, free_port, gateway
from tests.world import World, eventually

FAULTS = {"killed": signal.SIGKILL, "told to end": signal.SIGTERM}
HEADER = """\
| gateway | sent | acknowledged | not answered | first processed (s) | p50, p99, longest answer (ms) | lost | doubled |
|---|---:|---:|---:|---:|---|---:|---:|"""


@dataclass(frozen=True)
class Row:
    fault: str
    callers: Callers
    seen: Counter[int]
    first_s: float

    @property
    def lost(self) -> int:
        return len(self.callers.took.keys() - self.seen.keys())

    def __str__(self) -> str:
        took = sorted(self.callers.took.values())
        p50, p99, longest = (took[len(took) * part // 1000] * 1000 for part in (500, 990, 999))
        longest = took[-1] * 1000
        others = ", ".join(f"{count} {name}" for name, count in sorted(self.callers.others.items())) or "0"
        doubled = sum(count - 1 for count in self.seen.values())
        return (
            f"| {self.fault} | {self.callers.sent} | {len(took)} | {others} | {self.first_s:.2f} "
            f"| {p50:.1f}, {p99:.1f}, {longest:.0f} | {self.lost} | {doubled} |"
        )


def measure(world: World, flow: FlowRef, out: Path, fault: str, rate: float, seconds: float) -> Row:
    world.flow_becomes(flow, "Sleeping", 120)
    out.unlink(missing_ok=True)
    ports = (free_port(), free_port())
    with ExitStack() as gateways:
        processes: list[subprocess.Popen[Any]] = [gateways.enter_context(gateway(world, port)) for port in ports]
        began = time.monotonic()
        with Callers(ports, f"/hook/{flow}", rate) as callers:
            eventually("the flow is awake", lambda: world.seen(out), 60, every=0.02)
            first_s = time.monotonic() - began
            time.sleep(max(0.0, began + seconds / 2 - time.monotonic()))
            processes[0].send_signal(FAULTS[fault])
            time.sleep(max(0.0, began + seconds - time.monotonic()))
        wait_until_processed(world, out, callers)
        return Row(fault, callers, world.seen(out), first_s)


def wait_until_processed(world: World, out: Path, callers: Callers, patience_s: float = 60.0) -> None:
    """Until all is there, or nothing more came for a while."""
    quiet_until, count = time.monotonic() + patience_s, -1
    while callers.took.keys() - (seen := world.seen(out)).keys() and time.monotonic() < quiet_until:
        if len(seen) != count:
            quiet_until, count = time.monotonic() + patience_s, len(seen)
        time.sleep(0.2)


def main() -> None:
    options = argparse.ArgumentParser(description="Webhooks while a gateway is ended, as a table.")
    options.add_argument("--rate", type=float, default=200.0, help="requests a second")
    options.add_argument("--seconds", type=float, default=60.0, help="how long, the fault in the middle")
    options.add_argument("--fault", action="append", choices=FAULTS, help="only this one; may be repeated")
    chosen = options.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the stack goes with the bench, however that ends
    with stack_and_world() as (world, _):
        world.deploy()
        builtins(world)
        world.start_controller()
        out = world.folder / "out"
        steps = [
            {"id": "receive", "use": "webhook:receive"},
            {"id": "note", "use": "probe:relay", "with": {"out": str(out)}},
        ]
        flow = world.start_flow("loaded", {"idle_after": "2s", "steps": steps})
        print(HEADER, flush=True)
        rows = []
        for fault in chosen.fault or FAULTS:
            rows.append(measure(world, flow, out, fault, chosen.rate, chosen.seconds))
            print(rows[-1], flush=True)
        acknowledged = sum(len(row.callers.took) for row in rows)
        print(f"ratio {(acknowledged - sum(row.lost for row in rows)) / acknowledged:.2f}")


if __name__ == "__main__":
    main()
