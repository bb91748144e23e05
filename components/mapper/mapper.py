"""Evaluates the mapping of an edge. A message whose condition is false ends here."""

from __future__ import annotations

from typing import Any

from nomadflows.evaluation import Guarded, limit_memory
from nomadflows.runtime import Context, Message

Json = dict[str, Any]

_compiled: dict[str, Guarded] = {}  # a process has one configuration


def init(config: Json) -> None:
    """Compile before the first message; a definition was checked when it was applied."""
    limit_memory()
    for name in ("mapping", "condition"):
        if config.get(name) is not None:
            _compiled[name] = Guarded(config[name])


def process(message: Message, config: Json, snapshot: Json, context: Context) -> Message | None:
    condition, mapping = _compiled.get("condition"), _compiled.get("mapping")
    earlier = message.earlier(context.previous_step)
    known: Json = {"passthrough": earlier, "variables": context.variables, "again": context.redelivered}
    if condition and not condition.holds(message.body, **known):
        return None
    if mapping:
        message.body = mapping.body(message.body, **known)
    return message
