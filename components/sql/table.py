"""The table rows go to: found, or made after the first row; and values made to fit its columns."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy import Column, Engine, Table

Json = dict[str, Any]


class NoSuchTable(Exception):  # noqa: N818
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
    columns = [_column(column, row[column], is_key=column in key) for column in row]
    return Table(table, MetaData(), *columns, schema=schema or None)


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
    unknown = [name for name in row if name not in table.columns]
    if unknown:
        known = ", ".join(column.name for column in table.columns)
        raise ValueError(f"table {table.name!r} has no column {unknown[0]!r}; it has: {known}")
    return {name: _fit(table.columns[name], value) for name, value in row.items()}


def _fit(column: Column[Any], value: Any) -> Any:
    from sqlalchemy import JSON, Date, DateTime, String

    kind = column.type
    if value is None or isinstance(kind, JSON):
        return value
    if isinstance(kind, String):
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if isinstance(value, str) and isinstance(kind, (DateTime, Date)):
        return _moment(value, kind.python_type.fromisoformat)
    return value


def _moment(text: str, parse: Any) -> Any:
    try:
        return parse(text.replace("Z", "+00:00"))
    except ValueError:
        return text  # the database says what is wrong with it
