"""How far one file was read, and whether it is still the same file."""

from __future__ import annotations

import hashlib
import os
from typing import Any, Self

from records import Position

Json = dict[str, Any]

_BLOCK = 1 << 20


class Progress:
    """Read position and a running digest of the bytes before it; `state` is what the snapshot keeps."""

    def __init__(self, file: Any, state: Json) -> None:
        """From the start if the file is not the one that `state` speaks of: shorter, or other bytes."""
        self._file = file
        self._status = os.fstat(file.fileno())  # of before the reading: what is written meanwhile is seen next time
        self._sha = hashlib.sha256()
        self.begin = Position()  # where the present batch begins
        self.batch_end: int | None = None  # where it ended the last time, if it was begun before
        self.done = 0  # how many of its messages are out
        self._end = 0  # how far the digest reaches
        if state and self._try(state):
            self.begin = Position(state["offset"], state["line"])
            self.batch_end, self.done = state.get("end"), state.get("done", 0)
        else:
            self._sha, self._end = hashlib.sha256(), 0

    @staticmethod
    def is_current(state: Json, status: os.stat_result) -> bool:
        """Nothing new: read to the end, and neither size nor time changed since."""
        return bool(state) and (state["size"], state["mtime"], state["offset"]) == (
            status.st_size, status.st_mtime_ns, status.st_size,
        )  # fmt: skip

    def within(self, end: int, done: int) -> Self:
        """So many messages of the batch up to `end` are out."""
        self._digest_up_to(end)
        self.batch_end, self.done = end, done
        return self

    def after(self, end: Position) -> Self:
        """Everything up to `end` is out."""
        self._digest_up_to(end.offset)
        self.begin, self.batch_end, self.done = end, None, 0
        return self

    def state(self) -> Json:
        state: Json = {
            "offset": self.begin.offset,
            "line": self.begin.line,
            "size": self._status.st_size,
            "mtime": self._status.st_mtime_ns,
            "digest": self._sha.hexdigest()[:32],
        }
        if self.batch_end is not None:
            state |= {"end": self.batch_end, "done": self.done}
        return state

    def _try(self, state: Json) -> bool:
        self._digest_up_to(state.get("end", state["offset"]))
        return self._sha.hexdigest()[:32] == state["digest"]

    def _digest_up_to(self, end: int) -> None:
        self._file.seek(self._end)
        while self._end < end and (block := self._file.read(min(_BLOCK, end - self._end))):
            self._sha.update(block)
            self._end += len(block)
