"""A folder of packed components, each under its digest: what the component API serves."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from nomadflows.artifact.archive import LIMITS, HostileError, Limits, check

_NAME: Final = re.compile(r"[0-9a-f]{64}")
SUFFIX: Final = ".tar.gz"
_RECEIVING: Final = ".receiving-"


class Shelf:
    """Several processes may share one folder: a file appears whole, or not at all."""

    def __init__(self, folder: Path, limits: Limits = LIMITS) -> None:
        self._folder = folder
        self._limits = limits

    def path(self, sha256: str) -> Path | None:
        """Where the file lies; None if there is none, or the name is none."""
        path = self._folder / f"{sha256}{SUFFIX}"
        return path if _NAME.fullmatch(sha256) and path.is_file() else None

    @contextmanager
    def receiving(self, sha256: str) -> Iterator[Receiving]:
        """A place for what comes in pieces; unless it is kept, nothing stays of it."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(prefix=_RECEIVING, dir=self._folder, delete=False) as file:
            path = Path(file.name)
            try:
                yield Receiving(file, path, self._folder / f"{sha256}{SUFFIX}", self._limits)
            finally:
                path.unlink(missing_ok=True)

    def forget(self, named: Collection[str], before: float) -> list[str]:
        """Remove what is older than that and stands for nothing: files that nobody names, and what a killed process was
        receiving. Their names."""
        gone = []
        for path in sorted(self._folder.glob("*")):
            sha256 = path.name.removesuffix(SUFFIX)
            ours = path.name.startswith(_RECEIVING) or (_NAME.fullmatch(sha256) and path.name.endswith(SUFFIX))
            if ours and sha256 not in named and _is_older(path, before):
                path.unlink(missing_ok=True)
                gone.append(path.name)
        return gone

    def remove(self, sha256: str) -> None:
        """What is not there is as good as removed."""
        if (path := self.path(sha256)) is not None:
            path.unlink(missing_ok=True)


def _is_older(path: Path, before: float) -> bool:
    try:
        return path.stat().st_mtime < before
    except FileNotFoundError:
        return False


class Receiving:
    """One file on its way."""

    def __init__(self, file: IO[bytes], path: Path, target: Path, limits: Limits) -> None:
        self._file, self._path, self._target, self._limits = file, path, target, limits
        self._sha, self._size = hashlib.sha256(), 0

    def write(self, chunk: bytes) -> None:
        """TooLargeError as soon as it is too large."""
        self._size += len(chunk)
        if self._size > self._limits.packed:
            raise TooLargeError(f"it has more than {self._limits.packed} bytes")
        self._sha.update(chunk)
        self._file.write(chunk)

    def keep(self) -> None:
        """HostileError if it is not what its name says, or nothing that should be unpacked."""
        self._file.flush()
        os.fsync(self._file.fileno())
        if self._sha.hexdigest() != self._target.name.removesuffix(SUFFIX):
            raise HostileError(f"its digest is {self._sha.hexdigest()}")
        check(self._path, self._limits)
        self._path.replace(self._target)


class TooLargeError(HostileError):
    """More than one component may have."""
