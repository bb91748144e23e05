"""Attachments: content beside messages, in the object store or wherever their address leads.

Imported by the first component that wants one: what it needs takes longer to load than a step takes to start.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import IO, Any, Final, cast

from nomadflows.runtime.objects import TIMEOUT_S, ObjectError, patiently
from nomadflows.runtime.settings import Settings

Json = dict[str, Any]

_PIECE: Final = 256 << 10
_direct: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # the store is no foreign place


class StoredAttachments:
    """As `api.Attachments` says."""

    def __init__(self, settings: Settings) -> None:
        self._uri = settings.object_uri.rstrip("/")
        self._token = {"Authorization": f"Bearer {settings.object_token}"}

    def keep(self, content: bytes | IO[bytes], content_type: str = "application/octet-stream") -> Json:
        """Waits while the store is away; ObjectError if it refuses, or if content that can be read only once is lost."""
        if not self._uri:
            raise ObjectError("this step knows no object store")
        source = _Source(content)

        def ask() -> tuple[int, bytes]:
            headers = {**self._token, "Content-Type": content_type}
            request = urllib.request.Request(f"{self._uri}/objects", source.again(), headers, method="POST")  # noqa: S310
            try:
                with _direct.open(request, timeout=TIMEOUT_S) as answer:
                    return answer.status, answer.read()
            except urllib.error.HTTPError as error:
                with error:
                    return error.code, b""

        url = json.loads(patiently("POST /objects", ask))["url"]
        return {"url": url, "content-type": content_type, "size": source.size}

    def open(self, attachment: Json) -> IO[bytes]:
        """The token is shown to the store alone."""
        url = str(attachment["url"])
        if url.startswith(f"{self._uri}/"):
            opened = _direct.open(urllib.request.Request(url, headers=self._token), timeout=TIMEOUT_S)  # noqa: S310
        elif url.startswith(("http://", "https://")):
            opened = urllib.request.urlopen(url, timeout=TIMEOUT_S)  # noqa: S310 - checked
        else:
            raise ValueError("an attachment's address is neither http:// nor https://")
        return cast("IO[bytes]", opened)


class _Source:
    """Content that is sent, perhaps again; counted on its way."""

    def __init__(self, content: bytes | IO[bytes]) -> None:
        self._content = content
        self._start = content.tell() if not isinstance(content, bytes) and content.seekable() else None
        self._sent = False
        self.size = 0

    def again(self) -> bytes | Iterator[bytes]:
        """ObjectError if it cannot be read twice."""
        if isinstance(self._content, bytes):
            self.size = len(self._content)
            return self._content
        if self._start is not None:
            self._content.seek(self._start)
        elif self._sent:
            raise ObjectError("the object store is away, and the content can be read only once")
        self._sent, self.size = True, 0
        return self._pieces(self._content)

    def _pieces(self, file: IO[bytes]) -> Iterator[bytes]:
        while piece := self._read(file):
            self.size += len(piece)
            yield piece

    def _read(self, file: IO[bytes]) -> bytes:
        """A file that cannot be read is no store that is away."""
        try:
            return file.read(_PIECE)
        except OSError as error:
            raise ObjectError("the content cannot be read") from error
