"""Keeps one row per key. The message goes on unchanged once its row is committed."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import database
import table as tables

from nomadflows.runtime import Message, Rebound

if TYPE_CHECKING:
    from sqlalchemy import Engine, Table

Json = dict[str, Any]

_known: dict[tuple[str, str], Table] = {}
_lock = threading.Lock()


def init(config: Json) -> None:
    database.warm_up()


def process(message: Message, config: Json, snapshot: Json) -> Message:
    database.load()
    from sqlalchemy.exc import DBAPIError

    row, key = message.body, _key(config)
    if not isinstance(row, dict) or not row:
        raise ValueError("the body is no row: it must be an object with a member for each column")
    missing = [column for column in key if row.get(column) is None]
    if missing:
        raise ValueError(f"the row has no value for its key {missing[0]!r}")
    engine = database.engine(config)
    try:
        _store(engine, config, key, row)
    except DBAPIError as error:
        if not _is_away(error):
            raise
        _known.clear()
        raise Rebound(f"the database is away: {type(error.orig).__name__}") from error
    return message


def _key(config: Json) -> list[str]:
    key = config["key"]
    names = key.split(",") if isinstance(key, str) else key
    return [name.strip() for name in names]


def _store(engine: Engine, config: Json, key: list[str], row: Json) -> None:
    """A pooled connection may have died since the last message: once more with a fresh one."""
    from sqlalchemy.exc import DBAPIError

    try:
        _write(engine, config, key, row)
    except DBAPIError as error:
        if not error.connection_invalidated:
            raise
        _write(engine, config, key, row)


def _write(engine: Engine, config: Json, key: list[str], row: Json) -> None:
    table = _table(engine, config, key, row)
    values = tables.fitted(table, row)
    with engine.begin() as connection:
        connection.execute(_statement(engine.dialect.name, table, key, values))


def _table(engine: Engine, config: Json, key: list[str], row: Json) -> Table:
    name = str(config["table"])
    identity = (str(engine.url), name)
    with _lock:
        create = config.get("create_table") is not False
        table = _known.get(identity)
        if table is None:
            table = tables.find_or_create(engine, name, key, row, create=create)
        if create and tables.lacking(table, row):
            table = tables.widened(engine, name, row)
        _known[identity] = table
        return table


def _statement(dialect: str, table: Table, key: list[str], values: Json) -> Any:
    """INSERT … ON CONFLICT DO UPDATE; a row that is all key needs no update."""
    if dialect == "postgresql":
        from sqlalchemy.dialects.postgresql import insert
    else:
        from sqlalchemy.dialects.sqlite import insert  # type: ignore[assignment]
    statement = insert(table).values(values)
    others = {name: statement.excluded[name] for name in values if name not in key}
    if not others:
        return statement.on_conflict_do_nothing(index_elements=key)
    return statement.on_conflict_do_update(index_elements=key, set_=others)


def _is_away(error: Any) -> bool:
    """Whether the same row may well succeed later: no connection, a restart, a lock that was held too long."""
    from sqlalchemy.exc import OperationalError

    if error.connection_invalidated:
        return True
    if not isinstance(error, OperationalError):
        return False
    state = getattr(error.orig, "sqlstate", None)
    if state is not None:
        return str(state)[:2] in {"08", "40", "53", "55", "57"}
    text = str(error.orig)
    return "locked" in text or "connect" in text or "timeout" in text
