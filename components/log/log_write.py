"""One line per message: a text, and the fields that were named. Nothing else of the body, which may hold secrets."""

from __future__ import annotations

import json
import logging
from typing import Any

from nomadflows.runtime import Context, Message

Json = dict[str, Any]


def process(message: Message, config: Json, snapshot: Json, context: Context) -> Message:
    level = logging.getLevelName(str(config.get("level") or "info").upper())
    context.logger.log(level if isinstance(level, int) else logging.INFO, "%s", line(message.body, config))
    return message


def line(body: Any, config: Json) -> str:
    members = body if isinstance(body, dict) else {}
    text = config.get("text") or members.get("message") or "message"
    names = config.get("fields") or []
    if isinstance(names, str):
        names = [name.strip() for name in names.split(",")]
    shown = [f"{name}={json.dumps(members.get(name), ensure_ascii=False)}" for name in names]
    return " ".join([str(text), *shown])
