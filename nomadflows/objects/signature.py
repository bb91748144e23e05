"""Addresses of objects that need no further proof: whoever has one may read, or write, that object for a while.

Signed with a key that Vault keeps for it. Pure.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import urlencode

# What components of elastic.io's kind look for in an attachment's address, before they read it by their own token.
_STORAGE: Final = {"storage_type": "maester"}


class Object(NamedTuple):
    """Which one, of which workspace."""

    workspace: str
    id: str


def signed_url(base: str, key: str, method: str, named: Object, expires: float) -> str:
    """The address, good for one object and one method until `expires`, in seconds since 1970."""
    until = str(int(expires))
    query = {"workspace": named.workspace, "expires": until, "signature": _mac(key, method, named, until)}
    return f"{base.rstrip('/')}/objects/{named.id}?{urlencode(_STORAGE | query)}"


def is_signed(key: str, method: str, named: Object, query: Mapping[str, str], now: float) -> bool:
    until = query.get("expires", "")
    if not (until.isascii() and until.isdecimal()) or int(until) < now:
        return False
    return hmac.compare_digest(query.get("signature", "").encode(), _mac(key, method, named, until).encode())


def token_of(api_user: str, api_key: str) -> str:
    """What a step shows to the object store, made of its key so that the key itself need not go there. The templates of
    `jobspecs` make the same."""
    return f"{api_user}.{token_key(api_key)}"


def token_key(api_key: str) -> str:
    return hmac.new(api_key.encode(), b"objects", hashlib.sha256).hexdigest()


def _mac(key: str, method: str, named: Object, until: str) -> str:
    text = f"{method} {named.workspace} {named.id} {until}"
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()
