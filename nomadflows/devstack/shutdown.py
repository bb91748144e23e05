"""Stop a stack's processes in the right order; used by the supervisor, and by `down` when the supervisor is gone."""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from typing import Final

from nomadflows.devstack import containers, nomad, processes
from nomadflows.devstack.layout import Layout
from nomadflows.devstack.processes import Identity
from nomadflows.devstack.state import ServerView

_STEP_GRACE: Final = 10.0
_GRACE: Final = {  # seconds between SIGTERM and SIGKILL
    "controller": 20.0,
    "gateway": 20.0,
    "nomad-client": 15.0,
    "nomad": 15.0,
    "rabbitmq": 30.0,
    "consul": 10.0,
    "vault": 10.0,
    "epmd": 2.0,
}


def stop_servers(servers: Sequence[ServerView], layout: Layout, nomad_program: str) -> None:
    """The gateway and the controller first, so that nobody repairs what is being taken down; steps while the broker
    still answers."""
    alive = {one.name: one.process for one in servers if one.process is not None}
    _stop(alive, "gateway", "controller")
    if not nomad_program:
        _stop(alive, "nomad-client")
    else:
        client = alive.get("nomad-client")
        steps = nomad.step_processes(layout.data("nomad"), client.pid if client else None)
        _stop(alive, "nomad-client")
        stop_steps(layout, steps, nomad_program)
    _stop(alive, "rabbitmq", "nomad", "vault", "consul")
    _stop(alive, "epmd")


def stop_steps(layout: Layout, known: Sequence[Identity], nomad_program: str) -> None:
    """SIGTERM to the steps, a grace, SIGKILL; then Nomad's executors, which had to outlive them."""
    found = {*known, *nomad.step_processes(layout.data("nomad"), None)}
    steps, executors = nomad.executors_last([one for one in found if processes.is_alive(one)], nomad_program)
    containers.stop_containers(nomad.allocations(layout.data("nomad")), _STEP_GRACE)
    processes.stop(steps, _STEP_GRACE)
    processes.stop(executors, 1.0)


def _stop(alive: dict[str, Identity], *names: str) -> None:
    """Together; each has its own grace."""
    targets = [(alive[name], _GRACE[name]) for name in names if name in alive]
    begun = time.monotonic()
    for who, _ in targets:
        processes.send(who, signal.SIGTERM)
    for who, grace in targets:
        if processes.wait_gone([who], begun + grace):
            processes.stop([who], 0.0)
