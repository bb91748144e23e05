"""Emits when it fires and when it fired last."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from nomadflows.runtime import Message, Snapshot

Json = dict[str, Any]

_EPOCH = "1970-01-01T00:00:00.000Z"


def process(message: Message, config: Json, snapshot: Json) -> Iterator[Json | Snapshot]:
    now = datetime.now(UTC)
    if config.get("start") and now < _moment(config["start"]):
        return
    if config.get("end") and now >= _moment(config["end"]):
        return
    fire = now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    yield {"fireTime": fire, "lastPoll": snapshot.get("lastPoll", _EPOCH)}
    yield Snapshot({"lastPoll": fire})


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
