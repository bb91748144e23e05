"""Which process holds a lock, written so that another process of the same machine can tell that it has ended."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
_NAMESPACE: Final = Path("/proc/self/ns/pid")
_ENDED: Final = {"Z", "X"}  # a process whose parent has not asked for its end yet, one that is gone


@dataclass(frozen=True, slots=True)
class Process:
    """A process as its machine knows it. As text: four words."""

    boot: str  # the machine's, made anew at each start of it
    namespace: str  # in which the number counts
    pid: int
    started: str  # ticks after the boot: a number is given again

    def __str__(self) -> str:
        return f"{self.boot} {self.namespace} {self.pid} {self.started}"

    @classmethod
    def this(cls) -> Process | None:
        """None where the system does not tell: not on Linux."""
        try:
            return cls(_BOOT.read_text().strip(), str(_NAMESPACE.readlink()), os.getpid(), _state(os.getpid())[1])
        except OSError:
            return None

    @classmethod
    def parse(cls, text: str) -> Process | None:
        """Inverse of `str`; None if it is none."""
        words = text.split()
        if len(words) != 4 or not words[2].isdecimal():  # noqa: PLR2004
            return None
        return cls(words[0], words[1], int(words[2]), words[3])

    def is_neighbour(self) -> bool:
        """Whether this process could see it: it runs, or ran, on this machine since its last start."""
        own = Process.this()
        return own is not None and (own.boot, own.namespace) == (self.boot, self.namespace)

    def has_ended(self) -> bool:
        """True only if that is certain."""
        if not self.is_neighbour():
            return False
        try:
            os.kill(self.pid, 0)  # /proc may hide others' processes
        except ProcessLookupError:
            return True
        except OSError:
            return False
        try:
            state, started = _state(self.pid)
        except OSError:
            return False
        return started != self.started or state in _ENDED


def _state(pid: int) -> tuple[str, str]:
    """State and start of a process, behind its name, which may hold blanks and parentheses."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return words[0], words[19]
