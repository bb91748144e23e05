"""Where the database is, and one engine for it as long as the process lives."""

from __future__ import annotations

import functools
import sqlite3
import threading
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy import URL, Engine

Json = dict[str, Any]

LOCK_WAIT_S = 30  # SQLite: other steps write to the same file
CONNECT_TIMEOUT_S = 10
_importing = threading.Lock()


def warm_up() -> None:
    """Import SQLAlchemy beside everything else a starting step does: it takes as long as all of that."""
    threading.Thread(target=load, name="import-sqlalchemy", daemon=True).start()


def load() -> None:
    """Before any other use of SQLAlchemy: two threads that import it at once see half-made modules."""
    with _importing:
        import sqlalchemy.dialects.postgresql
        import sqlalchemy.dialects.sqlite  # noqa: F401


def address(credential: Json) -> URL:
    """From `url`, or from the parts. ValueError without the text, which may hold a password."""
    load()
    from sqlalchemy import URL, make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(str(credential["url"])) if credential.get("url") else URL.create(**_parts(credential))
    except (ArgumentError, ValueError):
        if not credential.get("url"):
            raise
        raise ValueError("the credential's url is not a database address, like postgresql://host/database") from None
    if credential.get("url") and not url.password and credential.get("password"):
        url = url.set(username=url.username or credential.get("user"), password=str(credential["password"]))
    if url.drivername in {"postgres", "postgresql"}:
        url = url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() not in {"postgresql", "sqlite"}:
        raise ValueError(f"upsert knows PostgreSQL and SQLite, not {url.get_backend_name()}")
    if url.get_backend_name() == "sqlite" and not _is_lasting(url.database or ""):
        raise ValueError(
            "the credential names no lasting file: a step's own folder goes with the step, so give an absolute path"
        )
    return url


def _parts(credential: Json) -> Json:
    if not credential.get("driver") or not credential.get("database"):
        raise ValueError("no credential with a database's address: it needs url, or driver and database")
    port = str(credential.get("port") or "")
    if port and not port.isdecimal():
        raise ValueError("the credential's port is not a number")
    return {
        "drivername": str(credential["driver"]),
        "username": credential.get("user") or None,
        "password": credential.get("password") or None,
        "host": credential.get("host") or None,
        "port": int(port) if port else None,
        "database": str(credential["database"]),
    }


def _is_lasting(file: str) -> bool:
    return PurePath(file).is_absolute() or file.startswith("file:/")


def engine(credential: Json) -> Engine:
    """The same engine for the same address: its connections are kept between messages."""
    return _engine(address(credential))


@functools.cache
def _engine(url: URL) -> Engine:
    from sqlalchemy import create_engine, event

    sqlite = url.get_backend_name() == "sqlite"
    arguments = {"timeout": LOCK_WAIT_S} if sqlite else {"connect_timeout": CONNECT_TIMEOUT_S}
    try:
        made = create_engine(url, connect_args=arguments, hide_parameters=True, pool_pre_ping=not sqlite)
    except ModuleNotFoundError as error:
        raise RuntimeError(
            f"{url.get_backend_name()} needs the Python package {error.name} where the step runs"
        ) from error
    if sqlite:
        event.listen(made, "connect", _write_ahead)
    return made


def _write_ahead(connection: sqlite3.Connection, _record: object) -> None:
    """Readers do not stop writers then, nor writers readers. The file remembers it."""
    (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    if mode == "wal":
        return
    try:
        connection.execute("PRAGMA journal_mode = wal")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise
        # in use just now: whoever connects next tries again, and until then it works as it is, only less side by side
