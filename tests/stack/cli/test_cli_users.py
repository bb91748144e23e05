"""Users and their API keys: made, listed, revoked; a key is shown once and nowhere kept."""

from __future__ import annotations

from nomadflows.model.roles import Role
from nomadflows.settings import Settings
from nomadflows.store import Store, users
from tests.stack.cli.conftest import Cli


def test_from_a_user_to_a_key_and_back(cli: Cli, store: Store, settings: Settings) -> None:
    said = cli.ok("user", "add", "anna@example.com", "--role", "owner").out
    assert "nomadflows user key create anna@example.com" in said
    users.set_role(store, "build+1@example.com", "elsewhere", Role.GUEST)
    made = cli.ok("user", "key", "create", "anna@example.com", "--note", "laptop", "-o", "json").json
    found = users.find(store, "anna@example.com")
    assert found is not None
    assert found.value.holds(made["key"])

    entry = store.client.get(store.keys.user("anna@example.com"))
    assert entry is not None
    assert made["key"].encode() not in entry.value
    listed = cli.ok("user", "key", "list", "anna@example.com")
    assert "laptop" in listed.out
    assert made["key"] not in listed.out
    rows = cli.ok("user", "list", "-o", "json").json
    assert rows == [{"user": "anna@example.com", "workspace": settings.workspace, "role": "owner", "keys": 1}]
    assert len(cli.ok("user", "list", "--all", "-o", "json").json) == 2

    cli.ok("user", "key", "revoke", "anna@example.com", made["id"])
    found = users.find(store, "anna@example.com")
    assert found is not None
    assert not found.value.holds(made["key"])
    cli.ok("user", "remove", "anna@example.com", "--everywhere")
    assert users.find(store, "anna@example.com") is None


def test_what_is_refused(cli: Cli) -> None:
    cli.ok("user", "add", "anna", "--role", "owner")
    assert "the only owner" in cli("user", "remove", "anna").err
    assert "the only owner" in cli("user", "add", "anna", "--role", "guest").err
    cli.ok("user", "add", "berta", "--role", "owner")
    cli.ok("user", "remove", "anna")
    assert "no member" in cli("user", "remove", "anna").err
    assert "no user" in cli("user", "key", "create", "carla").err
    assert "has no key" in cli("user", "key", "revoke", "berta", "0").err
    assert cli("user", "add", "Not A Name", "--role", "guest").code == 2
    assert cli("user", "add", "default.orders.v1", "--role", "guest").code == 2
