"""Bodies of failed messages that lie in the object store: shown as if they were in the message, looked for before a retry."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final, Protocol

from nomadflows.broker.wire import OBJECT_HEADER, Crypto, WireError, decrypt_json
from nomadflows.cli.records import Record
from nomadflows.cli.replay import Again
from nomadflows.model.errors import Refused
from nomadflows.objects.signature import Object

Json = dict[str, Any]

_GONE: Final = "not in the object store any more"


class Reader(Protocol):
    """As `objects.client.ObjectReader` is."""

    def get(self, named: Object) -> bytes | None: ...
    def exists(self, named: Object) -> bool: ...


class Bodies:
    """Of one workspace's messages."""

    def __init__(self, reader: Reader, workspace: str, crypto: Crypto) -> None:
        self._reader = reader
        self._workspace = workspace
        self._crypto = crypto

    def shown(self, record: Record) -> Record:
        """With all bodies; a `problem` says of which that is not possible."""
        if record.input is None:
            return record
        problems = [record.problem] if record.problem else []
        content = dict(record.input)
        if earlier := content.get("passthrough"):
            content["passthrough"] = earlier = {name: dict(part) for name, part in earlier.items()}
        for name, part, found in _light(content):
            try:
                part["body"] = self._body(found)
            except WireError as problem:
                problems.append(f"{name}: {problem}")
        return replace(record, input=content, problem="; ".join(problems))

    def checked(self, again: Again) -> Again:
        """Refused if its step could not work it."""
        for name, _, found in _light(again.content):
            if not self._reader.exists(Object(self._workspace, found)):
                raise Refused(f"{again.records[0].id}: {name} is {_GONE}")
        return again

    def _body(self, object_id: str) -> Any:
        content = self._reader.get(Object(self._workspace, object_id))
        if content is None:
            raise WireError(_GONE)
        return decrypt_json(self._crypto, content)


def _light(content: Json) -> Iterator[tuple[str, Json, str]]:
    """What the message has elsewhere: what it is called, the part of the message, the object."""
    parts = [("the body", content)]
    earlier = content.get("passthrough")
    if isinstance(earlier, dict):
        parts += [(f"the body of {step}", part) for step, part in earlier.items() if isinstance(part, dict)]
    for name, part in parts:
        if found := (part.get("headers") or {}).get(OBJECT_HEADER):
            yield name, part, str(found)
