"""Who may call a webhook: the credential of its trigger step, checked in constant time. Pure.

A credential's members (all text):

=========  ==========================================================================================
`type`     `none`, `basic`, `api_key` or `hmac`; may be left out beside a `username`: `basic`
`basic`    `username`, `password`
`api_key`  `header` (default `x-api-key`), `key`
`hmac`     `secret`, `algorithm` (`sha256`, default, or `sha512`), `header` (default `x-eio-signature`)
=========  ==========================================================================================
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from nomadflows.model.errors import InputError

TYPES: Final = ("none", "basic", "api_key", "hmac")
_ALGORITHMS: Final = {"sha256": hashlib.sha256, "sha512": hashlib.sha512}


@dataclass(frozen=True, slots=True)
class Auth:
    """What a caller has to show. `header` never goes on into the flow."""

    type: str = "none"
    header: str = ""
    user: str = field(default="", repr=False)
    secret: str = field(default="", repr=False)
    algorithm: str = "sha256"

    @property
    def signs_body(self) -> bool:
        return self.type == "hmac"

    def allows(self, headers: Mapping[str, str], body: bytes = b"") -> bool:
        """Headers by lower-case name. `body` counts only if `signs_body`."""
        if self.type == "none":
            return True
        shown = headers.get(self.header, "")
        if self.type == "basic":
            return _same(_basic(shown), f"{self.user}:{self.secret}".encode())
        if self.type == "api_key":
            return _same(shown.encode("latin-1", "replace"), self.secret.encode())
        wanted = hmac.new(self.secret.encode(), body, _ALGORITHMS[self.algorithm])
        return _signed(shown, wanted.digest(), self.algorithm)


NO_AUTH: Final = Auth()


def parse(credential: Mapping[str, Any]) -> Auth:
    """The auth a credential describes. InputError, without its values, if it describes none: who names a credential
    does not mean that everybody may call."""
    member = {name: str(value) for name, value in credential.items() if value is not None}
    kind = _type(member)
    if kind == "basic":
        return Auth("basic", "authorization", _needed(member, "username"), _needed(member, "password"))
    if kind == "api_key":
        return Auth("api_key", member.get("header", "x-api-key").lower(), secret=_needed(member, "key"))
    if kind == "hmac":
        algorithm = member.get("algorithm", "sha256").lower().replace("-", "")
        if algorithm not in _ALGORITHMS:
            raise InputError(f"a webhook's credential: algorithm is one of {', '.join(_ALGORITHMS)}")
        header = member.get("header", "x-eio-signature").lower()
        return Auth("hmac", header, secret=_needed(member, "secret"), algorithm=algorithm)
    if kind == "none":
        return NO_AUTH
    raise InputError(f"a webhook's credential has a type, one of {', '.join(TYPES)}")


def is_for_callers(credential: Mapping[str, Any], descriptor: Mapping[str, Any]) -> bool:
    """Whether a trigger's credential says who may call. It does when the component asks for a `type`, as the webhook
    component does; that of another component may be its own, for the service it subscribes to."""
    fields = (descriptor.get("credentials") or {}).get("fields") or {}
    return "type" in fields or _type(credential) in TYPES


def _type(credential: Mapping[str, Any]) -> str:
    return str(credential.get("type") or ("basic" if "username" in credential else "")).lower().replace("-", "_")


def _needed(member: Mapping[str, str], name: str) -> str:
    if not member.get(name):
        raise InputError(f"a webhook's credential lacks {name!r}")
    return member[name]


def _same(shown: bytes, wanted: bytes) -> bool:
    return hmac.compare_digest(shown, wanted)


def _basic(header: str) -> bytes:
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return b""
    try:
        return base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        return b""


def _signed(shown: str, digest: bytes, algorithm: str) -> bool:
    """Hex or base64, with or without `sha256=` in front, as the world's webhooks have it."""
    text = shown.strip().removeprefix(f"{algorithm}=")
    as_hex = hmac.compare_digest(text.lower().encode("latin-1", "replace"), digest.hex().encode())
    as_base64 = hmac.compare_digest(text.encode("latin-1", "replace"), base64.b64encode(digest))
    return as_hex or as_base64
