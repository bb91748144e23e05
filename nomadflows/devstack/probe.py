"""Ask a local server one question over HTTP, with a short time-out; "no answer" is a value, not an error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import requests


@dataclass(frozen=True, slots=True)
class Answer:
    """`status` 0: nobody answered, and `text` says why."""

    status: int
    text: str = ""
    json: Any = None

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300  # noqa: PLR2004 - HTTP's success range


def ask(
    method: str,
    url: str,
    *,
    headers: dict[str, str] | None = None,
    auth: tuple[str, str] | None = None,
    body: Any = None,
    timeout: float = 2.0,
    verify: bool | str = True,
) -> Answer:
    """Proxies of the environment are left out: these are addresses of this machine or its network."""
    with requests.Session() as session:
        session.trust_env = False
        try:
            response = session.request(
                method, url, headers=headers, auth=auth, json=body, timeout=timeout, verify=verify
            )
        except requests.RequestException as error:
            return Answer(0, _reason(error))
    try:
        parsed = response.json() if response.content else None
    except ValueError:
        parsed = None
    return Answer(response.status_code, response.text[:500], parsed)


def _reason(error: requests.RequestException) -> str:
    if isinstance(error, requests.exceptions.SSLError):
        return "TLS: the certificate is not accepted"
    if isinstance(error, requests.ConnectTimeout):
        return "no connection in time"
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, requests.ConnectionError):
        return "connection refused" if "refused" in str(error).lower() else "no connection"
    return type(error).__name__
