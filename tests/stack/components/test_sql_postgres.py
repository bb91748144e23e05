"""The sql component on a real PostgreSQL, in a cluster of the test's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy

from nomadflows.builtin import data_dir
from nomadflows.runtime.api import Message
from nomadflows.runtime.component import load
from tests.postgres import private_postgres


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """Address of a database that lives as long as this module's tests."""
    with private_postgres() as address:
        yield address


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
