"""Attachments as a component puts and reads them."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from nomadflows.runtime import objects
from nomadflows.runtime.attachments import StoredAttachments
from nomadflows.runtime.objects import ObjectError
from tests.unit.runtime.objectserver import ObjectServer


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectServer]:
    monkeypatch.setattr(objects, "FIRST_PAUSE_S", 0.001)
    served = ObjectServer("token")
    yield served
    served.shutdown()
    served.server_close()


def attachments(server: ObjectServer, token: str = "token") -> StoredAttachments:
    settings: Any = SimpleNamespace(object_uri=server.uri, object_token=token)
    return StoredAttachments(settings)


class Once(io.BytesIO):
    """A stream that cannot be read again."""

    def seekable(self) -> bool:
        return False


class Broken(io.BytesIO):
    def read(self, *_: object) -> bytes:
        raise OSError(5, "Input/output error")


@pytest.mark.parametrize("kind", [bytes, io.BytesIO, Once])
def test_content_comes_back(server: ObjectServer, kind: Any) -> None:
    content = bytes(range(256)) * 4_000
    kept = attachments(server).keep(kind(content), "image/png")
    assert (kept["content-type"], kept["size"]) == ("image/png", len(content))
    assert list(server.types.values()) == ["image/png"]
    json.dumps(kept)
    with attachments(server).open(kept) as file:
        assert file.read(10) + file.read() == content


@pytest.mark.parametrize("content", [b"one", io.BytesIO(b"zero one")])
def test_a_store_that_is_away_is_waited_for(server: ObjectServer, content: Any) -> None:
    if not isinstance(content, bytes):
        content.seek(5)
    server.statuses = [503, 503]
    kept = attachments(server).keep(content)
    assert (list(server.kept.values()), kept["size"]) == ([b"one"], 3)


def test_what_can_be_read_once_is_lost_with_the_store(server: ObjectServer) -> None:
    server.statuses = [503]
    with pytest.raises(ObjectError, match="only once"):
        attachments(server).keep(Once(b"one"))


def test_a_file_that_cannot_be_read_is_an_error(server: ObjectServer) -> None:
    with pytest.raises(ObjectError, match="cannot be read"):
        attachments(server).keep(Broken())


def test_a_refusal_is_an_error(server: ObjectServer) -> None:
    with pytest.raises(ObjectError, match="401"):
        attachments(server, "wrong").keep(b"one")


def test_the_token_goes_to_the_store_alone(server: ObjectServer) -> None:
    other = ObjectServer("token")
    try:
        other.kept["one"] = b"1"
        with pytest.raises(OSError, match="401"):
            attachments(server).open({"url": f"{other.uri}/objects/one"})
        server.kept["one"] = b"1"
        with attachments(server).open({"url": f"{server.uri}/objects/one?storage_type=maester"}) as file:
            assert file.read() == b"1"
    finally:
        other.shutdown()
        other.server_close()


def test_no_other_kind_of_address_is_opened(server: ObjectServer) -> None:
    with pytest.raises(ValueError, match="http"):
        attachments(server).open({"url": "file:///etc/passwd"})
