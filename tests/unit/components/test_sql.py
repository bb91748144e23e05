"""One row per key, in SQLite; PostgreSQL is in tests/stack."""

from __future__ import annotations

import sqlite3
import threading

import pytest

from nomadflows.runtime import Rebound


@pytest.fixture
def db(tmp_path):
    return tmp_path / "w.db"


def rows(db, sql="SELECT * FROM orders ORDER BY id"):
    connection = sqlite3.connect(db)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


@pytest.fixture
def upsert(run, db):
    made = []

    def start(**config):
        step = run("sql", "upsert", **{"url": f"sqlite:///{db}", "table": "orders", "key": "id", **config})
        made.append(step)
        return step

    yield start
    if made:
        import database

        database._engine.cache_clear()


def test_the_table_is_made_and_a_row_is_inserted_then_updated(upsert, db):
    step = upsert()
    assert step({"id": "A1", "total": 10, "open": True, "tags": ["x"]}) == [
        {"id": "A1", "total": 10, "open": True, "tags": ["x"]}
    ]
    assert rows(db) == [("A1", 10, 1, '["x"]')]
    step({"id": "A1", "total": 10.5, "open": False, "tags": []})
    step({"id": "A1", "total": 10.5, "open": False, "tags": []})
    assert rows(db) == [("A1", 10.5, 0, "[]")]


def test_only_the_columns_of_a_message_are_updated(upsert, db):
    step = upsert()
    step({"id": 1, "a": "x", "b": "y"})
    step({"id": 1, "b": "z"})
    assert rows(db) == [(1, "x", "z")]


def test_a_row_that_is_all_key_and_a_key_of_several_columns(upsert, db):
    step = upsert(key=["id", "n"])
    for n in (1, 2, 1):
        step({"id": 1, "n": n})
    assert rows(db) == [(1, 1), (1, 2)]


def test_the_message_goes_on_with_what_came_along(upsert):
    step = upsert()
    (message,) = step.items({"id": 1}, passthrough={"a": {"body": {}}}, headers={"h": "1"})
    assert (message.passthrough, message.headers) == ({"a": {"body": {}}}, {"h": "1"})


def test_an_existing_table_is_used_as_it_is(upsert, db):
    connection = sqlite3.connect(db)
    connection.execute("CREATE TABLE orders (id TEXT PRIMARY KEY, at TIMESTAMP, note TEXT)")
    connection.close()
    step = upsert(create_table=False)
    step({"id": "1", "at": "2026-01-31T10:00:00Z", "note": 5})
    assert rows(db) == [("1", "2026-01-31 10:00:00.000000", "5")]
    with pytest.raises(ValueError, match="no column 'colour'; it has: id, at, note"):
        step({"id": "1", "colour": "red"})


def test_no_table_and_none_to_be_made(upsert):
    with pytest.raises(Exception, match="no table 'orders', and create_table is off"):
        upsert(create_table=False)({"id": 1})


@pytest.mark.parametrize("body", [{}, {"id": None, "a": 1}, {"a": 1}, [1]])
def test_what_is_no_row_is_refused(upsert, body):
    with pytest.raises(ValueError, match=r"no row|no value for its key"):
        upsert()(body)


def test_two_steps_that_start_together_make_one_table(upsert, db):
    import sqlalchemy

    step = upsert()
    import table as tables

    engines = [sqlalchemy.create_engine(f"sqlite:///{db}", connect_args={"timeout": 30}) for _ in range(4)]
    start, made = threading.Barrier(4), []

    def make(engine):
        start.wait()
        made.append(tables.find_or_create(engine, "orders", ["id"], {"id": 1, "a": "x"}, create=True))

    threads = [threading.Thread(target=make, args=(engine,)) for engine in engines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for engine in engines:
        engine.dispose()
    assert len(made) == 4
    step({"id": 1, "a": "y"})
    assert rows(db) == [(1, "y")]


def test_a_database_that_is_locked_or_away_gives_the_message_back(upsert, db, monkeypatch):
    step = upsert()
    step({"id": 1, "a": "x"})
    import database

    database._engine.cache_clear()
    monkeypatch.setattr("database.LOCK_WAIT_S", 0.05)
    holder = sqlite3.connect(db, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(Rebound, match="the database is away"):
        step({"id": 1, "a": "y"})
    holder.execute("COMMIT")
    holder.close()
    step({"id": 1, "a": "y"})
    assert rows(db) == [(1, "y")]


def test_a_server_that_is_away_gives_the_message_back(run):
    pytest.importorskip("psycopg")
    step = run("sql", "upsert", url="postgresql://u:secret@127.0.0.1:1/d", table="t", key="id")
    with pytest.raises(Rebound) as caught:
        step({"id": 1})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("credential", "url"),
    [
        ({"url": "sqlite:////tmp/a.db"}, "sqlite:////tmp/a.db"),
        ({"url": "postgres://h/d", "user": "u", "password": "p"}, "postgresql+psycopg://u:p@h/d"),
        ({"url": "postgresql://u:p@h:1/d"}, "postgresql+psycopg://u:p@h:1/d"),
        ({"driver": "postgresql", "host": "h", "port": "1", "database": "d", "user": "u", "password": "p@/:"},
         "postgresql+psycopg://u:p%40%2F%3A@h:1/d"),
        ({"driver": "sqlite", "database": "/a.db"}, "sqlite:////a.db"),
    ],
)  # fmt: skip
def test_addresses(run, credential, url):
    run("sql", "upsert")
    import database

    assert database.address(credential).render_as_string(hide_password=False) == url


@pytest.mark.parametrize("credential", [{}, {"url": "se:cret"}, {"url": "mysql://u:secret@h/d"}, {"driver": "x"}])
def test_an_address_that_is_none_is_refused_without_quoting_it(run, credential):
    run("sql", "upsert")
    import database

    with pytest.raises(ValueError, match=r"credential|upsert knows") as caught:
        database.address(credential)
    assert "cret" not in str(caught.value)


def test_verify(run, tmp_path):
    run("sql", "upsert")
    import verify

    verify.verify({"url": f"sqlite:///{tmp_path}/x.db"})
    with pytest.raises(ConnectionError) as caught:
        verify.verify({"url": f"sqlite:///{tmp_path}/no/x.db"})
    assert "unable to open" in str(caught.value)
    import database

    for engine in [database.engine({"url": f"sqlite:///{tmp_path}/x.db"})]:
        engine.dispose()
