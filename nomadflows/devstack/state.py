"""What the supervisor says about itself and its servers, for `up`, `status` and `down` to read."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Literal

from nomadflows.devstack.layout import Layout, read_json, write_json
from nomadflows.devstack.processes import Identity

ServerState = Literal["waiting", "starting", "ready", "unwell", "restarting", "stopped"]
Phase = Literal["starting", "ready", "failed", "stopping"]


@dataclass(frozen=True, slots=True)
class ServerView:
    """What one server does, and why, if it is not ready."""

    name: str
    state: ServerState
    why: str = ""
    process: Identity | None = None
    restarts: int = 0
    log: str = ""


@dataclass(frozen=True, slots=True)
class StackState:
    """All of a stack, as its supervisor saw it last."""

    supervisor: Identity
    phase: Phase
    why: str = ""
    servers: tuple[ServerView, ...] = field(default=())

    def save(self, layout: Layout) -> None:
        write_json(layout.state_file, asdict(self))

    def server(self, name: str) -> ServerView | None:
        return next((one for one in self.servers if one.name == name), None)


def load_state(layout: Layout) -> StackState | None:
    """None where there is none. What it says may be of a supervisor that is gone: see `supervised`."""
    data = read_json(layout.state_file)
    if data is None:
        return None
    servers = tuple(
        ServerView(**{**one, "process": Identity(**one["process"]) if one["process"] else None})
        for one in data["servers"]
    )
    return StackState(Identity(**data["supervisor"]), data["phase"], data["why"], servers)


def try_lock(path: Path) -> IO[str] | None:
    """The open file while we hold its lock, None when somebody else does. Released when the holder ends, however."""
    stream = path.open("a")
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        stream.close()
        return None
    return stream


def supervised(layout: Layout) -> bool:
    """Whether a supervisor of this stack lives. Asks for a shared lock, so two who ask do not see each other."""
    try:
        with layout.supervisor_lock.open("a") as stream:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


@contextmanager
def held(path: Path) -> Iterator[bool]:
    """Hold a lock for a block; False when it is somebody else's."""
    stream = try_lock(path)
    try:
        yield stream is not None
    finally:
        if stream is not None:
            stream.close()
