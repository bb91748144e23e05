"""Operating system processes: start one detached, know it again by pid and start time, stop it and its kin.

Only ever touches processes it is given by pid; never looks for something to end by name.
"""

from __future__ import annotations

import contextlib
import os
import platform
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_LINUX: Final = platform.system() == "Linux"

# What the user's shell says about other clusters must not reach this stack's servers.
_FOREIGN: Final = ("NOMAD_", "CONSUL_", "VAULT_", "BAO_", "RABBITMQ_", "NOMADFLOWS_", "ERL_", "AWS_CA_BUNDLE")


@dataclass(frozen=True, slots=True)
class Identity:
    """A pid alone may be somebody else by now; with its start time it is one process for ever."""

    pid: int
    started: str


@dataclass(frozen=True, slots=True)
class ProcessView:
    """One line of the process table."""

    pid: int
    parent: int
    command: str


def clean_environment(extra: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    return {**kept, **extra}


def start(argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, log: Path) -> subprocess.Popen[bytes]:
    """In a session of its own, so that Ctrl-C in a terminal does not reach it; output appended to `log`."""
    with log.open("ab") as stream:
        return subprocess.Popen(  # noqa: S603 - argv is ours, no shell
            list(argv),
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def identify(pid: int) -> Identity | None:
    """None when there is no such process, or only its corpse."""
    if _LINUX:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        return None if fields[0] == "Z" else Identity(pid, fields[19])
    answer = subprocess.run(  # noqa: S603
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    state, _, started = answer.stdout.strip().partition(" ")
    return Identity(pid, started.strip()) if state and not state.startswith("Z") else None


def is_alive(who: Identity) -> bool:
    return identify(who.pid) == who


def send(who: Identity, number: signal.Signals) -> None:
    if is_alive(who):
        with contextlib.suppress(ProcessLookupError):
            os.kill(who.pid, number)


def wait_gone(who: Iterable[Identity], deadline: float) -> list[Identity]:
    """Those still alive at the deadline (of `time.monotonic`)."""
    left = list(who)
    while True:
        left = [one for one in left if is_alive(one)]
        if not left or time.monotonic() >= deadline:
            return left
        time.sleep(0.02)


def stop(who: Iterable[Identity], grace: float) -> None:
    """SIGTERM, wait, SIGKILL what stays."""
    targets = [one for one in who if is_alive(one)]
    for one in targets:
        send(one, signal.SIGTERM)
    left = wait_gone(targets, time.monotonic() + grace)
    for one in left:
        send(one, signal.SIGKILL)
    wait_gone(left, time.monotonic() + 5)


def table() -> list[ProcessView]:
    """All processes that this user can see."""
    if _LINUX:
        return [one for entry in Path("/proc").iterdir() if entry.name.isdigit() and (one := _from_proc(entry))]
    answer = subprocess.run(
        ["ps", "-A", "-ww", "-o", "pid=,ppid=,args="],  # noqa: S607
        capture_output=True,
        text=True,
        errors="replace",
        check=True,
    )
    rows = []
    for line in answer.stdout.splitlines():
        parts = line.split(None, 2)
        if len(parts) >= 2:  # noqa: PLR2004 - kernel threads may have no arguments
            rows.append(ProcessView(int(parts[0]), int(parts[1]), parts[2] if len(parts) > 2 else ""))  # noqa: PLR2004
    return rows


def _from_proc(entry: Path) -> ProcessView | None:
    try:
        parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        words = (entry / "cmdline").read_bytes().replace(b"\0", b" ")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None  # it ended while we looked, or is hidden from us
    return ProcessView(int(entry.name), parent, words.decode(errors="replace").strip())


def descendants(pid: int, processes: Sequence[ProcessView]) -> list[ProcessView]:
    """Children of `pid`, their children and so on, without itself."""
    children: dict[int, list[ProcessView]] = {}
    for one in processes:
        children.setdefault(one.parent, []).append(one)
    found: list[ProcessView] = []
    queue = [pid]
    while queue:
        for child in children.get(queue.pop(), []):
            found.append(child)
            queue.append(child.pid)
    return found
