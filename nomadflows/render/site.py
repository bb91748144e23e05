"""What the cluster adds to a job spec: addresses, drivers, folders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nomadflows.model.component import ComponentVersion


@dataclass(frozen=True, slots=True)
class Site:
    """What the cluster adds to a version."""

    component_api: str  # URL, as the nodes see it
    component_dir: Callable[[ComponentVersion], str]  # folder of a component on the nodes
    amqp: str = "amqp://127.0.0.1:5672"  # the broker as the nodes see it: scheme, host, port; no user, no vhost
    driver: str = "raw_exec"  # of components that are a folder; images always run in docker
    builtin_image: str = ""  # image that holds the built-in components; "": they run by `driver`
    network: str = "host"  # Docker's network mode of containers
    container_user: int = 10001  # user and group of containers, whatever their image says
    python: str = "python3"
    node: str = "node"
    kv_mount: str = "nomadflows"
    datacenters: Sequence[str] = ("*",)
    artifacts: str = ""  # where nodes fetch packed components
    fetched_by_nomad: bool = False  # for each process, instead of once a node
    component_keep_days: float = 30.0  # for which nodes keep components that nobody starts; 0: for ever
    webhooks: str = ""  # the gateway as callers of webhooks see it; "": there is none
    log_mb: int = 5  # of a log file; three are kept of each output
    disk_mb: int = 50  # for a step's logs and what it writes
    ui_base: str = ""  # page of all flows; `<workspace>/<flow>/` is put behind it
