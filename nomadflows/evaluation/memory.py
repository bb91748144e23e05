"""How much memory evaluations may take of the process that they run in."""

from __future__ import annotations

from typing import Final

MEMORY: Final = 512 << 20  # bytes that a process may take for its evaluations


def limit_memory() -> None:
    """For a process that evaluates: one that fills the machine's memory would end others' processes, so it ends its own.

    Counted from what is reserved already, since the engine's allocator takes a GiB of addresses in advance.
    """
    import resource

    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - pathlib would be imported for this alone
        reserved = int(file.read().split()[5]) * resource.getpagesize()
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    limit = reserved + MEMORY
    resource.setrlimit(resource.RLIMIT_DATA, (limit if most == resource.RLIM_INFINITY else min(limit, most), most))
