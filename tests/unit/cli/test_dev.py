"""Servers that run already, as `dev up --use-running` is told of them."""

from __future__ import annotations

import pytest

from nomadflows.cli.dev import _running
from nomadflows.model.errors import InputError

API = "rabbitmq-api=http://10.0.0.3:15672"


def test_a_broker_is_named_with_both_its_addresses() -> None:
    found = _running([API, "rabbitmq=amqps://me:secret@10.0.0.3"])
    assert (found.rabbitmq, found.rabbitmq_api) == ("amqps://me:secret@10.0.0.3", "http://10.0.0.3:15672")


@pytest.mark.parametrize(
    "given",
    [
        ["consul"],
        ["consul=127.0.0.1:8500"],
        ["redis=http://127.0.0.1:6379"],
        ["rabbitmq=amqp://10.0.0.3"],
        [API, "rabbitmq=http://10.0.0.3"],
        [API, "rabbitmq=amqp://10.0.0.3:port"],
    ],
)
def test_what_is_no_address_is_refused_before_anything_starts(given: list[str]) -> None:
    with pytest.raises(InputError):
        _running(given)
