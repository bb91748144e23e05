"""One JSONata expression over the body. An array becomes one message for each of its objects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nomadflows.evaluation import Guarded, limit_memory
from nomadflows.runtime import Context, Message

Json = dict[str, Any]

_compiled: dict[str, Guarded] = {}  # a process has one configuration


def init(config: Json) -> None:
    """An expression that does not parse keeps the step from starting, instead of failing on every message."""
    limit_memory()
    _compiled["expression"] = Guarded(config["expression"])


def process(message: Message, config: Json, snapshot: Json, context: Context) -> Iterator[Message]:
    earlier = message.earlier(context.previous_step)
    result = _compiled["expression"].value(
        message.body, passthrough=earlier, variables=context.variables, again=context.redelivered
    )
    for body in result if isinstance(result, list) else [result]:
        if body is None:
            continue
        if not isinstance(body, dict):
            raise TypeError(f"the expression gives {type(body).__name__}; a message body is an object")
        yield Message(body, message.headers, message.attachments, passthrough=message.passthrough)
