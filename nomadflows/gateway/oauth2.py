"""A refresh token becomes a new access token: the one request of OAuth 2 that is the platform's (RFC 6749, section 6).

What is asked is taken from a credential, what comes back are the members to change in it. Whoever wrote the credential
chose the server, so it is held to a time and a size as a whole, and no error quotes more of it than its error code.
"""

from __future__ import annotations

import base64
import http.client
import json
import re
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import SplitResult, quote_plus, urlencode, urlsplit
from urllib.request import getproxies, proxy_bypass

from nomadflows.model.errors import InputError

Json = dict[str, Any]

TYPE: Final = "oauth2"  # member `type` of credentials that are renewed so
LIMIT_S: Final = 10.0  # for all of it, whatever the server does
_LARGEST: Final = 65_536
_OK: Final = 200
_TAKEN: Final = ("access_token", "refresh_token", "expires_in", "token_type", "scope")
_CODE: Final = re.compile(r"[a-z_]{1,40}")  # of an error: `invalid_grant`


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """Where and with what a credential is renewed."""

    server: SplitResult
    form: Mapping[str, str] = field(repr=False)
    authorization: str = field(default="", repr=False)

    @classmethod
    def of(cls, name: str, credential: Json) -> TokenRequest:
        """InputError if the credential lacks what it takes."""
        given = {member: value for member, value in credential.items() if isinstance(value, str) and value}
        uri = given.get("refresh_token_uri") or given.get("token_uri", "")
        missing = [member for member in ("client_id", "refresh_token") if member not in given]
        missing += [] if uri else ["token_uri"]
        if missing:
            raise InputError(f"credential {name} cannot be renewed: it has no {', '.join(missing)}")
        server = _server(name, uri)
        form = {"grant_type": "refresh_token", "refresh_token": given["refresh_token"]}
        client = {member: given[member] for member in ("client_id", "client_secret") if member in given}
        if given.get("client_auth") != "basic":
            return cls(server, form | client)
        user = f"{quote_plus(client['client_id'])}:{quote_plus(client.get('client_secret', ''))}"
        return cls(server, form, "Basic " + base64.b64encode(user.encode()).decode())


def renewed(name: str, request: TokenRequest, limit_s: float = LIMIT_S) -> Json:
    """The members of the credential that have new values. InputError says what the token server did instead."""
    try:
        status, content = _post(request, limit_s)
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = "gave no answer in time" if isinstance(error, TimeoutError) else "cannot be reached"
        raise InputError(f"credential {name}: its token server {request.server.hostname} {reason}") from None
    try:
        answer: Any = json.loads(content)
    except (ValueError, RecursionError):
        answer = None
    found = answer if isinstance(answer, dict) else {}
    if status != _OK or not isinstance(found.get("access_token"), str) or not found["access_token"]:
        code = str(found.get("error", ""))
        said = f"{status} {code}" if _CODE.fullmatch(code) else f"{status} and no token"
        raise InputError(f"credential {name}: its token server {request.server.hostname} answered {said}")
    return {member: found[member] for member in _TAKEN if isinstance(found.get(member), str | int) and found[member]}


def _server(name: str, uri: str) -> SplitResult:
    try:
        server = urlsplit(uri)
        fits = server.scheme in {"http", "https"} and bool(server.hostname) and server.port != 0
    except ValueError:
        fits = False
    if not fits or "@" in server.netloc or not uri.isascii() or not uri.isprintable() or " " in uri:
        raise InputError(f"credential {name}: token_uri is no address of the form https://server/path")
    return server


def _post(request: TokenRequest, limit_s: float) -> tuple[int, bytes]:
    """Status and body. TimeoutError when the time for all of it is over, not only for its next byte."""
    target = (request.server.path or "/") + (f"?{request.server.query}" if request.server.query else "")
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
    if request.authorization:
        headers["Authorization"] = request.authorization
    with closing(_connection(request.server, limit_s)) as connection:
        connection.connect()
        with _for_at_most(limit_s, connection.sock):
            connection.request("POST", target, urlencode(request.form), headers)
            with connection.getresponse() as answer:
                content = answer.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        raise ValueError("longer than any token")
    return answer.status, content


@contextmanager
def _for_at_most(seconds: float, connected: socket.socket) -> Iterator[None]:
    """Whoever reads from the socket then reads its end, and TimeoutError is what comes of it."""
    over = threading.Event()

    def end() -> None:
        over.set()
        with suppress(OSError):  # the other side was quicker
            socket.socket.shutdown(connected, socket.SHUT_RDWR)  # TLS's own would wait for the other side

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    except (OSError, http.client.HTTPException) as error:
        raise (TimeoutError() if over.is_set() else error) from None
    finally:
        timer.cancel()
    if over.is_set():
        raise TimeoutError


def _connection(server: SplitResult, limit_s: float) -> http.client.HTTPConnection:
    """Through the proxy of this process's environment where that names one for https."""
    host = server.hostname or ""
    if server.scheme == "http":
        return http.client.HTTPConnection(host, server.port, timeout=limit_s)
    proxy = urlsplit(getproxies().get("https", ""))
    if not proxy.hostname or proxy_bypass(host):
        return http.client.HTTPSConnection(host, server.port, timeout=limit_s)
    through = http.client.HTTPSConnection(proxy.hostname, proxy.port, timeout=limit_s)
    through.set_tunnel(host, server.port)
    return through
