"""What nomadflows keeps in Vault for flows and their versions: shapes, and how new ones are made. No I/O."""

from __future__ import annotations

import secrets
import string
from dataclasses import dataclass, field
from typing import Any, Final, Self

Json = dict[str, Any]

_IV_ALPHABET: Final = string.ascii_letters + string.digits
_IV_LENGTH: Final = 16  # bytes that the component contract asks for, hence ASCII


@dataclass(frozen=True, slots=True)
class FlowSecret:
    """The message key. All versions of a flow share it, so that a version can read what its predecessor left."""

    crypto_password: str = field(repr=False)
    crypto_iv: str = field(repr=False)

    @classmethod
    def new(cls) -> Self:
        return cls(secrets.token_urlsafe(32), "".join(secrets.choice(_IV_ALPHABET) for _ in range(_IV_LENGTH)))

    @classmethod
    def from_json(cls, data: Json) -> Self:
        return cls(data["crypto_password"], data["crypto_iv"])

    def to_json(self) -> Json:
        return {"crypto_password": self.crypto_password, "crypto_iv": self.crypto_iv}


@dataclass(frozen=True, slots=True)
class VersionSecret:
    """What the step processes of one version need: its broker user's password, its API key, the message key."""

    amqp_password: str = field(repr=False)
    api_key: str = field(repr=False)
    crypto_password: str = field(repr=False)
    crypto_iv: str = field(repr=False)

    @classmethod
    def new(cls, flow: FlowSecret) -> Self:
        return cls(secrets.token_urlsafe(32), secrets.token_urlsafe(32), flow.crypto_password, flow.crypto_iv)

    @classmethod
    def from_json(cls, data: Json) -> Self:
        return cls(data["amqp_password"], data["api_key"], data["crypto_password"], data["crypto_iv"])

    def to_json(self) -> Json:
        return {
            "amqp_password": self.amqp_password,
            "api_key": self.api_key,
            "crypto_password": self.crypto_password,
            "crypto_iv": self.crypto_iv,
        }
