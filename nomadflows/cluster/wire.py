"""Requests to Nomad: one pool of kept-alive connections, time-outs, and the library's errors made ours.

python-nomad does the addressing, tokens and TLS. What it lacks is added here: it leaves TLS verification off
unless told otherwise, opens a new pool for each endpoint, and its errors lose what went wrong. Its endpoint
objects take any path and parameter, so calls it has no method for go through them as well.
"""

from __future__ import annotations

from typing import Any, Final

import nomad
import requests
from nomad.api.exceptions import BaseNomadException

from nomadflows.model.errors import Conflict, NomadflowsError, NotFound, ServerRefused, ServerUnreachable

SERVER: Final = "Nomad"
_HINT: Final = "is it running? `nomadflows doctor` checks every server; NOMAD_ADDR says where it is looked for"
_TOKEN_HINT: Final = "the token in NOMAD_TOKEN does not allow this"  # noqa: S105 - no password
_POOL: Final = 16
_ENFORCED: Final = "Enforcing job modify index"  # how Nomad begins its refusal of a stale index


class Wire:
    """Sends requests. Thread-safe; calls take connections from one pool."""

    def __init__(self, addr: str, token: str, cacert: str, timeout: float) -> None:
        self.addr = addr
        self.timeout = timeout
        session = requests.Session()
        session.trust_env = False  # address, token and certificate come from settings; .netrc and proxies do not
        for scheme in ("http://", "https://"):
            session.mount(scheme, requests.adapters.HTTPAdapter(pool_connections=1, pool_maxsize=_POOL))
        self.api: Any = nomad.Nomad(address=addr, token=token or None, verify=cacert or True, session=session)

    def send(
        self,
        endpoint: Any,
        *path: str,
        method: str = "get",
        timeout: float | tuple[float, float] | None = None,
        stream: bool = False,
        json: Any = None,
        **params: Any,
    ) -> requests.Response:
        """One request through one of the library's endpoint objects. A stream is asked for uncompressed."""
        known = {name: _text(value) for name, value in params.items() if value is not None}
        try:
            response: requests.Response = endpoint.request(
                *path,
                method=method,
                params=known,
                json=json,
                timeout=timeout or self.timeout,
                stream=stream,
                headers={"Accept-Encoding": "identity"} if stream else None,
            )
        except (BaseNomadException, requests.RequestException) as error:
            raise self.translated(error) from error
        return response

    def get(self, endpoint: Any, *path: str, method: str = "get", json: Any = None, **params: Any) -> Any:
        """The JSON answer of a request."""
        response = self.send(endpoint, *path, method=method, json=json, **params)
        try:
            return response.json()
        except requests.RequestException as error:
            raise ServerRefused(SERVER, self.addr, "the answer is not JSON: is this Nomad?") from error

    def translated(self, error: Exception) -> NomadflowsError:
        """Nomad's refusal or silence as one of our errors. Refusals are short sentences and hold no secret."""
        response = getattr(error, "nomad_resp", None)
        if not isinstance(response, requests.Response):
            return ServerUnreachable(
                SERVER, self.addr, _cause(response if isinstance(response, Exception) else error), hint=_HINT
            )
        said = response.text.strip() or response.reason
        status = response.status_code
        if _ENFORCED in said:
            return Conflict(f"the job was changed meanwhile: {said}")
        if "No cluster leader" in said or "No path to region" in said:
            return ServerUnreachable(
                SERVER, self.addr, said, hint="the servers are electing a leader; try again shortly"
            )
        if status == requests.codes.not_found:
            return NotFound(f"{SERVER}: {said}")
        hint = _TOKEN_HINT if status == requests.codes.forbidden else ""
        return ServerRefused(SERVER, self.addr, said, status=status, hint=hint)


def _text(value: Any) -> Any:
    """Nomad's parameters spell switches in lower case; a list repeats its parameter."""
    return str(value).lower() if isinstance(value, bool) else value


def _cause(error: BaseException) -> str:
    """The innermost reason in a line: the libraries wrap it several times, with addresses of objects."""
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    seen = error
    while (inner := seen.__cause__ or seen.__context__) is not None:
        seen = inner
    return getattr(seen, "strerror", None) or str(seen) or type(seen).__name__
