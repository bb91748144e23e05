"""A node gets its component once, whole, and only if it is the one that was deployed; who may change the store."""

from __future__ import annotations

import os
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from nomadflows.artifact import archive
from nomadflows.artifact.archive import HostileError, pack
from nomadflows.artifact.client import ArtifactStore
from nomadflows.artifact.fetch import DiskError, RefusedError, _download_patiently, fetch, main
from nomadflows.artifact.needs import python_here
from nomadflows.artifact.shelf import Shelf, TooLargeError
from nomadflows.artifact.signature import is_signed, sign
from nomadflows.model.errors import ServerRefused
from tests.fileserver import FileServer


@pytest.fixture
def store() -> Iterator[FileServer]:
    with FileServer() as server:
        yield server


@pytest.fixture
def packed(tmp_path: Path) -> tuple[bytes, str]:
    source = tmp_path / "source"
    source.mkdir()
    (source / "component.json").write_text("{}")
    sha256 = pack(source, tmp_path / "packed")
    return (tmp_path / "packed").read_bytes(), sha256


def test_a_component_is_fetched_once_however_many_steps_want_it(store, packed, tmp_path):
    store.content, sha256 = packed
    folder = tmp_path / "cache" / "shop" / "1.0.0"
    threads = [threading.Thread(target=fetch, args=(store.url, sha256, folder)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (folder / "component.json").is_file()
    assert store.asked == 1
    assert [path.name for path in folder.parent.iterdir() if path.is_dir()] == ["1.0.0"]


def test_a_store_that_is_away_is_waited_for(store, packed, tmp_path):
    store.content, sha256 = packed
    store.failures = 2
    fetch(store.url, sha256, tmp_path / "there")
    assert store.asked == 3


def test_what_is_not_what_it_should_be_is_refused_at_once(store, packed, tmp_path):
    content, sha256 = packed
    store.content = content + b"more"
    with pytest.raises(RefusedError, match="its digest is"):
        fetch(store.url, sha256, tmp_path / "there")
    store.content = b""
    with pytest.raises(RefusedError, match="HTTP 404"):
        fetch(store.url, sha256, tmp_path / "there")
    with pytest.raises(RefusedError, match="no HTTP address"):
        fetch("file:///etc/passwd", sha256, tmp_path / "there")
    assert store.asked == 2
    assert not (tmp_path / "there").exists()


@pytest.mark.parametrize(
    ("needs", "said"),
    [
        ("python 2.7", "deployed for python 2.7"),
        (f"python {python_here()[0]} plan9-vax", "deployed for python .* plan9-vax, this node has"),
        ("node 4", "deployed for node 4, this node has none"),
    ],
)
def test_a_node_with_another_python_or_node_is_told(store, packed, tmp_path, needs, said):
    store.content, sha256 = packed
    with pytest.raises(RefusedError, match=said):
        fetch(store.url, sha256, tmp_path / "there", needs, node="/bin/true")


def test_any_server_that_takes_and_gives_files_is_a_store(store, packed, tmp_path, capsys):
    content, sha256 = packed
    store.authorization = "Bearer robot"
    client = ArtifactStore(store.base, lambda: "key", authorization="Bearer robot")
    (tmp_path / "file").write_bytes(content)

    client.put(tmp_path / "file", sha256)
    client.put_if_missing(tmp_path / "file", sha256)
    assert list(store.files) == [f"/{sha256}.tar.gz"]
    variables = {
        "NOMADFLOWS_ARTIFACT_URL": client.address(sha256),
        "NOMADFLOWS_ARTIFACT_SHA256": sha256,
        "NOMADFLOWS_COMPONENT_DIR": str(tmp_path / "cache" / "shop" / "1.0.0"),
    }
    assert main(variables, []) == 1
    assert "HTTP 401" in capsys.readouterr().err
    assert main(variables | {"NOMADFLOWS_ARTIFACT_AUTHORIZATION": "Bearer robot"}, []) == 0
    client.remove(sha256)
    assert store.files == {}
    client.put_if_missing(tmp_path / "file", sha256)
    assert list(store.files) == [f"/{sha256}.tar.gz"]
    with pytest.raises(ServerRefused, match="HTTP 401"):
        ArtifactStore(store.base, lambda: "key", authorization="Bearer other").remove(sha256)


def test_a_full_disk_is_told_at_once(store, packed, tmp_path):
    store.content, sha256 = packed
    with pytest.raises(DiskError, match="No space left on device"):
        _download_patiently(urllib.request.Request(store.url), sha256, Path("/dev/full"), 60)
    assert store.asked == 1


def test_a_disk_that_is_full_while_unpacking_says_nothing_of_the_archive(store, tmp_path, monkeypatch):
    source = tmp_path / "source"
    source.mkdir()
    (source / "component.json").write_text("{}")
    sha256 = pack(source, tmp_path / "packed")
    store.content = (tmp_path / "packed").read_bytes()
    monkeypatch.setattr(archive, "_write", lambda *_, **__: Path("/dev/full").write_bytes(b"x"))
    with pytest.raises(DiskError, match=r"cache/shop on this node cannot be written: No space left"):
        fetch(store.url, sha256, tmp_path / "cache" / "shop" / "1.0.0")
    assert not (tmp_path / "cache" / "shop" / "1.0.0").exists()


def test_the_program_says_what_is_wrong(store, packed, tmp_path, capsys):
    store.content, sha256 = packed
    variables = {
        "NOMADFLOWS_ARTIFACT_URL": store.url,
        "NOMADFLOWS_ARTIFACT_SHA256": sha256,
        "NOMADFLOWS_COMPONENT_DIR": str(tmp_path / "there"),
        "NOMADFLOWS_ARTIFACT_NEEDS": "python " + " ".join(python_here()),
    }
    assert main(variables | {"NOMADFLOWS_ARTIFACT_SHA256": "00"}, []) == 1
    assert "cannot be fetched" in capsys.readouterr().err
    assert main(variables, []) == 0


def test_a_shelf_keeps_only_what_its_name_says(packed, tmp_path):
    content, sha256 = packed
    shelf = Shelf(tmp_path / "shelf")
    with shelf.receiving("0" * 64) as file:
        file.write(content)
        with pytest.raises(HostileError, match="its digest is"):
            file.keep()
    with shelf.receiving(sha256) as file:
        file.write(content)
        file.keep()
    assert [path.name for path in (tmp_path / "shelf").iterdir()] == [f"{sha256}.tar.gz"]
    assert shelf.path("../../etc/passwd") is None
    shelf.remove(sha256)
    assert shelf.path(sha256) is None


def test_a_shelf_forgets_what_is_old_and_nobody_names(tmp_path):
    names = [f"{letter * 64}.tar.gz" for letter in "abc"]
    old = [names[0], names[1], ".receiving-x", "kept-by-somebody"]
    for name in [*old, names[2], ".receiving-y"]:
        (tmp_path / name).write_bytes(b"")
    for name in old:
        os.utime(tmp_path / name, (1000, 1000))
    assert Shelf(tmp_path).forget({"b" * 64}, before=2000) == [".receiving-x", names[0]]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [names[1], names[2], ".receiving-y", "kept-by-somebody"]
    )
    assert Shelf(tmp_path / "none").forget(set(), before=2000) == []


def test_more_than_a_quarter_of_a_gigabyte_is_not_taken(tmp_path):
    with Shelf(tmp_path).receiving("0" * 64) as file:
        for _ in range(256):
            file.write(bytes(1 << 20))
        with pytest.raises(TooLargeError):
            file.write(b"x")
    assert list(tmp_path.iterdir()) == []


def test_a_signature_is_good_for_one_file_one_method_and_some_minutes():
    header = sign("key", "PUT", "aa", 1000.0)
    assert is_signed("key", "PUT", "aa", header, 1200.0)
    assert not is_signed("key", "PUT", "aa", header, 1400.0)
    assert not is_signed("key", "DELETE", "aa", header, 1000.0)
    assert not is_signed("key", "PUT", "bb", header, 1000.0)
    assert not is_signed("other", "PUT", "aa", header, 1000.0)
    assert not any(is_signed("key", "PUT", "aa", text, 1000.0) for text in ("", ":", "1000:", "x:y", "1000:é"))
