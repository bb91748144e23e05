"""The table rows go to: found, or made after the first row; and values made to fit its columns."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy import Column, Engine, Table

Json = dict[str, Any]


class NoSuchTable(Exception):
    """It is not there, and nobody asked to create it."""


def find_or_create(engine: Engine, name: str, key: list[str], row: Json, *, create: bool) -> Table:
    """Steps that start together may both try to create it: whoever comes second takes what is there."""
    from sqlalchemy.exc import DatabaseError

    found = _find(engine, name)
    if found is not None:
        return found
    if not create:
        raise NoSuchTable(f"there is no table {name!r}, and create_table is off")
    table = _described(name, key, row)
    try:
        table.create(engine)
    except DatabaseError:
        found = _find(engine, name)
        if found is None:
            raise
        return found
    return table


def widened(engine: Engine, name: str, row: Json) -> Table:
    """With the columns that the row has and the table lacks. Another step may be adding them too: what counts is that
    they are there."""
    from sqlalchemy.exc import DatabaseError

    table = _existing(engine, name)
    for column in _columns(row, key=[]):
        if column.name in table.columns:
            continue
        try:
            _add(engine, table, column)
        except DatabaseError:
            table = _existing(engine, name)
            if column.name not in table.columns:
                raise
    return table


def _add(engine: Engine, table: Table, column: Column[Any]) -> None:
    from sqlalchemy.schema import CreateColumn

    table.append_column(column)
    what = CreateColumn(column).compile(dialect=engine.dialect)
    where = engine.dialect.identifier_preparer.format_table(table)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"ALTER TABLE {where} ADD COLUMN {what}")


def _existing(engine: Engine, name: str) -> Table:
    table = _find(engine, name)
    if table is None:
        raise NoSuchTable(f"table {name!r} is gone")
    return table


def _find(engine: Engine, name: str) -> Table | None:
    from sqlalchemy import MetaData, Table
    from sqlalchemy.exc import NoSuchTableError

    schema, _, table = name.rpartition(".")
    try:
        return Table(table, MetaData(), schema=schema or None, autoload_with=engine)
    except NoSuchTableError:
        return None


def _described(name: str, key: list[str], row: Json) -> Table:
    from sqlalchemy import MetaData, Table

    schema, _, table = name.rpartition(".")
    return Table(table, MetaData(), *_columns(row, key), schema=schema or None)


def _columns(row: Json, key: list[str]) -> list[Column[Any]]:
    """A null tells no type: its column comes with its first value."""
    return [_column(name, value, is_key=name in key) for name, value in row.items() if value is not None]


def _column(name: str, value: Any, *, is_key: bool) -> Column[Any]:
    """Numbers become exact decimals, since a whole one today may be a fraction tomorrow; keys stay whole."""
    from sqlalchemy import JSON, BigInteger, Boolean, Column, Numeric, Text

    kind: Any = Text()
    if isinstance(value, bool):
        kind = Boolean()
    elif isinstance(value, int) and is_key:
        kind = BigInteger()
    elif isinstance(value, (int, float)):
        kind = Numeric(asdecimal=False)
    elif isinstance(value, (dict, list)):
        kind = JSON()
    return Column(name, kind, primary_key=is_key, nullable=not is_key, autoincrement=False)


def fitted(table: Table, row: Json) -> Json:
    """The row's values as its columns take them. ValueError names a column that the table lacks."""
    unknown = lacking(table, row)
    if unknown:
        known = ", ".join(column.name for column in table.columns)
        raise ValueError(f"table {table.name!r} has no column {unknown[0]!r}; it has: {known}")
    return {name: _fit(table.columns[name], value) for name, value in row.items() if name in table.columns}


def lacking(table: Table, row: Json) -> list[str]:
    """Members with no column. A null is not missed: it is what reading the row gives anyway."""
    return [name for name, value in row.items() if value is not None and name not in table.columns]


def _fit(column: Column[Any], value: Any) -> Any:
    from sqlalchemy import JSON, Date, DateTime, Integer, String, null

    kind = column.type
    if value is None:
        return null() if isinstance(kind, JSON) else None
    if isinstance(kind, JSON):
        return value
    if isinstance(kind, Integer) and isinstance(value, float):
        return _whole(column, value)
    if isinstance(kind, String):
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if isinstance(value, str) and isinstance(kind, (DateTime, Date)):
        return _moment(value, kind.python_type.fromisoformat)
    return value


def _whole(column: Column[Any], value: float) -> int:
    """PostgreSQL would round without a word."""
    if not value.is_integer():
        raise ValueError(f"column {column.name!r} takes whole numbers, and the row has a fraction")
    return int(value)


def _moment(text: str, parse: Any) -> Any:
    try:
        return parse(text.replace("Z", "+00:00"))
    except ValueError:
        return text  # the database says what is wrong with it
