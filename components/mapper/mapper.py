"""Evaluates the mapping of an edge. A message whose condition is false ends here."""

from __future__ import annotations

from typing import Any

from nomadflows.model.mapping import Expression
from nomadflows.runtime import Context, Message

Json = dict[str, Any]

_compiled: dict[str, Expression] = {}  # a process has one configuration


def init(config: Json) -> None:
    """Compile before the first message; a definition was checked when it was applied."""
    for name in ("mapping", "condition"):
        if config.get(name) is not None:
            _compiled[name] = Expression(config[name])


def process(message: Message, config: Json, snapshot: Json, context: Context) -> Message | None:
    earlier = dict(message.passthrough)
    if context.previous_step:  # it joins the passthrough on the way out; expressions may name it already
        earlier[context.previous_step] = {"body": message.body, "headers": message.headers}
    condition, mapping = _compiled.get("condition"), _compiled.get("mapping")
    if condition and not condition.holds(message.body, passthrough=earlier, variables=context.variables):
        return None
    if mapping:
        message.body = mapping.body(message.body, passthrough=earlier, variables=context.variables)
    return message
