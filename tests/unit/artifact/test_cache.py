"""A node's cache loses what nobody has started for long, and nothing else."""

import os
import shutil
import time

import pytest

from nomadflows.artifact import cache

DAY_S = 86_400
LONG_AGO = 1_000.0


@pytest.fixture
def place(tmp_path):
    return tmp_path / "components"


def unpacked(place, version, used_at=LONG_AGO):
    folder = place / "shop" / version
    folder.parent.mkdir(parents=True, exist_ok=True)
    with cache.locked(folder):
        folder.mkdir()
        (folder / "component.json").write_text("{}")
        cache.mark(folder)
    for path in (folder, folder.parent / f"{version}.used"):
        os.utime(path, (used_at, used_at))
    return folder


def test_what_nobody_started_for_long_goes(place, tmp_path):
    old, fresh = unpacked(place, "1.0.0"), unpacked(place, "1.1.0", used_at=LONG_AGO + 9 * DAY_S)
    (place / "shop" / "not-fetched").mkdir()
    os.utime(place / "shop" / "not-fetched", (LONG_AGO, LONG_AGO))

    assert cache.sweep(place, 10, LONG_AGO + 11 * DAY_S) == [old]
    assert not old.exists()
    assert fresh.is_dir()
    assert (place / "shop" / "not-fetched").is_dir()
    assert {path.name for path in place.glob("shop/*") if not path.name.startswith(".")} == {
        "1.1.0", "1.1.0.used", "not-fetched",
    }  # fmt: skip


def test_a_folder_that_a_process_was_started_from_stays(place, tmp_path):
    old = unpacked(place, "1.0.0")
    (tmp_path / "proc" / "17").mkdir(parents=True)
    (tmp_path / "proc" / "17" / "environ").write_bytes(f"A=b\0NOMADFLOWS_COMPONENT_DIR={old}\0".encode())

    assert cache.sweep(place, 10, time.time(), tmp_path / "proc") == []
    shutil.rmtree(tmp_path / "proc" / "17")
    assert cache.sweep(place, 10, time.time(), tmp_path / "proc") == [old]


def test_one_that_somebody_fetches_stays_with_what_is_being_fetched(place):
    old = unpacked(place, "1.0.0")
    with cache.locked(old), cache.scratch(old) as fresh:
        assert cache.sweep(place, 10, time.time()) == []
        assert fresh.is_dir()
    assert cache.sweep(place, 10, time.time()) == [old]


def test_what_a_killed_fetch_left_goes_whatever_is_kept(place):
    folder = unpacked(place, "1.0.0")
    left = folder.parent / ".fetching-1.0.0-abc"
    left.mkdir()

    assert cache.sweep(place, 0, time.time()) == []
    assert not left.exists()
    assert folder.is_dir()
