"""Columns, types, names and locks of the tables that the sql component makes and fills; and its SQL for PostgreSQL."""

from __future__ import annotations

import json
import re
import sqlite3
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from sqlalchemy import Column, Integer, MetaData, Numeric, Table, Text, make_url
from sqlalchemy.dialects import postgresql

from nomadflows.builtin import builtin_dir
from nomadflows.runtime import Message, Rebound

SECRET = "open-sesame"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "warehouse.db"


@pytest.fixture
def upsert(run: Callable, file: Path) -> Iterator[ModuleType]:
    """The component's module; what it opened is closed after the test."""
    module = run("sql", "upsert").component.module._module
    yield module
    module.database.engine(config(file)).dispose()
    module.database._engine.cache_clear()


def config(file: Path, **more: object) -> dict:
    return {"table": "orders", "key": "id", "url": f"sqlite:///{file}", **more}


def store(upsert: ModuleType, settings: dict, **row: object) -> Message:
    return upsert.process(Message(row), settings, {})


def made(file: Path, *statements: str) -> None:
    """By somebody else."""
    connection = sqlite3.connect(file)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def rows(file: Path, query: str = "SELECT * FROM orders ORDER BY 1") -> list[tuple]:
    connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def columns(file: Path) -> dict[str, str]:
    return {name: kind for _, name, kind, *_ in rows(file, "PRAGMA table_info(orders)")}


def test_types_follow_from_the_first_row(upsert: ModuleType, file: Path):
    store(upsert, config(file), id="1", n=1, x=1.5, yes=True, tags=["a"], nothing=None)

    assert columns(file) == {"id": "TEXT", "n": "NUMERIC", "x": "NUMERIC", "yes": "BOOLEAN", "tags": "JSON"}
    assert rows(file) == [("1", 1, 1.5, 1, '["a"]')]


def test_a_whole_number_first_takes_a_fraction_later(upsert: ModuleType, file: Path):
    store(upsert, config(file), id=1, total=42)
    store(upsert, config(file), id=2, total=17.9)

    assert rows(file) == [(1, 42), (2, 17.9)]


def test_a_field_that_comes_later_becomes_a_column(upsert: ModuleType, file: Path):
    store(upsert, config(file), id=1, note=None)
    store(upsert, config(file), id=2, note="fragile", **{'dis"count %': 5})

    assert columns(file) == {"id": "BIGINT", "note": "TEXT", 'dis"count %': "NUMERIC"}
    assert rows(file) == [(1, None, None), (2, "fragile", 5)]


def test_null_empties_any_column(upsert: ModuleType, file: Path):
    store(upsert, config(file), id=1, note="x", tags=["a"])
    store(upsert, config(file), id=1, note=None, tags=None)

    assert rows(file) == [(1, None, None)]


def test_a_column_that_another_process_added(upsert: ModuleType, file: Path):
    store(upsert, config(file), id=1)
    made(file, "ALTER TABLE orders ADD COLUMN note TEXT")

    store(upsert, config(file), id=2, note="x")

    assert rows(file) == [(1, None), (2, "x")]


def test_without_create_table_no_column_is_made(upsert: ModuleType, file: Path):
    made(file, "CREATE TABLE orders (id INTEGER PRIMARY KEY, at DATETIME)")

    with pytest.raises(ValueError, match="has no column 'note'; it has: id, at"):
        store(upsert, config(file, create_table=False), id=1, note="x")
    store(upsert, config(file, create_table=False), id=1.0, at="2026-01-02T09:19:04Z")

    assert rows(file, "SELECT id FROM orders") == [(1,)]
    assert columns(file) == {"id": "INTEGER", "at": "DATETIME"}


def test_hostile_names_stay_names(upsert: ModuleType, file: Path):
    made(file, "CREATE TABLE users (id TEXT)")
    settings = config(file, table='x"; DROP TABLE users; --', key="a b")

    store(upsert, settings, **{"a b": 1, "x); --": "y", "?": 1, ":p": 2, "%(q)s": 3})
    store(upsert, settings, **{"a b": 1, "y); --": "z", ":r": 2})

    assert rows(file, "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY 1") == [
        ("users",), ('x"; DROP TABLE users; --',),
    ]  # fmt: skip


def test_a_table_without_the_key_is_told(upsert: ModuleType, file: Path):
    made(file, "CREATE TABLE orders (id TEXT, total REAL)")

    with pytest.raises(Exception, match="ON CONFLICT clause does not match"):
        store(upsert, config(file), id="1", total=5)


def test_bad_data_is_an_error_that_quotes_no_value(upsert: ModuleType, file: Path):
    made(file, "CREATE TABLE orders (id TEXT PRIMARY KEY, note TEXT CHECK (length(note) < 3))")

    with pytest.raises(Exception, match="CHECK constraint failed") as raised:
        store(upsert, config(file), id="1", note=SECRET)

    assert SECRET not in "".join(traceback.format_exception(raised.value))


def test_a_reader_does_not_stop_a_writer(upsert: ModuleType, file: Path):
    store(upsert, config(file), id=1)
    reader = sqlite3.connect(file, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM orders").fetchall()

    store(upsert, config(file), id=2)

    assert reader.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    reader.close()


def test_a_file_in_use_is_not_switched_but_written(upsert: ModuleType, file: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(upsert.database, "LOCK_WAIT_S", 0.1)
    made(file, "CREATE TABLE orders (id INTEGER PRIMARY KEY)")
    reader = sqlite3.connect(file, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM orders").fetchall()

    with pytest.raises(Rebound):  # without write-ahead a reader stops a writer
        store(upsert, config(file), id=1)
    reader.execute("COMMIT")
    reader.close()

    store(upsert, config(file), id=1)
    assert rows(file) == [(1,)]


def test_steps_that_add_columns_at_once(upsert: ModuleType, file: Path):
    failed: list[Exception] = []
    ready = threading.Barrier(4)

    def one(first: int) -> None:
        engine = upsert.database._engine.__wrapped__(make_url(f"sqlite:///{file}"))  # as a process of its own has
        ready.wait()
        try:
            upsert.tables.find_or_create(engine, "orders", ["id"], {"id": 1}, create=True)
            for number in range(first, first + 10):
                row = {"id": number, f"column{number % 3}": "x"}
                table = upsert.tables.widened(engine, "orders", row)
                with engine.begin() as connection:
                    connection.execute(upsert._statement("sqlite", table, ["id"], row))
        except Exception as error:  # noqa: BLE001 - told below, in the test's own thread
            failed.append(error)
        engine.dispose()

    threads = [threading.Thread(target=one, args=(first,)) for first in (0, 10, 20, 30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert failed == []
    assert len(rows(file)) == 40
    assert set(columns(file)) == {"id", "column0", "column1", "column2"}


def test_an_unreachable_postgresql_gives_the_message_back_and_tells_no_password(upsert: ModuleType):
    pytest.importorskip("psycopg")
    settings = {"table": "orders", "key": "id", "url": f"postgresql://u:{SECRET}@127.0.0.1:1/warehouse"}

    with pytest.raises(Rebound) as raised:
        store(upsert, settings, id=1)

    assert SECRET not in "".join(traceback.format_exception(raised.value))


def test_the_sql_for_postgresql(upsert: ModuleType):
    table = Table(
        "orders", MetaData(), Column("id", Text), Column("total", Numeric), Column("items", Integer), schema="sales"
    )

    upserted = upsert._statement("postgresql", table, ["id"], {"id": "SO-1", "total": 17.9, "items": 3})
    key_alone = upsert._statement("postgresql", table, ["id"], {"id": "SO-1"})

    without_casts = re.sub(r"::\w+", "", str(upserted.compile(dialect=postgresql.dialect(paramstyle="named"))))
    assert " ".join(without_casts.split()) == (
        "INSERT INTO sales.orders (id, total, items) VALUES (:id, :total, :items) "
        "ON CONFLICT (id) DO UPDATE SET total = excluded.total, items = excluded.items"
    )
    assert str(key_alone.compile(dialect=postgresql.dialect())).endswith("ON CONFLICT (id) DO NOTHING")


def test_a_column_of_whole_numbers_is_not_rounded_into(upsert: ModuleType):
    table = Table("orders", MetaData(), Column("items", Integer))

    assert upsert.tables.fitted(table, {"items": 3.0}) == {"items": 3}
    with pytest.raises(ValueError, match="'items' takes whole numbers"):
        upsert.tables.fitted(table, {"items": 2.5})


@pytest.mark.parametrize(
    ("credential", "said"),
    [
        ({}, "needs url, or driver and database"),
        ({"url": f"postgresql://u:{SECRET}@db:port/w"}, "not a database address"),
        ({"url": f"mysql://u:{SECRET}@db/w"}, "knows PostgreSQL and SQLite, not mysql"),
        ({"driver": "postgresql", "database": "w", "port": SECRET}, "port is not a number"),
        ({"url": "sqlite:///warehouse.db"}, "absolute path"),
        ({"url": "sqlite://"}, "absolute path"),
    ],
)
def test_what_is_no_address_is_told_without_quoting_it(upsert: ModuleType, credential: dict, said: str):
    with pytest.raises(ValueError, match=said) as raised:
        upsert.database.address(credential)

    assert SECRET not in "".join(traceback.format_exception(raised.value))


def test_the_descriptor_hides_what_may_hold_a_password():
    fields = json.loads((builtin_dir("sql") / "component.json").read_text())["credentials"]["fields"]

    assert fields["url"]["viewClass"] == fields["password"]["viewClass"] == "PasswordFieldView"
