"""What a version's account on the broker may do, and the form in which its password is given to the broker."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import secrets
from collections.abc import Iterable
from typing import Final

from nomadflows.model.names import VersionRef

_SALT: Final = 4  # bytes, as RabbitMQ has it

NOTHING: Final = "^$"


def password_hash(password: str, salt: bytes | None = None) -> str:
    """RabbitMQ's `rabbit_password_hashing_sha256`: base64 of salt and SHA-256 of salt and password."""
    salt = secrets.token_bytes(_SALT) if salt is None else salt
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def is_hash_of(password: str, text: str) -> bool:
    """Whether RabbitMQ's hash `text` is of that password."""
    try:
        salt = base64.b64decode(text, validate=True)[:_SALT]
    except binascii.Error:
        return False
    return secrets.compare_digest(text.encode(), password_hash(password, salt).encode())


def permissions(version: VersionRef, steps: Iterable[str]) -> dict[str, str]:
    """All that the version's account may do, as the broker lists it."""
    return {"configure": NOTHING, "write": write_pattern(version), "read": read_pattern(version, steps)}


def write_pattern(version: VersionRef) -> str:
    """The version's own exchange."""
    return f"^{re.escape(version.exchange)}$"


def read_pattern(version: VersionRef, steps: Iterable[str]) -> str:
    """The queues of the version's steps; not its delay queues, its errors or another version."""
    names = "|".join(re.escape(step) for step in sorted(steps))
    return f"^{re.escape(version.exchange)}\\.({names})$"
