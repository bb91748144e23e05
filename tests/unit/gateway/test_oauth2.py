"""A token request, and what its server may do instead of answering it."""

from __future__ import annotations

import base64
import time
import traceback
from collections.abc import Iterator
from typing import Any

import pytest

from nomadflows.gateway.oauth2 import TokenRequest, renewed
from nomadflows.model.errors import InputError
from tests.unit.gateway.tokenserver import TokenServer, token_server


@pytest.fixture
def server() -> Iterator[TokenServer]:
    with token_server() as found:
        yield found


def credential(server: TokenServer, **more: Any) -> dict[str, Any]:
    return {
        "type": "oauth2",
        "token_uri": server.uri,
        "client_id": "app",
        "client_secret": "swordfish",
        "refresh_token": "refresh-0",
        "access_token": "old",
        **more,
    }


def ask(server: TokenServer, **more: Any) -> dict[str, Any]:
    return renewed("crm", TokenRequest.of("crm", credential(server, **more)), limit_s=0.5)


def test_client_and_refresh_token_are_in_the_form(server: TokenServer) -> None:
    assert ask(server) == {"access_token": "access-1", "refresh_token": "refresh-1", "expires_in": 3600}
    assert server.asked == [
        {
            "grant_type": "refresh_token",
            "refresh_token": "refresh-0",
            "client_id": "app",
            "client_secret": "swordfish",
        }
    ]
    assert server.authorizations == [""]


def test_or_the_client_is_in_the_header(server: TokenServer) -> None:
    ask(server, client_auth="basic", client_secret="a:b c")
    assert server.asked == [{"grant_type": "refresh_token", "refresh_token": "refresh-0"}]
    assert base64.b64decode(server.authorizations[0].removeprefix("Basic ")) == b"app:a%3Ab+c"


def test_a_server_of_its_own_for_renewals_goes_first(server: TokenServer) -> None:
    assert ask(server, token_uri="http://127.0.0.1:9/", refresh_token_uri=server.uri)["access_token"] == "access-1"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((400, b'{"error": "invalid_grant", "error_description": "swordfish"}'), "400 invalid_grant"),
        ((400, b'{"error": "my secret is swordfish!"}'), "400 and no token"),
        ((302, b""), "302 and no token"),
        ((200, b"<html>swordfish</html>"), "200 and no token"),
        ((200, b'{"access_token": ""}'), "200 and no token"),
        ((200, b"[" * 60_000), "200 and no token"),
        ((200, b" " * 70_000), "cannot be reached"),
    ],
)
def test_any_other_answer_is_an_error_that_quotes_nothing(
    server: TokenServer, answer: tuple[int, bytes], said: str
) -> None:
    server.answer = answer
    with pytest.raises(InputError, match=f"credential crm: its token server 127.0.0.1 .*{said}$") as caught:
        ask(server)
    shown = "".join(traceback.format_exception(caught.value))
    assert "swordfish" not in shown
    assert "refresh-0" not in shown
    assert len(server.asked) == 1, "it follows no redirect and tries nothing twice"


def test_a_server_that_goes_on_sending_has_no_more_time_than_one_that_is_silent(server: TokenServer) -> None:
    server.trickles = True
    began = time.monotonic()
    with pytest.raises(InputError, match="gave no answer in time"):
        ask(server)
    assert time.monotonic() - began < 5


def test_nobody_listens() -> None:
    with token_server() as gone:
        pass
    with pytest.raises(InputError, match=r"its token server 127\.0\.0\.1 cannot be reached"):
        ask(gone)


@pytest.mark.parametrize(
    ("without", "more", "said"),
    [
        ("refresh_token", {}, "it has no refresh_token"),
        ("token_uri", {}, "it has no token_uri"),
        ("", {"token_uri": "file:///etc/passwd"}, "no address"),
        ("", {"token_uri": "https://user:swordfish@crm.example/token"}, "no address"),
        ("", {"token_uri": "https://crm.example/to\r\nken"}, "no address"),
        ("", {"token_uri": "https://crm.example:99999/"}, "no address"),
        ("", {"token_uri": "https:///token"}, "no address"),
        ("", {"token_uri": "https://[crm/token"}, "no address"),
        ("", {"client_id": {"a": "b"}}, "it has no client_id"),
    ],
)
def test_what_a_credential_lacks(server: TokenServer, without: str, more: dict[str, Any], said: str) -> None:
    given = credential(server, **more)
    given.pop(without, None)
    with pytest.raises(InputError, match=said) as caught:
        TokenRequest.of("crm", given)
    assert "swordfish" not in str(caught.value)


def test_a_request_does_not_show_its_secrets(server: TokenServer) -> None:
    shown = repr(TokenRequest.of("crm", credential(server, client_auth="basic")))
    assert "refresh-0" not in shown
    assert "Basic" not in shown
