# ruff: noqa: INP001
"""`make demo`: the whole path, driven by the command line as a person would, each command shown before it runs.

A folder of orders becomes rows in a SQLite database; the flow parks, wakes for a new file, is stopped and purged.
It works in the workspace `demo` and the folder `demo` beside the local stack's data, and leaves the stack running.
Told again, it publishes the next version of the same flow.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, NoReturn
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from nomadflows.settings import Settings, home, load_settings

HERE = Path(__file__).resolve().parent
WORKSPACE = "demo"
FLOW = "orders-to-warehouse"
FIRST, MORE = 300, 25  # orders of the first and of the second file


class DemoFailed(Exception):
    """Something did not come about; the demo ends with its sentence."""


@dataclass(frozen=True)
class Folder:
    """The demo's own files."""

    root: Path

    @property
    def orders(self) -> Path:
        return self.root / "orders"

    @property
    def database(self) -> Path:
        return self.root / "warehouse.db"

    @property
    def flow_file(self) -> Path:
        return self.root / f"{FLOW}.yaml"

    def begin(self) -> None:
        """A new folder, with a copy of the example flow: it watches a folder of the demo's, parks soon, and gets its ticks from
        the demo, so that the story does not depend on the minute it is told in."""
        shutil.rmtree(self.root.parent, ignore_errors=True)
        self.orders.mkdir(parents=True)
        text = (HERE / f"{FLOW}.yaml").read_text(encoding="utf-8")
        text = re.sub(r"(?m)^(\s*path: ).*$", lambda found: found[1] + json.dumps(str(self.orders)), text)
        text = re.sub(r"(?m)^(idle_after: ).*$", r"\g<1>5s # parked soon, so that one can watch it", text)
        text = re.sub(r"(?m)^(schedule: ).*$", r'\g<1>"0 4 * * *" # at night; the demo uses `flow run-now`', text)
        self.flow_file.write_text(text, encoding="utf-8")


def main() -> int:
    begun = time.monotonic()
    folder = Folder(home() / "demo" / time.strftime("%Y%m%d-%H%M%S"))
    try:
        said = tell(folder)
    except DemoFailed as failure:
        print(f"\ndemo FAILED after {time.monotonic() - begun:.0f} s: {failure}", flush=True)
        return 1
    except KeyboardInterrupt:
        print("\ndemo interrupted; `nomadflows dev status` shows what runs", flush=True)
        return 130
    print(f"\ndemo OK in {time.monotonic() - begun:.1f} s: {said}", flush=True)
    return 0


def tell(folder: Folder) -> str:
    """The story, chapter by chapter. Returns the summary."""
    title("1. The servers: RabbitMQ, Consul, OpenBao (or Vault), Nomad, and a controller")
    cli("dev", "up")
    settings = load_settings()
    end_an_earlier_demo()
    folder.begin()
    look("Nomad", f"{settings.nomad_addr}/ui")
    look("Consul", f"{settings.consul_addr}/ui")

    first = fill_warehouse(folder, settings)
    warm_up = flow()["warm_up_s"]
    watch_it_park(settings)
    wake = wake_it(folder, settings, first)
    stop_it(settings)
    return (
        f"{first[0]} orders, then {MORE} more after a sleep; warm-up {seconds(warm_up)}, "
        f"wake {seconds(wake)}; stopped and purged. The stack still runs: `nomadflows dev down` ends it."
    )


def fill_warehouse(folder: Folder, settings: Settings) -> tuple[int, Decimal]:
    title("2. The database's address is a secret: into Vault, not into the flow file")
    cli("credential", "set", "warehouse-db", "--stdin", given=json.dumps({"url": f"sqlite:///{folder.database}"}))
    cli("credential", "list")

    title(f"3. A folder with {FIRST} orders, and the flow that watches it")
    expected = write_orders(folder, 1, 1, FIRST)
    print(f"\n{folder.flow_file.read_text(encoding='utf-8')}")
    cli("flow", "validate", str(folder.flow_file))
    cli("flow", "apply", str(folder.flow_file))
    cli("flow", "publish", FLOW, "--note", "demo")
    cli("flow", "start", FLOW, "--wait")
    look("Nomad", f"{settings.nomad_addr}/ui/jobs/{job()}@{WORKSPACE}", "a job with five groups, one process each")
    look("Consul", kv_page(settings), "desired, status, events, versions")

    title("4. A tick now, instead of waiting for the schedule: orders become rows")
    cli("flow", "run-now", FLOW, "--wait")
    await_rows(folder, expected)
    show_rows(folder)
    cli("flow", "show", FLOW)
    cli("flow", "queues", FLOW)
    cli("flow", "logs", FLOW, "--step", "report", "--tail", "3")
    look("Consul", f"{kv_page(settings)}snapshots/orders/edit", "what the trigger remembers of the files it has read")
    return expected


def watch_it_park(settings: Settings) -> None:
    title("5. Nothing left to do: the flow parks, and no process is left")
    print("waiting until nothing was left to do for 5 s …", flush=True)
    until("the flow sleeps", 90, lambda: flow()["status"]["state"] == "Sleeping")
    cli("flow", "show", FLOW)
    running = nomad_running(settings, job())
    print(f"\nprocesses that Nomad runs for {job()}: {running}")
    if running:
        raise DemoFailed(f"Nomad still runs {running} processes of a sleeping flow")
    look("Nomad", f"{settings.nomad_addr}/ui/jobs/{job()}@{WORKSPACE}", "the job is still there, labelled Scaled Down")
    look("Consul", f"{kv_page(settings)}status/edit", "Sleeping, since when, and the steps with no replica")


def wake_it(folder: Folder, settings: Settings, first: tuple[int, Decimal]) -> float | None:
    title(f"6. A new file with {MORE} orders: the next tick wakes the flow")
    print("its schedule would tick at 04:00; `flow run-now` ticks at once", flush=True)
    count, total = write_orders(folder, 2, FIRST + 1, MORE)
    cli("flow", "run-now", FLOW, "--wait")
    await_rows(folder, (first[0] + count, first[1] + total))
    show_rows(folder)
    until("the wake time is known", 30, lambda: flow()["last_wake_s"] is not None)
    wake: float | None = flow()["last_wake_s"]
    print(f"\nfrom the wake to every step consuming its queue: {seconds(wake)}")
    cli("why", FLOW)
    look("Nomad", f"{settings.nomad_addr}/ui/jobs/{job()}@{WORKSPACE}", "the same job, its groups at one process again")
    look("Consul", f"{kv_page(settings)}events/edit", "each transition with its reason; `why` tells the same")
    return wake


def stop_it(settings: Settings) -> None:
    title("7. Stop: processes, queues and rights are gone; the definition and its history stay")
    name = job()
    cli("flow", "stop", FLOW, "--yes", "--wait")
    if nomad_running(settings, name) is not None:
        raise DemoFailed("Nomad still knows the job of a stopped flow")
    print(f"\nNomad knows no job {name} any more")
    cli("flow", "list")
    cli("flow", "versions", FLOW)
    look("Nomad", f"{settings.nomad_addr}/ui/jobs?namespace={WORKSPACE}", "no job of this flow")
    look("Consul", kv_page(settings), "versions and events are kept; status says Stopped")


# ── what is driven and looked at ──────────────────────────────────────────────────────────────────────────────


def cli(*arguments: str, given: str = "") -> None:
    """Show a command, then run it as a user would."""
    words = [*arguments] if arguments[0] == "dev" else ["-w", WORKSPACE, *arguments]
    source = "echo '{…}' | " if given else ""
    print(f"\n$ {source}nomadflows {shlex.join(words)}", flush=True)
    done = subprocess.run(_command(words), input=given or None, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise DemoFailed(f"`nomadflows {shlex.join(words)}` ended with {done.returncode}")


def quietly(*arguments: str) -> str | None:
    """The output of a command, or None if it was refused."""
    done = subprocess.run(  # noqa: S603
        _command(["-w", WORKSPACE, *arguments]), capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    return done.stdout if done.returncode == 0 else None


def _command(words: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "nomadflows", *words]


def flow() -> dict[str, Any]:
    """`flow show -o json`."""
    shown = quietly("flow", "show", FLOW, "-o", "json")
    if shown is None:
        raise DemoFailed(f"`nomadflows flow show {FLOW}` failed")
    data: dict[str, Any] = json.loads(shown)
    return data


def end_an_earlier_demo() -> None:
    """Its flow may run still; what this demo publishes is then the next version of it."""
    shown = quietly("flow", "show", FLOW, "-o", "json")
    if shown is not None and json.loads(shown)["desired"]["state"] != "stopped":
        print("\n(an earlier demo left its flow running: it is stopped)", flush=True)
        quietly("flow", "stop", FLOW, "--yes", "--wait")


def write_orders(folder: Folder, part: int, first: int, count: int) -> tuple[int, Decimal]:
    """A file of orders, complete at once; returns how many rows and what total must come of it. The flow remembers
    what it has read by name and content, so that a demo told again needs a name of its own."""
    name = f"orders-{folder.root.name}-{part}.csv"
    command = [
        str(HERE / "make_orders.py"),
        "--first",
        str(first),
        "--orders",
        str(count),
        "--out",
        str(folder.orders / name),
    ]
    print(f"\n$ python {shlex.join(command)}", flush=True)
    said = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=True).stdout  # noqa: S603
    print(said, end="", flush=True)
    words = said.split()  # orders 300 lines 756 total 52345.67
    return int(words[1]), Decimal(words[5])


def await_rows(folder: Folder, expected: tuple[int, Decimal]) -> None:
    print(f"\nwaiting for {expected[0]} rows, {expected[1]} in all …", flush=True)
    until(
        f"{expected[0]} rows with a total of {expected[1]} are in the warehouse",
        60,
        lambda: warehouse(folder) == expected,
    )


def warehouse(folder: Folder) -> tuple[int, Decimal] | None:
    """Rows and their total; None before the step has made its table."""
    if not folder.database.exists():
        return None
    database = sqlite3.connect(f"file:{folder.database}?mode=ro", uri=True, timeout=5)
    try:
        count, total = database.execute("SELECT count(*), round(coalesce(sum(total), 0), 2) FROM orders").fetchone()
    except sqlite3.OperationalError:
        return None
    finally:
        database.close()
    return int(count), Decimal(f"{float(total):.2f}")


def show_rows(folder: Folder) -> None:
    queries = [
        "SELECT count(*) AS orders, round(sum(total), 2) AS total FROM orders",
        "SELECT id, customer, country, items, total FROM orders ORDER BY id DESC LIMIT 3",
    ]
    database = sqlite3.connect(f"file:{folder.database}?mode=ro", uri=True, timeout=5)
    for query in queries:
        print(f"\nsql> {query}")
        cursor = database.execute(query)
        print("  " + " | ".join(column[0] for column in cursor.description))
        for row in cursor:
            print("  " + " | ".join(map(str, row)))
    database.close()


def job() -> str:
    """The Nomad job of the version that is active."""
    return f"{FLOW}.v{flow()['status']['version']}"


def nomad_running(settings: Settings, name: str) -> int | None:
    """How many processes Nomad runs for a job; None when it knows no such job."""
    headers = {"X-Nomad-Token": settings.nomad_token} if settings.nomad_token else {}
    url = f"{settings.nomad_addr}/v1/job/{name}/summary?namespace={WORKSPACE}"
    try:
        with urlopen(Request(url, headers=headers), timeout=5) as answer:  # noqa: S310 - the stack's own address
            groups = json.load(answer)["Summary"].values()
    except HTTPError as error:
        if error.code == 404:  # noqa: PLR2004
            return None
        raise DemoFailed(f"Nomad answered {error.code}") from error
    return sum(int(group["Running"]) + int(group["Starting"]) for group in groups)


def until(what: str, limit_s: float, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline:
            give_up(what, limit_s)
        time.sleep(0.1)


def give_up(what: str, limit_s: float) -> NoReturn:
    for arguments in (("flow", "show", FLOW), ("flow", "queues", FLOW), ("flow", "logs", FLOW, "--tail", "20")):
        print(f"\n$ nomadflows -w {WORKSPACE} {shlex.join(arguments)}\n{quietly(*arguments) or ''}", flush=True)
    raise DemoFailed(f"within {limit_s:.0f} s it did not come about that {what}")


def title(text: str) -> None:
    bold = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    print(f"\n\n\x1b[1m{text}\x1b[0m" if bold else f"\n\n{text}\n{'─' * len(text)}", flush=True)


def kv_page(settings: Settings) -> str:
    """What Consul's KV browser shows of the flow."""
    return f"{settings.consul_addr}/ui/dc1/kv/{settings.kv_prefix}/flows/{WORKSPACE}/{FLOW}/"


def look(where: str, url: str, what: str = "") -> None:
    print(f"  look: {where} {url}" + (f"  ({what})" if what else ""), flush=True)


def seconds(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2f} s"


if __name__ == "__main__":
    sys.exit(main())
