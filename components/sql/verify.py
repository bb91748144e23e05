"""Whether a credential opens a database."""

from __future__ import annotations

from typing import Any

import database

Json = dict[str, Any]


def verify(credential: Json) -> None:
    """Raises what is wrong; the message names no password."""
    database.load()
    from sqlalchemy import text
    from sqlalchemy.exc import SQLAlchemyError

    engine = database.engine(credential)
    try:
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
    except SQLAlchemyError as error:
        cause = getattr(error, "orig", None) or error
        raise ConnectionError(f"{type(cause).__name__}: {str(cause).strip()}") from None
