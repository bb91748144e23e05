"""Where the database is, and one engine for it as long as the process lives."""

from __future__ import annotations

import functools
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy import URL, Engine

Json = dict[str, Any]

LOCK_WAIT_S = 30  # SQLite: other steps write to the same file
CONNECT_TIMEOUT_S = 10


def warm_up() -> None:
    """Import SQLAlchemy beside everything else a starting step does: it takes as long as all of that."""
    threading.Thread(target=_import, name="import-sqlalchemy", daemon=True).start()


def _import() -> None:
    import sqlalchemy.dialects.postgresql
    import sqlalchemy.dialects.sqlite  # noqa: F401


def address(credential: Json) -> URL:
    """From `url`, or from the parts. ValueError without the text, which may hold a password."""
    from sqlalchemy import URL, make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(str(credential["url"])) if credential.get("url") else _from_parts(URL, credential)
    except (ArgumentError, ValueError):
        raise ValueError("the credential's url is not a database address, like postgresql://host/database") from None
    if credential.get("url") and not url.password and credential.get("password"):
        url = url.set(username=url.username or credential.get("user"), password=str(credential["password"]))
    if url.drivername in {"postgres", "postgresql"}:
        url = url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() not in {"postgresql", "sqlite"}:
        raise ValueError(f"upsert knows PostgreSQL and SQLite, not {url.get_backend_name()}")
    return url


def _from_parts(kind: type[URL], credential: Json) -> URL:
    if not credential.get("driver") or not credential.get("database"):
        raise ValueError("a credential without url needs driver and database")
    return kind.create(
        str(credential["driver"]),
        username=credential.get("user") or None,
        password=credential.get("password") or None,
        host=credential.get("host") or None,
        port=int(credential["port"]) if credential.get("port") else None,
        database=str(credential["database"]),
    )


def engine(credential: Json) -> Engine:
    """The same engine for the same address: its connections are kept between messages."""
    return _engine(address(credential))


@functools.cache
def _engine(url: URL) -> Engine:
    from sqlalchemy import create_engine

    sqlite = url.get_backend_name() == "sqlite"
    arguments = {"timeout": LOCK_WAIT_S} if sqlite else {"connect_timeout": CONNECT_TIMEOUT_S}
    return create_engine(url, connect_args=arguments, hide_parameters=True)
