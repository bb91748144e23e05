"""Whether what a version needs in its vhost still stands, told of thousands of versions at once.

A look at one version alone costs several requests. Here three listings tell it of all versions of a workspace. Of each queue,
binding and permission only a mark is kept, its hash: with 5,000 flows there are some 200,000 of them. A mark means
something in this process only.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence

from nomadflows.broker.accounts import permissions
from nomadflows.broker.difference import binding_from_api
from nomadflows.broker.management import Management
from nomadflows.broker.topology import Topology
from nomadflows.model.names import VersionRef

Marks = Sequence[int]


def needed(version: VersionRef, wanted: Topology, steps: Iterable[str]) -> Marks:
    """Marks of all that must be there: queues, bindings (an exchange that is gone has none), the account's rights."""
    return array(
        "q",
        [
            *(_queue(queue.name) for queue in wanted.queues),
            *(hash(binding) for binding in wanted.bindings),
            _rights(version.broker_user, permissions(version, steps)),
        ],
    )


def standing(management: Management, vhost: str, queues: Iterable[str]) -> set[int]:
    """Marks of all that is there. `queues`: the names of the queues, which who asks has listed already."""
    return {
        *(_queue(name) for name in queues),
        *(hash(binding_from_api(binding)) for binding in management.bindings(vhost)),
        *(_rights(str(found["user"]), found) for found in management.permissions_in(vhost)),
    }


def _queue(name: str) -> int:
    return hash(("queue", name))


def _rights(user: str, patterns: dict[str, str]) -> int:
    return hash(("rights", user, *(patterns[kind] for kind in ("configure", "write", "read"))))
