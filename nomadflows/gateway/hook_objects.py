"""The object store as webhooks need it: files of a form go there, large answers come from there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import structlog

from nomadflows.broker.wire import Crypto, WireError, decrypt_json, new_id
from nomadflows.gateway.addresses import Addresses
from nomadflows.gateway.content import File
from nomadflows.objects.signature import Object
from nomadflows.objects.store import Facts, ObjectStore

log = structlog.get_logger()

Json = dict[str, Any]

MOST_BYTES: Final = 64 << 20  # of an answer, which is in memory as a whole


class Kept(NamedTuple):
    """Files that are kept: as attachments of a message, and by their ids."""

    attachments: Json
    ids: list[str]


class HookObjects:
    """Its work is done in threads."""

    def __init__(self, store: ObjectStore, addresses: Addresses, ttl_s: float) -> None:
        self._store = store
        self._addresses = addresses
        self._ttl_s = ttl_s

    async def keep(self, workspace: str, files: Sequence[File]) -> Kept:
        """All, or none. OSError if the disk is full."""
        return await asyncio.to_thread(self._keep, workspace, files)

    async def drop(self, workspace: str, ids: Sequence[str]) -> None:
        await asyncio.to_thread(self._drop, workspace, ids)

    async def body(self, workspace: str, crypto: Crypto, object_id: str) -> Any:
        """The body of a message that lies in the store. WireError if there is none, or one that is too large."""
        return await asyncio.to_thread(self._body, workspace, crypto, object_id)

    def _keep(self, workspace: str, files: Sequence[File]) -> Kept:
        kept = Kept({}, [])
        try:
            for file in files:
                named, url = self._put(workspace, file)
                kept.ids.append(named.id)
                attachment = {"url": url, "content-type": file.content_type, "size": len(file.content)}
                kept.attachments[_free(file.name, kept.attachments)] = attachment
        except BaseException:
            self._drop(workspace, kept.ids)
            raise
        return kept

    def _put(self, workspace: str, file: File) -> tuple[Object, str]:
        named, now = Object(workspace, new_id()), time.time()
        facts = Facts(file.content_type, now + self._ttl_s, now, workspace)
        url = self._addresses.of("GET", named, facts.expires)
        with self._store.receiving(*named, facts) as place:
            place.write(file.content)
            place.keep()
        return named, url

    def _drop(self, workspace: str, ids: Sequence[str]) -> None:
        for object_id in ids:
            try:
                self._store.remove(workspace, object_id)
            except OSError as error:  # it goes when its time is over
                log.warning("an attachment of a refused request stays", error=error.strerror)

    def _body(self, workspace: str, crypto: Crypto, object_id: str) -> Any:
        found = self._store.open(workspace, object_id)
        if found is None:
            raise WireError(f"its body {object_id} is not in the object store")
        with found:
            if found.size > MOST_BYTES:
                raise WireError(f"its body has more than {MOST_BYTES} bytes")
            return decrypt_json(crypto, found.file.read())


def _free(name: str, taken: Json) -> str:
    """A name that no other file has."""
    free, number = name, 1
    while free in taken:
        number += 1
        free = f"{name} ({number})"
    return free
