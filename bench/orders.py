"""Ten thousand orders into a database, while a step is killed every second.

The flow is `examples/orders-to-warehouse.yaml`, with one step more that notes each order it sees, so that doubles can
be counted. Whatever is delivered twice, there must be one row for each order and the right sum. It ends with 1 if there
is not, and also if the trigger had to be told once more to look: then a tick was lost.
"""

from __future__ import annotations

import os
import re
import sqlite3
import tempfile
import threading
import time
from collections import Counter
from contextlib import closing
from decimal import Decimal
from pathlib import Path

from bench.stack import nomadflows, private_stack
from examples.make_orders import make_order, write_orders
from nomadflows import clients
from nomadflows.model.names import FlowRef
from tests.world import World

ORDERS = int(os.environ.get("ORDERS", "10000"))
EVERY_S = float(os.environ.get("EVERY_S", "1"))  # between two kills; 0: none
LONGEST_S = 3600.0
QUIET_S = 60.0  # without a new row; then the trigger is told once more to look
FLOW = FlowRef("default", "orders-to-warehouse")
EXAMPLE = Path(__file__).parent.parent / "examples" / "orders-to-warehouse.yaml"
NOTE = """
  - id: note
    use: probe:relay
    with: {{ out: {out} }}
    map:
      n: $number($substringAfter($getPassthrough().orders.body.order_id, "-"))
"""


def flow_file(folder: Path) -> Path:
    text = EXAMPLE.read_text(encoding="utf-8")
    text = re.sub(r"(?m)^(\s*path: ).*$", rf"\g<1>{folder / 'orders'}", text)
    text = re.sub(r"(?m)^(schedule: ).*$", r'\g<1>"0 4 * * *"', text)  # ticked by hand
    file = folder / "flow.yaml"
    file.write_text(text.rstrip() + NOTE.format(out=folder / "noted"), encoding="utf-8")
    return file


def rows(database: Path) -> tuple[int, int, Decimal]:
    """Rows, different orders, sum."""
    if not database.exists():
        return 0, 0, Decimal(0)
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30)) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'orders'").fetchone():
            return 0, 0, Decimal(0)
        found = connection.execute("SELECT total, id FROM orders").fetchall()
    return len(found), len({key for _, key in found}), sum((Decimal(str(total)) for total, _ in found), Decimal(0))


class Killer(threading.Thread):
    """One step of the flow after the other."""

    def __init__(self, world: World, steps: list[str]) -> None:
        super().__init__(daemon=True)
        self._world, self._steps = world, steps
        self.stop = threading.Event()
        self.kills = 0

    def run(self) -> None:
        while not self.stop.wait(EVERY_S):
            self._steps.append(self._steps.pop(0))
            self.kills += self._world.kill_step(FLOW, self._steps[0])


def until_all_are_in(database: Path, began: float) -> int:
    """How often the trigger had to be told once more."""
    best, since, nudges = 0, time.monotonic(), 0
    while best < ORDERS and time.monotonic() - began < LONGEST_S:
        time.sleep(0.5)
        present = rows(database)[1]
        if present > best:
            best, since = present, time.monotonic()
        elif time.monotonic() - since > QUIET_S:
            print(f"nothing new for {QUIET_S:.0f} s at {best} orders; told to look again", flush=True)
            nomadflows("flow", "run-now", FLOW.flow)
            since, nudges = time.monotonic(), nudges + 1
    return nudges


def main() -> None:
    orders = [make_order(number) for number in range(1, ORDERS + 1)]
    expected = sum((order.total for order in orders), Decimal(0))
    with private_stack() as settings, tempfile.TemporaryDirectory(prefix="nomadflows-orders-") as name:
        folder = Path(name)
        world = World(settings, folder)
        world.deploy()
        database = folder / "warehouse.db"
        vault = clients.vault(settings)
        vault.set_credential(FLOW.workspace, "warehouse-db", {"url": f"sqlite:///{database}"})
        write_orders(folder / "orders" / "orders.csv", orders)
        nomadflows("flow", "apply", str(flow_file(folder)))
        nomadflows("flow", "publish", FLOW.flow)
        nomadflows("flow", "start", FLOW.flow, "--wait")
        killer = Killer(world, [step.id for step in world.status(FLOW).steps])
        began = time.monotonic()
        nomadflows("flow", "run-now", FLOW.flow)
        if EVERY_S:
            killer.start()
        nudges = until_all_are_in(database, began)
        seconds = time.monotonic() - began
        killer.stop.set()
        count, distinct, total = rows(database)
        time.sleep(5)  # what is doubled may come after all are in
        noted = Counter(world.seen(folder / "noted"))
        nomadflows("flow", "stop", FLOW.flow, "--yes", "--wait")
    print(
        f"{ORDERS} orders in {seconds:.0f} s, {killer.kills} processes killed: {count} rows, {distinct} different, "
        f"sum {total} ({'as expected' if total == expected else f'EXPECTED {expected}'}); "
        f"{sum(noted.values()) - len(noted)} doubles seen by the step behind the database"
    )
    print(f"ratio {distinct / ORDERS:.2f}")
    if (count, distinct, total) != (ORDERS, ORDERS, expected):
        raise SystemExit("the rows are not the orders")
    if nudges:
        raise SystemExit(f"the trigger had to be told {nudges} times more to look")


if __name__ == "__main__":
    main()
