"""The sql component on a real PostgreSQL, in a cluster of the test's own."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy

from nomadflows.builtin import data_dir
from nomadflows.runtime.api import Message
from nomadflows.runtime.component import load


def _programs() -> Path | None:
    """Folder of PostgreSQL's server programs; Debian keeps them off PATH."""
    if found := shutil.which("initdb"):
        return Path(found).parent
    return max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a database that lives as long as this module's tests."""
    programs = _programs()
    if programs is None:
        problem = "no PostgreSQL server programs (Debian: apt-get install postgresql)"
        pytest.fail(problem) if os.environ.get("CI") else pytest.skip(problem)
    # PostgreSQL refuses to run as root; Debian's package has made a user for it.
    as_user = ["runuser", "-u", "postgres", "--"] if getpass.getuser() == "root" else []
    folder = tmp_path_factory.mktemp("postgres")
    for place in (folder, *folder.parents[:3]):
        if place.stat().st_uid == os.getuid() and place != Path("/tmp"):
            place.chmod(0o755)
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


def test_rows_are_kept_in_postgresql(postgres):
    component = load(str(data_dir("components") / "sql"), "upsert")
    import database

    credential = {"url": postgres}
    config = {**credential, "table": "nomadflows_test", "key": "id"}
    component.run_hook("init", config)

    def step(body):
        component.process(Message(body), config, {})

    engine = database.engine(credential)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("DROP TABLE IF EXISTS nomadflows_test"))
    step({"id": "a", "total": 10, "tags": {"x": 1}, "open": True, "none": None})
    step({"id": "a", "total": 10.25, "tags": {"x": 2}, "open": False, "none": 5})
    # a connection that dies between two messages is replaced without a word
    with engine.connect() as connection:
        other = sqlalchemy.create_engine(engine.url)
        with other.begin() as killer:
            killer.execute(
                sqlalchemy.text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE pid <> pg_backend_pid() AND datname = current_database()"
                )
            )
        other.dispose()
        connection.invalidate()
    step({"id": "b", "total": 0.1})
    with engine.begin() as connection:
        found = connection.execute(sqlalchemy.text("SELECT id, total, open, none FROM nomadflows_test ORDER BY id"))
        assert [tuple(map(str, row)) for row in found] == [("a", "10.25", "False", "5"), ("b", "0.1", "None", "None")]
        connection.execute(sqlalchemy.text("DROP TABLE nomadflows_test"))
    engine.dispose()
