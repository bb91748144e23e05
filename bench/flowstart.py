"""`flow start` → every step's queue has a consumer, for a flow of five steps, beside registering the same job by hand.

By hand: queues, user, secrets and role are there already and Nomad gets the finished job. The controller does all that
in the time it is measured by. Readiness is asked of the broker, the same way for both.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import requests as http

from bench.ratio import report
from bench.stack import private_stack
from nomadflows import clients
from nomadflows.model.names import FlowRef
from nomadflows.settings import Settings
from nomadflows.store import requests
from tests.world import World, eventually

ROUNDS = int(os.environ.get("ROUNDS", "10"))
STEPS = ("first", "second", "third", "fourth", "fifth")
FLOW = FlowRef("default", "bench-start")
BY = "bench"


class Bench:
    """One flow, started again and again in two ways."""

    def __init__(self, settings: Settings, world: World, out: Path) -> None:
        self.settings, self.world = settings, world
        self.store = clients.consul(settings)
        self.broker = clients.rabbitmq(settings)
        self.broker.ensure_vhost(FLOW.workspace)
        steps = [{"id": "first", "use": "probe:receive", "with": {"out": str(out)}}]
        steps += [{"id": step, "use": "probe:relay", "with": {"out": str(out)}} for step in STEPS[1:]]
        self.version = world.publish_flow(FLOW.flow, {"idle_after": "30m", "steps": steps}).version(1)

    def start_flow(self) -> float:
        since = time.perf_counter()
        requests.start(self.store, FLOW, by=BY)
        return self._ready(since)

    def register(self) -> float:
        """The job as it runs, stopped and registered again while the controller leaves it alone."""
        requests.set_repair(self.store, FLOW, repair=False, by=BY)
        job = self._nomad("GET", f"job/{self.version.job_id}")
        self._nomad("POST", "jobs", {"Job": job | {"Stop": True}})
        eventually("the processes have gone", lambda: not self._consumers() and not self._live(), 60)
        since = time.perf_counter()
        self._nomad("POST", "jobs", {"Job": job})
        return self._ready(since)

    def stop(self) -> None:
        requests.stop(self.store, FLOW, by=BY)
        self.world.flow_becomes(FLOW, "Stopped", 60)

    def _ready(self, since: float) -> float:
        while self._consumers() < len(STEPS):
            time.sleep(0.005)
        return time.perf_counter() - since

    def _consumers(self) -> int:
        depths = self.broker.depths(self.version, STEPS)
        return sum(depth.consumers for depth in depths.values() if depth)

    def _live(self) -> list[Any]:
        allocations = self._nomad("GET", f"job/{self.version.job_id}/allocations")
        return [alloc for alloc in allocations if alloc["ClientStatus"] in {"pending", "running"}]

    def _nomad(self, method: str, path: str, body: Any = None) -> Any:
        answer = http.request(
            method,
            f"{self.settings.nomad_addr}/v1/{path}?namespace=default",
            data=json.dumps(body) if body else None,
            headers={"X-Nomad-Token": self.settings.nomad_token},
            timeout=10,
        )
        answer.raise_for_status()
        return answer.json()


def main() -> None:
    with private_stack() as settings, tempfile.TemporaryDirectory(prefix="nomadflows-bench-") as folder:
        world = World(settings, Path(folder))
        world.deploy()
        bench = Bench(settings, world, Path(folder) / "out")
        pairs = []
        for _ in range(ROUNDS):
            flow = bench.start_flow()
            world.flow_becomes(FLOW, "Running", 60)
            pairs.append((bench.register(), flow))
            requests.set_repair(bench.store, FLOW, repair=True, by=BY)
            bench.stop()
    report("job by hand", "flow start", pairs)


if __name__ == "__main__":
    main()
