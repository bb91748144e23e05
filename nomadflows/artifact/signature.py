"""Who may put files into the artifact store, or take them out: whoever can read the key that Vault keeps for it.

Fetching needs no signature: an address holds the SHA-256 of what it gives, which only Consul and the job specs know;
who reads those may run the component anyway, and what comes is checked against the digest. Pure.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

HEADER: Final = "X-Nomadflows-Signature"
_MOST_APART_S: Final = 300


def sign(key: str, method: str, sha256: str, now: float) -> str:
    """The header's value: good for one file and one method, for some minutes."""
    moment = str(int(now))
    return f"{moment}:{_mac(key, method, sha256, moment)}"


def is_signed(key: str, method: str, sha256: str, header: str, now: float) -> bool:
    moment, _, mac = header.partition(":")
    if not moment.isdecimal() or abs(now - int(moment)) > _MOST_APART_S:
        return False
    return hmac.compare_digest(mac.encode(), _mac(key, method, sha256, moment).encode())


def _mac(key: str, method: str, sha256: str, moment: str) -> str:
    return hmac.new(key.encode(), f"{method} {sha256} {moment}".encode(), hashlib.sha256).hexdigest()
