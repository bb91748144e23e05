"""20,000 messages through Node → mapper → Python → Node while steps are killed at random. It ends with 1 if one is
lost."""

from __future__ import annotations

import os
import random
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from bench.stack import private_stack
from nomadflows.store import requests
from tests.world import World

MESSAGES = int(os.environ.get("MESSAGES", "20000"))
EVERY_S = float(os.environ.get("EVERY_S", "5"))  # on average, between two kills
LONGEST_S = float(os.environ.get("LONGEST_S", "3600"))
SEED = int(os.environ.get("SEED", "1"))


def flow(out: Path) -> dict[str, object]:
    return {
        "steps": [
            {"id": "receive", "use": "node-probe:receive", "prefetch": 1},
            {"id": "in-python", "use": "probe:relay", "map": {"n": "n"}},
            {"id": "last", "use": "node-probe:echo", "with": {"out": str(out)}},
        ]
    }


class Killer(threading.Thread):
    """Any step at any time."""

    def __init__(self, world: World, ref: object, steps: list[str]) -> None:
        super().__init__(daemon=True)
        self._world, self._ref, self._steps = world, ref, steps
        self._chance = random.Random(SEED)
        self.stop = threading.Event()
        self.kills: Counter[str] = Counter()

    def run(self) -> None:
        while not self.stop.wait(self._chance.uniform(0.2, 1.8) * EVERY_S):
            step = self._chance.choice(self._steps)
            self.kills[step] += self._world.kill_step(self._ref, step)  # type: ignore[arg-type]


def main() -> None:
    with private_stack() as settings, tempfile.TemporaryDirectory(prefix="nomadflows-mixed-") as name:
        world = World(settings, Path(name))
        world.deploy()
        world.install("node_probe")
        out = Path(name) / "out"
        ref = world.start_flow("mixed", flow(out))
        killer = Killer(world, ref, [step.id for step in world.status(ref).steps])
        began = time.monotonic()
        killer.start()
        world.send(ref, range(MESSAGES))
        counts: Counter[int] = Counter()
        while len(counts) < MESSAGES and time.monotonic() - began < LONGEST_S:
            time.sleep(1)
            counts = world.seen(out)
        seconds = time.monotonic() - began
        killer.stop.set()
        killer.join()
        time.sleep(5)  # what is doubled may come after all are in
        counts = world.seen(out)
        requests.stop(world.store, ref, by="bench")
        world.flow_becomes(ref, "Stopped", 120)
    kills = ", ".join(f"{step} {count}" for step, count in sorted(killer.kills.items()))
    print(
        f"{MESSAGES} messages in {seconds:.0f} s, {sum(killer.kills.values())} processes killed ({kills}): "
        f"{MESSAGES - len(counts)} lost, {sum(counts.values()) - len(counts)} doubled"
    )
    print(f"ratio {len(counts) / MESSAGES:.4f}")
    if set(counts) != set(range(MESSAGES)):
        raise SystemExit("what arrived is not what was sent")


if __name__ == "__main__":
    main()
