"""A PostgreSQL of a test's own."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def _programs() -> Path | None:
    """Folder of PostgreSQL's server programs; Debian keeps them off PATH."""
    if found := shutil.which("initdb"):
        return Path(found).parent
    return max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)


@contextmanager
def private_postgres() -> Iterator[str]:
    """Address of a database that lives as long as the block; skips without PostgreSQL, fails where CI is set."""
    programs = _programs()
    if programs is None:
        problem = "no PostgreSQL server programs (Debian: apt-get install postgresql)"
        pytest.fail(problem) if os.environ.get("CI") else pytest.skip(problem)
    # PostgreSQL refuses to run as root; Debian's package has made a user for it.
    as_user = ["runuser", "-u", "postgres", "--"] if getpass.getuser() == "root" else []
    # Not below pytest's folders, which only the user who runs the tests may enter.
    folder = Path(tempfile.mkdtemp(prefix="nomadflows-postgres-"))
    if as_user:
        shutil.chown(folder, "postgres")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def run(program: str, *arguments: str) -> None:
        command = [*as_user, str(programs / program), "-D", str(folder / "data"), *arguments]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60, cwd="/")
        assert done.returncode == 0, f"{program}: {done.stdout}{done.stderr}"

    run("initdb", "--auth=trust", "--username=test", "--no-sync")
    run("pg_ctl", "start", "-w", "-l", str(folder / "log"), "-o", f"-p {port} -h 127.0.0.1 -k {folder} -F")
    try:
        yield f"postgresql://test@127.0.0.1:{port}/postgres"
    finally:
        run("pg_ctl", "stop", "-m", "immediate")
        shutil.rmtree(folder)
