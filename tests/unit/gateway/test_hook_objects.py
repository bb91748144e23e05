"""Files of a form on a real disk, and large answers from there."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from nomadflows.broker.wire import WireError, encrypt_json, new_id
from nomadflows.gateway import hook_objects
from nomadflows.gateway.addresses import Addresses
from nomadflows.gateway.content import File
from nomadflows.gateway.hook_objects import HookObjects
from nomadflows.objects.store import Facts, ObjectStore, TooLargeError
from tests.unit.gateway.fakes import CRYPTO


class Vault:
    def object_key(self) -> str:
        return "signing key"


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return ObjectStore(tmp_path, 1_000)


@pytest.fixture
def objects(store: ObjectStore) -> HookObjects:
    vault: Any = Vault
    return HookObjects(store, Addresses(vault, "http://api"), 100.0)


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_files_are_kept_by_their_names(objects: HookObjects, store: ObjectStore, tmp_path: Path) -> None:
    given = [File("a.txt", "text/plain", b"1"), File("a.txt", "text/plain", b"22"), File("b", "image/png", b"")]
    kept = asyncio.run(objects.keep("default", given))
    assert list(kept.attachments) == ["a.txt", "a.txt (2)", "b"]
    second = kept.attachments["a.txt (2)"]
    assert (second["content-type"], second["size"]) == ("text/plain", 2)
    assert [urlsplit(one["url"]).path.rpartition("/")[2] for one in kept.attachments.values()] == kept.ids
    found = store.open("default", kept.ids[1])
    assert found is not None
    with found:
        assert (found.file.read(), found.facts.content_type) == (b"22", "text/plain")
    asyncio.run(objects.drop("default", kept.ids))
    assert files(tmp_path) == []


def test_all_files_are_kept_or_none(objects: HookObjects, tmp_path: Path) -> None:
    given = [File("a", "text/plain", b"1"), File("b", "text/plain", b"x" * 1_001)]
    with pytest.raises(TooLargeError):
        asyncio.run(objects.keep("default", given))
    assert files(tmp_path) == []


def test_a_large_answers_body(objects: HookObjects, store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    made = new_id()
    with store.receiving("default", made, Facts("application/json", 4e9, 0.0)) as place:
        place.write(encrypt_json(CRYPTO, {"a": 1}))
        place.keep()
    assert asyncio.run(objects.body("default", CRYPTO, made)) == {"a": 1}
    monkeypatch.setattr(hook_objects, "MOST_BYTES", 15)
    with pytest.raises(WireError, match="more than 15 bytes"):
        asyncio.run(objects.body("default", CRYPTO, made))
    with pytest.raises(WireError, match="object store"):
        asyncio.run(objects.body("other", CRYPTO, made))
