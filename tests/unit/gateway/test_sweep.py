"""Whoever serves the object store frees its disk."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from nomadflows.broker.wire import new_id
from nomadflows.gateway import serve
from nomadflows.objects.store import Facts, ObjectStore


def test_expired_objects_are_swept_at_once_and_until_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, stop, swept = ObjectStore(tmp_path, 10), threading.Event(), list[int]()
    with store.receiving("default", new_id(), Facts("", 1.0, 0.0)) as place:
        place.keep()

    def sweep() -> int:
        swept.append(ObjectStore.sweep(store))
        if len(swept) == 2:
            raise OSError(5, "Input/output error")
        if len(swept) == 3:
            stop.set()
        return swept[-1]

    monkeypatch.setattr(store, "sweep", sweep)
    monkeypatch.setattr(serve, "_SWEEP_S", 0.0)
    serve._keep_sweeping(store, stop)
    assert swept == [1, 0, 0]
