"""Servers and processes killed, or stopped and continued, idle and under load: lost, doubled, time to recover.

    python -m bench.faults                                   # everything: about 20 minutes
    python -m bench.faults --target consul --fault killed    # a part; options may be repeated

Twenty flows of both kinds live on one private stack through all of it. Idle: the fault comes while nothing is to do and
ordinary flows sleep, then every flow gets some messages; recovered when all are processed, counted from the kill or from
the moment the stopped process continues. Under load: it comes in the middle of `--rate` messages a second; recovered
after the longest time that a message waited, or that none was processed (the seconds that a process was stopped are
part of it). After each fault every flow must be where it should be, before the next one comes. It ends with 1 if a message
was lost.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nomadflows.devstack.stack import Stack
from nomadflows.settings import cache, load_settings
from tests.conftest import Servers, bring_up
from tests.traffic import Traffic
from tests.world import World, eventually

TARGETS = ("controller", "nomad", "nomad-client", "consul", "vault", "rabbitmq", "step")
FAULTS = ("killed", "stopped")
LOADS = ("idle", "load")
LONGEST_S = 180.0


@dataclass(frozen=True)
class Sizes:
    """How much of everything."""

    flows: int = 20
    rate: float = 100.0
    seconds: float = 12.0  # of load, the fault in its middle
    each: int = 12  # messages to each flow after a fault while idle
    stopped_s: float = 5.0


@dataclass(frozen=True)
class Row:
    target: str
    fault: str
    load: str
    sent: int
    lost: int
    doubled: int
    recovered_s: float

    def __str__(self) -> str:
        return (
            f"| {self.target} | {self.fault} | {self.load} | {self.sent} | {self.lost} | {self.doubled} "
            f"| {self.recovered_s:.1f} |"
        )


HEADER = "| what | fault | load | messages | lost | doubled | recovered after (s) |\n|---|---|---|---:|---:|---:|---:|"


class Bench:
    """The flows, and the faults one after the other."""

    def __init__(self, world: World, servers: Servers, sizes: Sizes) -> None:
        self.world, self.servers, self.sizes = world, servers, sizes
        self.traffic = Traffic(world)
        self.controller = world.start_controller()
        world.someone_leads(60)

    def start_flows(self) -> None:
        """Every second one real-time; all with two steps, as small as they may be."""
        self.world.deploy()
        for number in range(self.sizes.flows):
            out = self.world.folder / f"flow-{number}"
            kind = "realtime" if number % 2 else "ordinary"
            flow = self.world.start_flow(f"fault-{number}", definition(out, kind))
            self.traffic.add(flow, out)

    def settle(self) -> None:
        """Nothing to do, and every flow where it should be then."""
        for number, line in enumerate(self.traffic.lines):
            self.world.flow_becomes(line.ref, "Running" if number % 2 else "Sleeping", LONGEST_S)

    def row(self, target: str, fault: str, load: str) -> Row:
        before, doubled = self.traffic.sent, self._doubled()
        run = self._idle if load == "idle" else self._under_load
        recovered = run(target, fault)
        lost = self.traffic.drain(LONGEST_S)
        self.settle()
        return Row(target, fault, load, self.traffic.sent - before, lost, self._doubled() - doubled, recovered)

    def _doubled(self) -> int:
        self.traffic.look()
        return self.traffic.doubled

    def _idle(self, target: str, fault: str) -> float:
        self.settle()
        since = self.hurt(target, fault)
        self.traffic.burst(self.sizes.each)
        self.traffic.drain(LONGEST_S)
        return time.monotonic() - since

    def _under_load(self, target: str, fault: str) -> float:
        half = self.sizes.seconds / 2
        self.traffic.start(self.sizes.rate)
        try:
            time.sleep(half)
            began = time.time()
            self.hurt(target, fault)
            time.sleep(half)
            ended = time.time()
        finally:
            self.traffic.stop()
        self.traffic.drain(LONGEST_S)
        return max(self.traffic.longest_wait(began - 1), self.traffic.longest_gap(began, ended))

    # ── faults ────────────────────────────────────────────────────────────────────────────────────────────

    def hurt(self, target: str, fault: str) -> float:
        """Do it; the moment from which recovery counts."""
        pids = self._pids(target)
        if fault == "killed":
            since = time.monotonic()
            send(pids, signal.SIGKILL)
            if target == "controller":
                self.controller.wait()
                self.controller = self.world.start_controller()
            return since
        send(pids, signal.SIGSTOP)
        try:
            time.sleep(self.sizes.stopped_s)
        finally:
            since = time.monotonic()
            send(pids, signal.SIGCONT)
        return since

    def _pids(self, target: str) -> list[int]:
        if target == "controller":
            return [self.controller.pid]
        if target == "step":
            return [pid for line in self.traffic.lines for pid in self.world.step_pids(line.ref, "note")]
        view = eventually(f"{target} is ready", lambda: ready(self.servers, target), 60)
        return with_children(view.process.pid) if target == "rabbitmq" else [view.process.pid]


def definition(out: Path, kind: str) -> dict[str, Any]:
    small = {"resources": {"memory": 64, "cpu": 20}}
    steps = [
        {"id": "receive", "use": "probe:receive", **small},
        {"id": "note", "use": "probe:relay", "with": {"out": str(out)}, **small},
    ]
    return {"kind": kind, "steps": steps} | ({"idle_after": "2s"} if kind == "ordinary" else {})


def ready(servers: Servers, target: str) -> Any:
    view = servers.view(target)
    return view if view.state == "ready" and view.process is not None else None


def send(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def with_children(pid: int) -> list[int]:
    """A process and all that it has started."""
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            found += [int(child) for child in task.read_text().split()]
    return found


@contextmanager
def stack_and_world() -> Iterator[tuple[World, Servers]]:
    """Servers without a controller, in a folder of their own that goes with them."""
    home = Path(tempfile.mkdtemp(prefix="nomadflows-faults-"))
    os.environ["NOMADFLOWS_HOME"], os.environ["NOMADFLOWS_CONFIG"] = str(home), str(home / "stack.toml")
    world = None
    try:
        stack = bring_up(home)
        folder = home / "bench"
        folder.mkdir()
        world = World(load_settings(), folder)
        yield world, Servers(stack)
    finally:
        try:
            if world is not None:
                world.close()
        finally:
            Stack(home, cache()).reset(lambda _: None)


def chosen() -> tuple[argparse.Namespace, Sizes]:
    options = argparse.ArgumentParser(description="Faults on a private stack, as a table.")
    options.add_argument("--target", action="append", choices=TARGETS, help="only this one; may be repeated")
    options.add_argument("--fault", action="append", choices=FAULTS)
    options.add_argument("--load", action="append", choices=LOADS)
    options.add_argument("--flows", type=int, default=Sizes.flows)
    options.add_argument("--rate", type=float, default=Sizes.rate, help="messages a second under load")
    options.add_argument("--seconds", type=float, default=Sizes.seconds, help="how long the load lasts")
    options.add_argument("--each", type=int, default=Sizes.each, help="messages to each flow after a fault while idle")
    options.add_argument("--stopped", type=float, default=Sizes.stopped_s, help="seconds that a process is stopped")
    found = options.parse_args()
    return found, Sizes(found.flows, found.rate, found.seconds, found.each, found.stopped)


def table(bench: Bench, targets: tuple[str, ...], faults: tuple[str, ...], loads: tuple[str, ...]) -> Iterator[Row]:
    for load in loads:
        for target in targets:
            for fault in faults:
                yield bench.row(target, fault, load)


def main(say: Callable[[str], None] = lambda text: print(text, flush=True)) -> None:
    wanted, sizes = chosen()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the stack goes with the bench, however that ends
    with stack_and_world() as (world, servers):
        bench = Bench(world, servers, sizes)
        bench.start_flows()
        bench.settle()
        say(HEADER)
        for row in table(bench, wanted.target or TARGETS, wanted.fault or FAULTS, wanted.load or LOADS):
            say(str(row))
        sent, lost = bench.traffic.sent, bench.traffic.backlog
        say(f"\n{sent} messages, {lost} lost, {bench.traffic.doubled} doubled")
        say(f"ratio {(sent - lost) / sent:.2f}")
    if lost:
        raise SystemExit(f"{lost} messages were lost")


if __name__ == "__main__":
    main()
