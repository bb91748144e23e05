"""10,000 orders through the example flow while one of its steps is killed every second: distinct rows and their sum.

Ends with `ratio <rows that are there / rows that should be>`: 1.00, or something was lost.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import yaml

from bench.stack import nomadflows, private_stack
from nomadflows.settings import Settings

ORDERS = int(os.environ.get("ORDERS", "10000"))
LIMIT_S = 1_500
EXAMPLE = Path(__file__).parents[1] / "examples"
FLOW = "orders-to-warehouse"


def step_pids(settings: Settings) -> dict[str, list[int]]:
    """Processes of the flow's steps on this stack."""
    found: dict[str, list[int]] = {}
    for entry in Path("/proc").iterdir():
        try:
            lines = (entry / "environ").read_bytes().split(b"\0")
        except (OSError, NotADirectoryError):
            continue
        names = dict(line.split(b"=", 1) for line in lines if b"=" in line)
        if names.get(b"ELASTICIO_API_URI", b"").decode() != settings.component_api:
            continue
        if b"nomadflows.runtime" in (entry / "cmdline").read_bytes():
            found.setdefault(names[b"ELASTICIO_STEP_ID"].decode(), []).append(int(entry.name))
    return found


def kill_every_second(settings: Settings, stop: threading.Event, killed: list[str]) -> None:
    """One step after the other, so that each is killed again and again."""
    turn = 0
    while not stop.wait(1.0):
        pids = step_pids(settings)
        if not pids:
            continue
        step = sorted(pids)[turn % len(pids)]
        turn += 1
        for pid in pids[step]:
            try:
                os.kill(pid, signal.SIGKILL)
                killed.append(step)
            except ProcessLookupError:
                continue


def rows(database: Path) -> tuple[int, float]:
    if not database.exists():
        return 0, 0.0
    try:
        with sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=5) as connection:
            count, total = connection.execute(
                "SELECT count(*), coalesce(round(sum(total), 2), 0) FROM orders"
            ).fetchone()
    except sqlite3.OperationalError:  # no table yet, or locked for long
        return 0, 0.0
    return int(count), float(total)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="nomadflows-orders-") as name, private_stack() as settings:
        folder = Path(name)
        (folder / "in").mkdir()
        command = [
            sys.executable,
            str(EXAMPLE / "make_orders.py"),
            "--orders",
            str(ORDERS),
            "--out",
            str(folder / "in/orders.csv"),
        ]
        said = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
        expected = float(said.split()[-1])
        definition = yaml.safe_load((EXAMPLE / f"{FLOW}.yaml").read_text())
        definition["steps"][0]["with"]["path"] = str(folder / "in")
        (folder / "flow.yaml").write_text(yaml.safe_dump(definition))
        database = folder / "warehouse.db"
        _set_credential(database)
        nomadflows("flow", "apply", str(folder / "flow.yaml"))
        nomadflows("flow", "publish", FLOW)
        nomadflows("flow", "start", FLOW, "--wait")
        began = time.monotonic()
        nomadflows("flow", "run-now", FLOW)
        stop, killed = threading.Event(), []
        killer = threading.Thread(target=kill_every_second, args=(settings, stop, killed))
        killer.start()
        try:
            while (found := rows(database))[0] < ORDERS and time.monotonic() - began < LIMIT_S:
                print(f"{time.monotonic() - began:6.0f} s: {found[0]} rows, {len(killed)} kills", flush=True)
                time.sleep(10)
        finally:
            stop.set()
            killer.join()
        found = rows(database)
    print(
        f"{ORDERS} orders in {time.monotonic() - began:.0f} s with {len(killed)} kills: {found[0]} distinct rows, "
        f"sum {found[1]:.2f}, expected {expected:.2f}: {'right' if abs(found[1] - expected) < 0.005 else 'WRONG'}"
    )
    print(f"ratio {found[0] / ORDERS:.2f}")


def _set_credential(database: Path) -> None:
    command = [sys.executable, "-m", "nomadflows", "credential", "set", "warehouse-db", "--stdin"]
    subprocess.run(command, check=True, input=json.dumps({"url": f"sqlite:///{database}"}), text=True, timeout=60)


if __name__ == "__main__":
    main()
