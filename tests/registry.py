"""A container registry of a test's own, which asks for a password."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from tests.world import eventually

USER, PASSWORD = "robot", "sesame-open-7"
_HTPASSWD = "robot:$2b$05$v/w0M4li3NGzTDE7id73SeYr0f2sU8ITcS7V7kNYCC0GrrDuNjHs."  # of that password
_SETTINGS = """\
version: 0.1
storage: {{filesystem: {{rootdirectory: {folder}/data}}}}
http: {{addr: "{address}"}}
auth: {{htpasswd: {{realm: test, path: {folder}/htpasswd}}}}
"""


@contextmanager
def private_registry(folder: Path) -> Iterator[str]:
    """Its address, which Docker trusts because it is on loopback; skips without the program, fails where CI is set."""
    program = shutil.which("docker-registry")
    if program is None:
        problem = "no docker-registry (Debian: apt-get install docker-registry)"
        pytest.fail(problem) if os.environ.get("CI") else pytest.skip(problem)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    (folder / "htpasswd").write_text(f"{_HTPASSWD}\n")
    (folder / "settings.yml").write_text(_SETTINGS.format(folder=folder, address=address))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, "serve", str(folder / "settings.yml")], stdout=log, stderr=log)
    try:
        eventually("the registry answers", lambda: _answers(address))
        yield address
    finally:
        process.terminate()
        process.wait(20)


def _answers(address: str) -> bool:
    try:
        return requests.get(f"http://{address}/v2/", timeout=2).status_code == requests.codes.unauthorized
    except requests.ConnectionError:
        return False
