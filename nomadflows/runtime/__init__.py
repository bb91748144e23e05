"""The Python step process: one step of one flow version, fed by a queue.

Speaks the same wire contract as elastic.io's Node library, so both kinds of components mix in one flow. It must not
know the rest of nomadflows: a step starts in a tenth of a second because it imports next to nothing.

Component authors import what they need from here::

    from nomadflows.runtime import Message, Rebound, Snapshot
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nomadflows.runtime.api import (
        AsyncContext,
        Attachments,
        Context,
        HttpReply,
        Message,
        Rebound,
        Snapshot,
        SnapshotUpdate,
    )

__all__ = ["AsyncContext", "Attachments", "Context", "HttpReply", "Message", "Rebound", "Snapshot", "SnapshotUpdate"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from nomadflows.runtime import api

    return getattr(api, name)
