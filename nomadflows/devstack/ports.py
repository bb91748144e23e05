"""Which loopback port each server of a stack listens on.

Chosen free at the first `up`, remembered in the stack's data from then on (Nomad and Consul keep addresses in
their data). The default stack gets ports that are easy to remember and are nobody's standard ports; a stack in
another home gets a block derived from its path, so that two stacks do not meet.
"""

from __future__ import annotations

import errno
import socket
import zlib
from pathlib import Path
from typing import Final

from nomadflows.devstack.layout import Layout, read_json, write_json
from nomadflows.model.errors import Refused

Ports = dict[str, int]

# Below 20000: Nomad hands out 20000-32000 to tasks, the kernel what is above.
DEFAULTS: Final[Ports] = {
    "consul": 18500,
    "consul_rpc": 18300,
    "consul_serf": 18301,
    "nomad": 14646,
    "nomad_rpc": 14647,
    "nomad_serf": 14648,
    "nomad_client": 14649,
    "vault": 18200,
    "vault_cluster": 18201,
    "amqp": 16672,
    "rabbitmq_api": 16673,
    "rabbitmq_dist": 16674,
    "epmd": 16369,
    "component_api": 18646,
    "gateway": 18690,
}
_LAST: Final = 19999
_BLOCKS: Final = 60  # of ten ports each


def is_free(port: int) -> bool:
    """Whether a server could bind this loopback port for TCP now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
    return True


def choose(offset: int = 0) -> Ports:
    """The defaults moved by `offset`; whatever is taken moves up to the next free port. What another home's stack moved
    to must not be a default: the default stack remembers those, and may be down just now."""
    kept = set(DEFAULTS.values()) if offset else set()
    chosen: Ports = {}
    for name, default in DEFAULTS.items():
        port = default + offset
        while port in kept or port in chosen.values() or not is_free(port):
            port += 1
            if port > _LAST:
                raise Refused(f"no free loopback port for {name} between {default + offset} and {_LAST}")
        chosen[name] = port
    return chosen


def offset_of(home: Path) -> int:
    """Where the ports of a stack in a home of its own begin, above the defaults."""
    return (1 + zlib.crc32(str(home).encode()) % _BLOCKS) * 10


def remembered_or_chosen(layout: Layout, offset: int) -> Ports:
    """The stack's ports. Call only while the stack is down: a remembered port that is taken is an error."""
    known: Ports = read_json(layout.ports_file) or {}
    if set(known) != set(DEFAULTS):
        known = choose(offset)
        write_json(layout.ports_file, known)
        return known
    taken = [f"{name} {port}" for name, port in known.items() if not is_free(port)]
    if taken:
        raise Refused(
            f"ports of this stack are taken by another program: {', '.join(taken)}",
            hint="see who listens with `ss -ltnp`; stop that program, or choose a new stack with NOMADFLOWS_HOME",
        )
    return known
