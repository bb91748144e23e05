"""What a step process must not load: each of these costs every start and every step's memory."""

from __future__ import annotations

import subprocess
import sys


def loaded_by(statement: str) -> set[str]:
    code = f"{statement}; import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_runtime_loads_little():
    loaded = loaded_by("import nomadflows.runtime.start, nomadflows.runtime.process, nomadflows.runtime.preparation")
    unwanted = {
        "asyncio", "http.client", "email", "inspect", "pydantic", "requests", "urllib3", "cryptography", "dataclasses",
        "nomadflows.model", "nomadflows.settings", "subprocess", "concurrent.futures",
    }  # fmt: skip
    assert loaded & unwanted == set()
    assert {name for name in loaded if name.startswith("nomadflows.broker.")} == {"nomadflows.broker.wire"}


def test_the_library_is_whole_for_those_who_want_it():
    assert "asyncio" in loaded_by(
        "import nomadflows.runtime.amqp, pika.adapters.asyncio_connection as a; assert a.AsyncioConnection"
    )


def test_authors_import_from_the_package():
    assert "nomadflows.runtime.api" in loaded_by("from nomadflows.runtime import Message, Rebound, Snapshot")
