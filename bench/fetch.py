"""Message into a parked flow → `process()`, by the way its component comes to the node: a folder that is there, the cache
(unpacked at a first start), or Nomad's `artifact` block (unpacked for each process). Of a small component, and of one
with 2,000 files and 20 MB, as a Node component has. `ratio` is the cache's median beside the folder's, small component.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from pathlib import Path

from bench.stack import nomadflows
from bench.wake import PROBE, seconds_until
from nomadflows.model.component import ComponentVersion
from nomadflows.model.names import FlowRef
from nomadflows.settings import load_settings
from tests.world import World, eventually

ROUNDS = int(os.environ.get("ROUNDS", "8"))
FILES, BYTES = 2_000, 10_000


def component(folder: Path, files: int) -> Path:
    folder.mkdir()
    descriptor = {"version": "1.0.0", "triggers": {"take": {"main": "take"}}}
    (folder / "component.json").write_text(json.dumps(descriptor))
    (folder / "take.py").write_text(PROBE)
    for number in range(files):
        (folder / f"part-{number}.bin").write_bytes(os.urandom(BYTES))
    return folder


def started(world: World, folder: Path, way: str, size: str) -> tuple[FlowRef, Path]:
    name = f"{size}-{way}"
    out = folder.parent / f"out-{name}"
    if way == "folder":
        descriptor = json.loads((folder / "component.json").read_text())
        world.store.put_component(ComponentVersion(name, "1.0.0", "python", descriptor, {"path": str(folder)}))
    else:
        nomadflows("component", "deploy", str(folder), "--name", name)
    step = {"id": "take", "use": f"{name}:take", "with": {"out": str(out)}}
    begun = time.time()
    flow = world.start_flow(name, {"idle_after": "0s", "steps": [step]}, state="Sleeping")
    print(f"{name}: first start and park {time.time() - begun:.2f} s", flush=True)
    return flow, out


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="nomadflows-fetch-") as home:
        os.environ["NOMADFLOWS_HOME"] = home
        try:
            nomadflows("dev", "up", "--no-controller")
            measure(World(load_settings(), Path(home)), Path(home))
        finally:
            nomadflows("dev", "reset", "--yes")


def measure(world: World, home: Path) -> None:
    folders = {"small": component(home / "small", 0), "large": component(home / "large", FILES)}
    flows: dict[str, tuple[FlowRef, Path]] = {}
    for ways, fetch in ((("folder", "cache"), "cache"), (("nomad",), "nomad")):
        controller = world.start_controller(NOMADFLOWS_COMPONENT_FETCH=fetch)
        world.someone_leads()
        for size, folder in folders.items():
            flows |= {f"{size} {way}": started(world, folder, way, size) for way in ways}
        if fetch == "cache":  # the next one leads from here on; jobs stay as they were registered
            controller.terminate()
            controller.wait()
    waited: dict[str, list[float]] = {name: [] for name in flows}
    for number in range(ROUNDS):
        for name, (flow, out) in flows.items():
            eventually("it sleeps", lambda flow=flow: not world.step_pids(flow), 60)
            world.flow_becomes(flow, "Sleeping", 60)
            since = time.time()
            world.send(flow, range(number, number + 1), step="take")
            waited[name].append(seconds_until(out, since))
    for name, values in waited.items():
        print(f"{name}: median {statistics.median(values):.3f} s, longest {max(values):.3f} s", flush=True)
    world.close()
    print(f"ratio {statistics.median(waited['small cache']) / statistics.median(waited['small folder']):.2f}")


if __name__ == "__main__":
    main()
