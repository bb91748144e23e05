"""What is refused before anything is sent, and how Consul's refusals are told apart."""

from dataclasses import dataclass, field

import pytest

from nomadflows.model.errors import Conflict, InputError
from nomadflows.store.consul_client import Entry, OpError, RolledBack
from nomadflows.store.documents import UNREADABLE
from nomadflows.store.transaction import Check, Delete, DeleteTree, Exists, Held, LostLeadership, Set, commit


@dataclass
class FakeConsul:
    fails: tuple[OpError, ...] = ()
    sent: list = field(default_factory=list)

    def transact(self, operations):
        self.sent.extend(operation["KV"] for operation in operations)
        if self.fails:
            raise RolledBack(self.fails)
        return [
            Entry(operation["KV"]["Key"], b"", 42) for operation in operations if operation["KV"]["Verb"] != "delete"
        ]


class Fence:
    def held(self):
        return Held("leader", "session-1")


class NoFence:
    def held(self):
        raise LostLeadership("not leading")


def test_each_change_is_the_verb_it_says():
    consul = FakeConsul()
    changes = [
        Set("a", {}, None),
        Set("b", {}, 0),
        Delete("c"),
        Delete("d", 4),
        DeleteTree("e/"),
        Check("f", 5),
        Check("g", 0),
        Exists("h"),
    ]

    indexes = commit(consul, changes, Fence())

    assert [op["Verb"] for op in consul.sent] == [
        "check-session", "set", "cas", "delete", "delete-cas", "delete-tree", "check-index", "check-not-exists", "get",
    ]  # fmt: skip
    assert [op.get("Index") for op in consul.sent] == [None, None, 0, None, 4, None, 5, None, None]
    assert indexes == {"a": 42, "b": 42}


def test_a_value_above_the_limit_is_refused_with_both_sizes():
    consul = FakeConsul()

    with pytest.raises(
        InputError, match=r"flows/big: 600,016 bytes; Consul takes at most 524,288 bytes \(512 KB\) a value"
    ):
        commit(consul, [Set("flows/big", {"text": "x" * 600_000}, 0)])
    assert consul.sent == []


def test_a_transaction_above_the_limit_is_refused_and_names_its_largest_value():
    consul = FakeConsul()

    with pytest.raises(InputError, match=r"flows/big: .* bytes; .*524,288 bytes \(512 KB\) a transaction"):
        commit(consul, [Set("flows/small", {}, 0), Set("flows/big", {"text": "x" * 450_000}, 0)])
    assert consul.sent == []


def test_more_than_64_operations_are_refused_the_fence_included():
    commit(FakeConsul(), [Delete(str(n)) for n in range(64)])
    with pytest.raises(InputError, match="65 changes at once; Consul takes at most 64"):
        commit(FakeConsul(), [Delete(str(n)) for n in range(64)], Fence())


def test_a_failed_check_names_its_key():
    consul = FakeConsul((OpError(1, "index is stale"),))

    with pytest.raises(Conflict, match="somebody else changed b at the same time") as caught:
        commit(consul, [Set("a", {}, 1), Set("b", {}, 2)])
    assert not isinstance(caught.value, LostLeadership)


def test_a_failed_fence_is_lost_leadership_whatever_else_failed():
    consul = FakeConsul((OpError(0, "not locked"), OpError(1, "index is stale")))

    with pytest.raises(LostLeadership):
        commit(consul, [Set("a", {}, 1)], Fence())


def test_who_knows_of_having_lost_the_lock_asks_nobody():
    consul = FakeConsul()

    with pytest.raises(LostLeadership):
        commit(consul, [Set("a", {}, 1)], NoFence())
    assert consul.sent == []


def test_a_document_that_could_not_be_read_is_not_overwritten():
    with pytest.raises(Conflict, match="could not be read"):
        commit(FakeConsul(), [Set("a", {}, UNREADABLE)])
