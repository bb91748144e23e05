"""A private local stack for one measurement, in a folder of its own that goes with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from nomadflows.model.names import FlowRef
from nomadflows.model.states import FlowState
from nomadflows.settings import Settings, load_settings
from nomadflows.store.store import Store


def nomadflows(*arguments: str) -> str:
    """Run a command as a user would; its output. CalledProcessError with what it said on failure."""
    done = subprocess.run(
        [sys.executable, "-m", "nomadflows", *arguments], check=False, capture_output=True, text=True, timeout=300
    )
    if done.returncode:
        raise SystemExit(f"nomadflows {' '.join(arguments)} ended with {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def is_asleep(store: Store, ref: FlowRef) -> bool:
    """Whether a flow is parked: no process of it runs."""
    record = store.flow(ref)
    return record is not None and record.status.value.state is FlowState.SLEEPING


@contextmanager
def private_stack() -> Iterator[Settings]:
    """Servers and a controller, up for the time of the block."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the stack goes with the bench, however that ends
    os.environ["NOMADFLOWS_HOME"] = tempfile.mkdtemp(prefix="nomadflows-bench-")
    try:
        nomadflows("dev", "up")
        yield load_settings()
    finally:
        nomadflows("dev", "reset", "--yes")
