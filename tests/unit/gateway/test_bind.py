"""The address to listen on, as a setting says it."""

from __future__ import annotations

import pytest

from nomadflows.gateway.bind import host_and_port
from nomadflows.model.errors import InputError


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8647", ("127.0.0.1", 8647)),
        ("flows.example.org:80", ("flows.example.org", 80)),
        ("[::1]:8646", ("::1", 8646)),
        ("[::]:65535", ("::", 65535)),
    ],
)
def test_an_address_is_host_and_port(text: str, address: tuple[str, int]) -> None:
    assert host_and_port("gateway_bind", text) == address


@pytest.mark.parametrize(
    "text", ["", "8647", ":8647", "[]:8647", "127.0.0.1", "127.0.0.1:", "127.0.0.1:http", "::1:99999"]
)
def test_another_text_is_refused_with_the_name_of_its_setting(text: str) -> None:
    with pytest.raises(InputError, match="component_api_bind: expected host:port"):
        host_and_port("component_api_bind", text)
