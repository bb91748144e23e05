"""The folder of objects: what is put in is found again, for its time, and nothing half."""

from __future__ import annotations

from pathlib import Path

import pytest

from nomadflows.broker.wire import new_id
from nomadflows.objects.store import Facts, ObjectStore, TooLargeError

DAY = 86_400.0


class Folder:
    """A store whose clock is set by hand."""

    def __init__(self, folder: Path) -> None:
        self.now = 1_000_000.0
        self.path = folder
        self.store = ObjectStore(folder, 100, lambda: self.now)

    def put(self, content: bytes = b"x", workspace: str = "default", object_id: str = "", **labels: str) -> str:
        object_id = object_id or new_id()
        facts = Facts("text/plain", self.now + DAY, self.now, "default.orders.v1", labels, {"colour": "red"})
        with self.store.receiving(workspace, object_id, facts) as file:
            file.write(content)
            file.keep()
        return object_id

    def content(self, object_id: str, workspace: str = "default") -> bytes | None:
        found = self.store.open(workspace, object_id)
        if found is None:
            return None
        with found:
            content = found.file.read()
        assert len(content) == found.size
        return content

    def files(self) -> list[Path]:
        return [path for path in self.path.rglob("*") if path.is_file()]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "objects")


def test_what_is_put_in_comes_out_with_what_is_known_of_it(folder: Folder) -> None:
    made = folder.put(b"\n\x00 two\nlines", kind="order")
    assert folder.content(made) == b"\n\x00 two\nlines"
    found = folder.store.open("default", made)
    assert found is not None
    with found:
        assert (found.facts.content_type, found.facts.owner) == ("text/plain", "default.orders.v1")
        assert (found.facts.labels, found.facts.notes) == ({"kind": "order"}, {"colour": "red"})


def test_another_workspace_and_what_is_no_name_find_nothing(folder: Folder) -> None:
    made = folder.put()
    assert folder.content(made, "other") is None
    for workspace, name in (("..", made), ("default", "../x"), ("default", "x"), ("", made)):
        assert folder.store.open(workspace, name) is None
        assert not folder.store.remove(workspace, name)
        with pytest.raises(ValueError, match="UUID"), folder.store.receiving(workspace, name, Facts("", 0, 0)):
            pass


def test_what_is_too_large_or_breaks_off_leaves_nothing(folder: Folder) -> None:
    with pytest.raises(TooLargeError):
        folder.put(b"x" * 101)

    def break_off() -> None:
        with folder.store.receiving("default", new_id(), Facts("", 2e9, 0)) as file:
            file.write(b"half")
            raise KeyError

    with pytest.raises(KeyError):
        break_off()
    assert folder.files() == []


def test_an_object_that_is_replaced_stays_whole_for_who_reads_it(folder: Folder) -> None:
    made = folder.put(b"old")
    reading = folder.store.open("default", made)
    assert reading is not None
    folder.put(b"new one", object_id=made)
    with reading:
        assert reading.file.read() == b"old"
    assert folder.content(made) == b"new one"


def test_objects_are_found_by_all_their_labels_oldest_first(folder: Folder) -> None:
    first = folder.put(group="a", part="1")
    folder.now += 1
    second = folder.put(group="a", part="2")
    folder.put(group="b", part="1")
    folder.put(group="a", part="1", workspace="other")

    def find(**labels: str) -> list[str]:
        return [one.id for one in folder.store.find("default", labels)]

    assert find(group="a") == [first, second]
    assert find(group="a", part="2") == find(part="2", group="a") == [second]
    assert find(group="c") == find() == []
    assert folder.store.remove("default", second)
    assert not folder.store.remove("default", second)
    assert find(group="a") == [first]


def test_what_has_expired_is_not_given_and_is_swept_away(folder: Folder) -> None:
    old = folder.put(group="a")
    folder.now += DAY / 2
    young = folder.put(group="a")
    folder.now += DAY / 2 + 1
    # Given one has expired, it is gone before anybody sweeps
    assert folder.content(old) is None
    assert [one.id for one in folder.store.find("default", {"group": "a"})] == [young]
    assert folder.store.sweep() == 2  # it, and its mark
    assert folder.content(young) == b"x"
    # And in the end nothing stays, not even what nobody finished
    abandoned = folder.path / "default" / young[:2] / ".receiving-x"
    abandoned.touch()
    folder.now = abandoned.stat().st_mtime + DAY + 1
    assert folder.store.sweep() == 3
    assert folder.files() == []
    assert list((folder.path / "default" / "labels").iterdir()) == []
    # And a label whose folder was swept away can be used again
    assert [one.id for one in folder.store.find("default", {"group": "a"})] == []
    assert folder.content(folder.put(group="a")) == b"x"


def test_what_is_still_received_is_not_swept_away(folder: Folder) -> None:
    facts = Facts("", folder.now - 1, folder.now)
    with folder.store.receiving("default", new_id(), facts) as file:
        file.write(b"x")
        assert folder.store.sweep() == 0
        file.keep()
