"""Users, their keys, and the last owner of a workspace."""

from __future__ import annotations

import json

import pytest

from nomadflows.model.errors import InputError, NotFound, Refused
from nomadflows.model.roles import Role
from nomadflows.model.users import MOST_KEYS, ApiKey, User, check_name, digest, may_change_role, new_key


def test_a_key_is_known_by_its_hash_alone() -> None:
    key_id, key = new_key()
    user = User("anna").with_key(key_id, ApiKey(digest(key), note="laptop"))
    assert user.holds(key)
    assert key not in json.dumps(user.to_json())
    assert key.rpartition("_")[2] not in json.dumps(user.to_json())
    assert User.from_json(user.to_json()) == user
    assert digest(key) not in repr(user)


@pytest.mark.parametrize("shown", ["", "nf_", "nf_00000000_" + "a" * 43, "\udcff", "nf_é"])
def test_other_keys_do_not_fit(shown: str) -> None:
    key_id, key = new_key()
    user = User("anna").with_key(key_id, ApiKey(digest(key)))
    assert not user.holds(shown)
    assert not user.holds(key[:-1] + ("a" if key[-1] != "a" else "b"))
    assert not User("berta").holds(key)


def test_a_revoked_key_is_gone() -> None:
    key_id, key = new_key()
    user = User("anna").with_key(key_id, ApiKey(digest(key)))
    assert not user.without_key(key_id).holds(key)
    with pytest.raises(NotFound):
        user.without_key("00000000")


def test_so_many_keys_and_no_more() -> None:
    user = User("anna")
    for number in range(MOST_KEYS):
        user = user.with_key(str(number), ApiKey("0"))
    with pytest.raises(Refused, match="20 keys"):
        user.with_key("more", ApiKey("0"))


@pytest.mark.parametrize("name", ["anna", "anna@example.com", "a.b+c@example.co.uk", "ci-1", "a"])
def test_names(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize("name", ["", "Anna", "a:b", "a/b", "-a", "a b", "é", "x" * 129, "default.orders.v1", "a\n"])
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(InputError):
        check_name(name)


def test_a_workspace_keeps_an_owner() -> None:
    anna, berta = User("anna", roles={"w": Role.OWNER}), User("berta", roles={"w": Role.GUEST})
    assert isinstance(may_change_role([anna, berta], "anna", "w", None), Refused)
    assert isinstance(may_change_role([anna, berta], "anna", "w", Role.GUEST), Refused)
    assert may_change_role([anna, berta], "anna", "w", Role.OWNER) is None
    assert may_change_role([anna, berta], "berta", "w", None) is None
    assert may_change_role([anna, berta.with_role("w", Role.OWNER)], "anna", "w", None) is None
