"""Users of the REST API: their roles in workspaces, and their API keys, of which only hashes are kept. Asks no server.

A key is `nf_<id>_<secret>`. The id finds the hash and names the key where it is listed and revoked; the secret is 256
random bits. Nobody can try out 2^256 values, so one round of SHA-256 hides them as well as a slow hash would, which
is made for passwords that people choose; a slow one would be a burden at every request.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from nomadflows.model.errors import InputError, NotFound, Refused
from nomadflows.model.names import parse_api_user
from nomadflows.model.roles import Role

Json = dict[str, Any]

NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9._@+-]{0,126}[a-z0-9])?")
NAME_RULE: Final = "lower-case letters, digits and . _ @ + -, 128 at most, such as anna@example.com"
MOST_KEYS: Final = 20
_KEY: Final = re.compile(r"nf_(?P<id>[0-9a-f]{8})_[A-Za-z0-9_-]{43}")
_SECRET_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is kept of a key."""

    sha256: str = field(repr=False)
    at: str = ""
    by: str = ""
    note: str = ""

    def to_json(self) -> Json:
        return {"sha256": self.sha256, "at": self.at, "by": self.by, "note": self.note}


@dataclass(frozen=True, slots=True)
class User:
    """One document in Consul. `roles`: workspace → role; `keys`: id → key."""

    name: str
    created: str = ""
    roles: Mapping[str, Role] = field(default_factory=dict)
    keys: Mapping[str, ApiKey] = field(default_factory=dict)

    def to_json(self) -> Json:
        return {
            "name": self.name,
            "created": self.created,
            "roles": {workspace: role.value for workspace, role in sorted(self.roles.items())},
            "keys": {name: key.to_json() for name, key in self.keys.items()},
        }

    @classmethod
    def from_json(cls, data: Json) -> User:
        return cls(
            name=data["name"],
            created=data.get("created", ""),
            roles={workspace: Role(role) for workspace, role in data.get("roles", {}).items()},
            keys={
                name: ApiKey(key["sha256"], key.get("at", ""), key.get("by", ""), key.get("note", ""))
                for name, key in data.get("keys", {}).items()
            },
        )

    def with_role(self, workspace: str, role: Role | None) -> User:
        """None: a member of that workspace no more."""
        others = {name: known for name, known in self.roles.items() if name != workspace}
        return replace(self, roles=others | ({workspace: role} if role else {}))

    def with_key(self, key_id: str, key: ApiKey) -> User:
        if len(self.keys) >= MOST_KEYS:
            raise Refused(
                f"{self.name} has {len(self.keys)} keys, the most there may be",
                hint=f"`nomadflows user key revoke {self.name} ID` ends one",
            )
        return replace(self, keys={**self.keys, key_id: key})

    def without_key(self, key_id: str) -> User:
        if key_id not in self.keys:
            raise NotFound(f"{self.name} has no key {key_id!r}", hint=f"nomadflows user key list {self.name}")
        return replace(self, keys={name: key for name, key in self.keys.items() if name != key_id})

    def holds(self, key: str) -> bool:
        """Whether that key is one of the user's; takes as long for a wrong one as for a right one."""
        found = _KEY.fullmatch(key)
        known = self.keys.get(found["id"]) if found else None
        same = hmac.compare_digest(digest(key), known.sha256 if known else "0" * 64)
        return same and known is not None


def check_name(name: str) -> None:
    """InputError if nobody can be called that. A step process has a name as well, which no user may take."""
    if not NAME.fullmatch(name) or parse_api_user(name) is not None:
        raise InputError(f"not a user's name: {name!r}", hint=NAME_RULE)


def new_key() -> tuple[str, str]:
    """A key's id and the key."""
    key_id = secrets.token_hex(4)
    return key_id, f"nf_{key_id}_{secrets.token_urlsafe(_SECRET_BYTES)}"


def digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def may_change_role(users: Iterable[User], name: str, workspace: str, role: Role | None) -> Refused | None:
    """A workspace that has an owner keeps one, so that its members can go on without an administrator."""
    owners = {user.name for user in users if user.roles.get(workspace) is Role.OWNER}
    if role is Role.OWNER or owners != {name}:
        return None
    return Refused(f"{name} is the only owner of workspace {workspace}", hint="make somebody else an owner first")
