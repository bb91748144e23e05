"""Users of the REST API in Consul: one document each, `users/<name>`, with roles and the hashes of keys."""

from __future__ import annotations

from typing import Final

from nomadflows.model.errors import Conflict, InputError, NotFound
from nomadflows.model.names import WORKSPACE, WORKSPACE_RULE
from nomadflows.model.roles import Role
from nomadflows.model.states import timestamp, utc_now
from nomadflows.model.users import NAME, ApiKey, User, check_name, digest, may_change_role, new_key
from nomadflows.store.consul_client import Entry
from nomadflows.store.documents import Unreadable, Versioned, decode
from nomadflows.store.request import insist
from nomadflows.store.store import Store
from nomadflows.store.transaction import Delete, Set

LONGEST_NOTE: Final = 200


def find(store: Store, name: str) -> Versioned[User] | None:
    """None if there is no such user, nor can be."""
    entry = store.client.get(store.keys.user(name)) if NAME.fullmatch(name) else None
    return Versioned(_read(entry), entry.index) if entry else None


def everybody(store: Store) -> list[User]:
    """Sorted by name."""
    return [_read(entry) for entry in store.client.below(store.keys.users)]


def members(store: Store, workspace: str) -> list[User]:
    return [user for user in everybody(store) if workspace in user.roles]


def set_role(store: Store, name: str, workspace: str, role: Role) -> User:
    """Make somebody a member of a workspace, or give a member another role. Unknown people become users."""
    check_name(name)
    if not WORKSPACE.fullmatch(workspace):
        raise InputError(f"not a workspace name: {workspace!r}", hint=WORKSPACE_RULE)
    found = find(store, name)
    known = found or Versioned(User(name, created=timestamp(utc_now())))
    if known.value.roles.get(workspace) is Role.OWNER:
        insist(may_change_role(everybody(store), name, workspace, role))
    return _write(store, known, known.value.with_role(workspace, role))


def remove_role(store: Store, name: str, workspace: str) -> User:
    """A member of that workspace no more; other workspaces and keys stay."""
    known = existing_member(store, name, workspace)
    insist(may_change_role(everybody(store), name, workspace, None))
    return _write(store, known, known.value.with_role(workspace, None))


def forget_role(store: Store, name: str, workspace: str) -> None:
    """Of a workspace that is deleted: it needs no owner any more."""
    known = existing_member(store, name, workspace)
    _write(store, known, known.value.with_role(workspace, None))


def delete(store: Store, name: str) -> None:
    """Forget a user with all roles and keys. The keys end at once."""
    known = existing(store, name)
    store.transact([Delete(store.keys.user(name), known.index)])


def create_key(store: Store, name: str, *, by: str, note: str = "") -> tuple[str, str]:
    """A key's id and the key itself, which nobody can read again."""
    if len(note) > LONGEST_NOTE:
        raise InputError(f"a note of {len(note)} characters; allowed: {LONGEST_NOTE}")
    known = existing(store, name)
    key_id, key = new_key()
    kept = ApiKey(digest(key), at=timestamp(utc_now()), by=by, note=note)
    _write(store, known, known.value.with_key(key_id, kept))
    return key_id, key


def revoke_key(store: Store, name: str, key_id: str) -> None:
    known = existing(store, name)
    _write(store, known, known.value.without_key(key_id))


def existing(store: Store, name: str) -> Versioned[User]:
    found = find(store, name)
    if found is None:
        raise NotFound(f"there is no user {name}", hint=f"`nomadflows user add {name} --role guest` makes one")
    return found


def existing_member(store: Store, name: str, workspace: str) -> Versioned[User]:
    known = existing(store, name)
    if workspace not in known.value.roles:
        raise NotFound(f"{name} is no member of workspace {workspace}", hint=f"nomadflows user list -w {workspace}")
    return known


def _write(store: Store, known: Versioned[User], user: User) -> User:
    try:
        store.transact([Set(store.keys.user(user.name), user.to_json(), known.index)])
    except Conflict as conflict:
        raise Conflict(
            f"user {user.name} was changed at the same time; nothing was done", hint="repeat it"
        ) from conflict
    return user


def _read(entry: Entry) -> User:
    try:
        return User.from_json(decode(entry))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Unreadable(entry.key, error) from error
