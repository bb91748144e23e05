from __future__ import annotations

import base64
import re

import pytest

from nomadflows.broker import accounts
from nomadflows.broker.address import Address
from nomadflows.model.errors import InputError
from nomadflows.model.names import VersionRef

VERSION = VersionRef("default", "orders", 1)


def test_the_hash_is_the_one_of_rabbitmqs_documentation() -> None:
    salt = bytes.fromhex("908DC60A")
    assert accounts.password_hash("test12", salt) == "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR"


def test_a_hash_is_recognised_and_differs_each_time() -> None:
    one, two = accounts.password_hash("secret"), accounts.password_hash("secret")
    assert one != two
    assert accounts.is_hash_of("secret", one)
    assert not accounts.is_hash_of("Secret", one)


@pytest.mark.parametrize("text", ["", "no base64!", base64.b64encode(b"x").decode()])
def test_what_is_no_hash_matches_nothing(text: str) -> None:
    assert not accounts.is_hash_of("secret", text)


def test_an_account_reads_its_own_steps_queues_only() -> None:
    pattern = re.compile(accounts.read_pattern(VERSION, ["a", "mapper:a:b-1"]))
    for name in ("orders.v1.a", "orders.v1.mapper:a:b-1"):
        assert pattern.search(name)
    for name in (
        "orders.v1.c",
        "orders.v1.a.x",
        "orders.v11.a",
        "ordersxv1.a",
        "orders.v1.rebounds.waiting",
        "orders.errors",
        "xorders.v1.a",
    ):
        assert not pattern.search(name)


def test_an_account_writes_its_own_exchange_only() -> None:
    pattern = re.compile(accounts.write_pattern(VERSION))
    assert pattern.search("orders.v1")
    for name in ("orders.v11", "ordersxv1", "nomadflows.rebound", "", "amq.default"):
        assert not pattern.search(name)


def test_an_address_shows_no_password() -> None:
    address = Address.parse("amqps://admin:p%40ss@broker.example/ignored")
    assert (address.host, address.port, address.user, address.password) == ("broker.example", 5671, "admin", "p@ss")
    assert "p@ss" not in f"{address} {address!r}"
    assert str(address) == "amqps://broker.example:5671"


@pytest.mark.parametrize("uri", ["http://user:hidden@host", "amqp://user:hidden@host:port", "user:hidden@host", ""])
def test_a_wrong_address_is_refused_without_being_quoted(uri: str) -> None:
    with pytest.raises(InputError) as caught:
        Address.parse(uri)
    assert "hidden" not in str(caught.value)
    assert caught.value.__suppress_context__
