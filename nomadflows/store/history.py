"""The events document of a flow: its last transitions, bounded in number and in bytes. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from nomadflows.model.states import EVENTS_KEPT, Event

Json = dict[str, Any]

LONGEST_MESSAGE: Final = 1_000  # characters
MOST_BYTES: Final = 200_000  # the history shares a transaction with the status; Consul takes 512 KB as sent


def appended(document: Json, events: Sequence[Event]) -> Json:
    """The document with newer events at its end and the oldest left out."""
    known = document.get("events")
    every = [*(known if isinstance(known, list) else ()), *(_bounded(event).to_json() for event in events)]
    kept: list[Any] = []
    room = MOST_BYTES
    for event in reversed(every[-EVENTS_KEPT:]):
        room -= len(json.dumps(event, indent=6, ensure_ascii=False).encode())
        if room < 0:
            break
        kept.append(event)
    return {"events": kept[::-1]}


def read(document: Json) -> list[Event]:
    """Oldest first. What is no event is left out: a history is told, nothing depends on it."""
    known = document.get("events")
    entries = known if isinstance(known, list) else []
    return [
        Event.from_json(entry)
        for entry in entries
        if isinstance(entry, dict) and {"at", "reason", "message"} <= entry.keys()
    ]


def _bounded(event: Event) -> Event:
    if len(event.message) <= LONGEST_MESSAGE:
        return event
    return replace(event, message=event.message[: LONGEST_MESSAGE - 1] + "…")
