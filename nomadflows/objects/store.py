"""A folder of objects: bodies that are too large for a message, attachments, what components put by for themselves.

One file an object: a line of JSON that says what it is, then its bytes. Its time of change is when it expires, so that
nothing has to be read to find what has expired. Objects that can be found by a label have an empty file of their id
in a folder of that label. Several processes, also of several hosts, may share one folder: a file appears whole, or
not at all.

::

    <workspace>/<first two digits of the id>/<id>
    <workspace>/labels/<digest of name and value>/<id>
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final, Self

from nomadflows.model.names import WORKSPACE

_ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_LABELS: Final = "labels"
_RECEIVING: Final = ".receiving-"
_ABANDONED_S: Final = 86_400.0  # a process that received has ended without tidying up
MOST_LABELS: Final = 5


class TooLargeError(Exception):
    """More than one object may have."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of an object besides its bytes."""

    content_type: str
    expires: float  # seconds since 1970
    created: float
    owner: str = ""  # the flow version that made it
    labels: Mapping[str, str] = field(default_factory=dict)  # it can be found by these
    notes: Mapping[str, str] = field(default_factory=dict)  # and only says these

    def to_json(self) -> dict[str, Any]:
        return {
            "content_type": self.content_type,
            "expires": self.expires,
            "created": self.created,
            "owner": self.owner,
            "labels": dict(self.labels),
            "notes": dict(self.notes),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        return cls(**data)


@dataclass(frozen=True, slots=True)
class Found:
    """One object, open at its first byte; whoever got it closes it. It can be read though it is removed meanwhile."""

    id: str
    facts: Facts
    size: int
    file: IO[bytes] = field(repr=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()


class ObjectStore:
    """`clock` gives seconds since 1970."""

    def __init__(self, folder: Path, most_bytes: int, clock: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._most = most_bytes
        self._clock = clock

    @contextmanager
    def receiving(self, workspace: str, object_id: str, facts: Facts) -> Iterator[Receiving]:
        """A place for what comes in pieces; unless it is kept, nothing stays of it. ValueError for what is no id."""
        target = self._path(workspace, object_id)
        if target is None or len(facts.labels) > MOST_LABELS:
            raise ValueError(f"an id is a UUID, and an object has {MOST_LABELS} labels at most")
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(prefix=_RECEIVING, dir=target.parent, delete=False) as file:
            path = Path(file.name)
            try:
                yield Receiving(file, path, target, facts, self._most, self._marks(workspace, object_id, facts))
            finally:
                path.unlink(missing_ok=True)

    def open(self, workspace: str, object_id: str) -> Found | None:
        """None if there is none, or none any more."""
        path = self._path(workspace, object_id)
        if path is None:
            return None
        try:
            file = path.open("rb")
        except FileNotFoundError:
            return None
        facts = Facts.from_json(json.loads(file.readline()))
        if facts.expires <= self._clock():
            file.close()
            return None
        return Found(object_id, facts, os.fstat(file.fileno()).st_size - file.tell(), file)

    def find(self, workspace: str, labels: Mapping[str, str]) -> Iterator[Found]:
        """Those that have all these labels, oldest first. None without a label."""
        if not labels or not WORKSPACE.fullmatch(workspace):
            return
        folder = self._label(workspace, *next(iter(labels.items())))
        found = [self.open(workspace, mark.name) for mark in folder.glob("*")]
        for one in sorted((one for one in found if one), key=lambda it: it.facts.created):
            one.file.close()
            if labels.items() <= one.facts.labels.items():
                yield one

    def remove(self, workspace: str, object_id: str) -> bool:
        """Whether there was one."""
        found = self.open(workspace, object_id)
        path = self._path(workspace, object_id)
        if found is None or path is None:
            return False
        found.file.close()
        path.unlink(missing_ok=True)
        for mark in self._marks(workspace, object_id, found.facts):
            mark.unlink(missing_ok=True)
        return True

    def sweep(self) -> int:
        """Remove what has expired; how many files that were."""
        now, removed = self._clock(), 0
        for path in self._folder.glob("*/*/*"):
            removed += _removed_if_old(path, now) if path.is_file() else 0
        for path in self._folder.glob(f"*/{_LABELS}/*/*"):
            removed += _removed_if_old(path, now)
        for folder in self._folder.glob(f"*/{_LABELS}/*"):
            with suppress(OSError):  # not empty, or gone
                folder.rmdir()
        return removed

    def _path(self, workspace: str, object_id: str) -> Path | None:
        if not WORKSPACE.fullmatch(workspace) or not _ID.fullmatch(object_id):
            return None
        return self._folder / workspace / object_id[:2] / object_id

    def _marks(self, workspace: str, object_id: str, facts: Facts) -> list[Path]:
        return [self._label(workspace, name, value) / object_id for name, value in facts.labels.items()]

    def _label(self, workspace: str, name: str, value: str) -> Path:
        digest = hashlib.sha256(json.dumps([name, value]).encode()).hexdigest()
        return self._folder / workspace / _LABELS / digest


class Receiving:
    """One object on its way."""

    def __init__(
        self, file: IO[bytes], path: Path, target: Path, facts: Facts, most_bytes: int, marks: list[Path]
    ) -> None:
        self._file, self._path, self._target, self._facts, self._marks = file, path, target, facts, marks
        self._most = most_bytes
        self.size = 0
        file.write(json.dumps(facts.to_json()).encode() + b"\n")

    def write(self, piece: bytes | memoryview) -> None:
        """TooLargeError as soon as it is too large."""
        self.size += len(piece)
        if self.size > self._most:
            raise TooLargeError(f"an object may have {self._most} bytes")
        self._file.write(piece)

    def keep(self) -> None:
        """From now on it is there, in place of what was there under its id."""
        self._file.flush()
        os.fsync(self._file.fileno())
        moment = (self._facts.expires, self._facts.expires)
        os.utime(self._path, moment)
        for mark in self._marks:
            _touch(mark)
            os.utime(mark, moment)
        self._path.replace(self._target)


def _touch(mark: Path) -> None:
    """Its folder may be swept away the moment it is made, being empty."""
    while True:
        mark.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            mark.touch()
            return


def _removed_if_old(path: Path, now: float) -> bool:
    """A file that is still received has its real time of change."""
    try:
        until = path.stat().st_mtime + (_ABANDONED_S if path.name.startswith(_RECEIVING) else 0.0)
        if until > now:
            return False
        path.unlink()
    except FileNotFoundError:  # somebody else sweeps too
        return False
    return True
