"""What a node has fetched and nobody has started for long is taken away again, by whoever fetches something else.

A folder in the cache has a lock beside it, and a mark that every start of a step touches. It goes when its mark is old
enough, no process was started from it, and nobody holds its lock. What a killed fetch has left goes with it.

Standard library only: nodes run this before a step starts.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

VARIABLE: Final = "NOMADFLOWS_COMPONENT_DIR"
_DAY_S: Final = 86_400
_LOCKS: Final = "*/.*.lock"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One process at a time makes or removes a folder; the others wait."""
    with _lock(folder).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """A place beside the folder, gone afterwards. For who holds the lock."""
    with tempfile.TemporaryDirectory(prefix=_scratch_prefix(folder), dir=folder.parent) as fresh:
        yield Path(fresh)


def mark(folder: Path) -> None:
    """It was used just now."""
    _mark(folder).touch()


def sweep(cache: Path, keep_days: float, now: float, processes: Path = Path("/proc")) -> list[Path]:
    """Take away what was not started for so many days, 0: what it may be; the folders that went."""
    oldest = now - keep_days * _DAY_S if keep_days else 0.0
    used = None
    gone = []
    for lock in sorted(cache.glob(_LOCKS)):
        folder = lock.parent / lock.name.removeprefix(".").removesuffix(".lock")
        with lock.open("w") as held:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            for left in folder.parent.glob(f"{_scratch_prefix(folder)}*"):
                shutil.rmtree(left, ignore_errors=True)
            if not folder.is_dir() or _last_use(folder) >= oldest:
                continue
            used = _in_use(processes) if used is None else used
            if str(folder) in used:
                continue
            with scratch(folder) as aside:  # in one step, so that a start finds it whole or not at all
                folder.rename(aside / "old")
            _mark(folder).unlink(missing_ok=True)
            gone.append(folder)
    return gone


def _last_use(folder: Path) -> float:
    return max(path.stat().st_mtime for path in (folder, _mark(folder)) if path.exists())


def _in_use(processes: Path) -> set[str]:
    """Folders that processes of this node were started from, as their environment says."""
    wanted = f"{VARIABLE}=".encode()
    found = set()
    for process in processes.iterdir():
        try:
            environment = (process / "environ").read_bytes() if process.name.isdigit() else b""
        except OSError:  # it has ended, or is somebody's whose steps are not ours
            continue
        found |= {os.fsdecode(line[len(wanted) :]) for line in environment.split(b"\0") if line.startswith(wanted)}
    return found


def _lock(folder: Path) -> Path:
    return folder.parent / f".{folder.name}.lock"


def _mark(folder: Path) -> Path:
    """The shell that starts a step touches it too (`render.process`)."""
    return folder.parent / f"{folder.name}.used"


def _scratch_prefix(folder: Path) -> str:
    return f".fetching-{folder.name}-"
