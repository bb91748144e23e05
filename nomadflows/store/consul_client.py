"""Consul's HTTP API as this project needs it: time-outs, the token, threads, errors. The only user of py-consul.

What py-consul 1.8 leaves to its caller, and is therefore settled here and nowhere else:

* `txn.put` sends no token: here every request carries it.
* One time-out, 30 s by default, holds for every request of a client, and is added to the wait of a blocking
  query. Here a plain request has one deadline for connecting and answering; a blocking query gets its wait plus
  a fifteenth, at least a second (Consul itself may add a sixteenth of the wait).
* One `requests` session serves all threads, which its authors do not promise to be safe: here one a thread.
* `CONSUL_HTTP_TOKEN` silently beats the token it was given: settings have been looked up before, so not here.
* A refused transaction, a refusal and an outage are told apart by the text of one exception: here by type.

This module must not know what the keys mean.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn, TypeVar
from urllib.parse import urlsplit

import consul
import consul.base
import requests
from urllib3.util import Timeout

from nomadflows.model.errors import InputError, NotFound, ServerRefused, ServerUnreachable

Json = dict[str, Any]
T = TypeVar("T")

SERVER: Final = "Consul"
CONNECT_S: Final = 2.0  # a machine that does not answer a SYN by then is not there
SHORTEST_CYCLE_S: Final = 0.1  # a watch never asks more often, whatever Consul answers
_HINT: Final = (
    "`nomadflows dev up` starts a local one; CONSUL_HTTP_ADDR names another; `nomadflows doctor` looks closer"
)
_BODY_IN_MESSAGE: Final = 300
_ROLLED_BACK: Final = 409
_TOO_MANY_REQUESTS: Final = 429
_SERVER_ERROR: Final = 500
_NOT_FOUND: Final = 404
_CLIENT_ERROR: Final = 400
_FORBIDDEN: Final = 403
_DENIED: Final = frozenset({401, _FORBIDDEN})


@dataclass(frozen=True, slots=True)
class Entry:
    """One key as Consul holds it. `index` 0: there is no such key."""

    key: str
    value: bytes
    index: int
    session: str = ""


@dataclass(frozen=True, slots=True)
class OpError:
    """Why one operation made its transaction fail."""

    op: int
    what: str


class RolledBack(Exception):
    """Nothing of a transaction was done; Consul's reasons."""

    def __init__(self, errors: tuple[OpError, ...]) -> None:
        super().__init__("; ".join(error.what for error in errors))
        self.errors = errors


class _Http(consul.base.HTTPClient):  # type: ignore[misc]  # py-consul has no types
    """How py-consul's calls reach the wire."""

    def __init__(self, address: str, token: str, cacert: str, timeout: float) -> None:
        parts = urlsplit(address)
        super().__init__(parts.hostname, parts.port, parts.scheme, cacert or True)
        self.base_uri = address
        self._headers = {"X-Consul-Token": token} if token else {}
        self._timeout = timeout
        self._local = threading.local()

    def get(
        self, callback: Callable[[Any], T], path: str, params: Any = None, headers: Any = None, raw: bool = False
    ) -> T:
        return callback(self._send("GET", path, params))

    def put(
        self, callback: Callable[[Any], T], path: str, params: Any = None, data: Any = "", headers: Any = None
    ) -> T:
        return callback(self._send("PUT", path, params, data))

    def delete(
        self, callback: Callable[[Any], T], path: str, params: Any = None, data: Any = "", headers: Any = None
    ) -> T:
        return callback(self._send("DELETE", path, params, data))

    def post(
        self, callback: Callable[[Any], T], path: str, params: Any = None, data: Any = "", headers: Any = None
    ) -> T:
        return callback(self._send("POST", path, params, data))

    def close(self) -> None:
        """Close the connection of the calling thread; those of ended threads have gone with them."""
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is not None:
            session.close()

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = requests.Session()
            session.trust_env = False  # no proxy and no .netrc on the way to the state of the cluster
            session.headers.update(self._headers)
            session.headers["Accept-Encoding"] = "identity"  # packing and unpacking costs more than a near network
            session.verify = self.verify
        return session

    def _send(self, method: str, path: str, params: Any, data: Any = None) -> Any:
        body = data.encode() if isinstance(data, str) else data
        deadline: Any = self._deadline(params)  # requests takes urllib3's Timeout, though its types do not say so
        try:
            answer = self._session().request(method, self.uri(path, params), data=body, timeout=deadline)
        except requests.RequestException as error:
            raise ServerUnreachable(SERVER, self.base_uri, _cause(error), hint=_HINT) from error
        self._check(answer)
        return consul.base.Response(answer.status_code, answer.headers, answer.content.decode("utf-8", "replace"))

    def _deadline(self, params: Any) -> Timeout:
        given = dict(params or ())
        answer_s = self._timeout
        if "index" in given:
            wait_s = float(str(given["wait"]).removesuffix("ms")) / 1000
            answer_s = wait_s + max(wait_s / 15, 1.0)
        return Timeout(connect=min(CONNECT_S, self._timeout), read=answer_s, total=max(answer_s, self._timeout))

    def _check(self, answer: requests.Response) -> None:
        status = answer.status_code
        if status < _CLIENT_ERROR or status == _NOT_FOUND:
            return
        if status == _ROLLED_BACK:
            raise RolledBack(_op_errors(answer.content))
        text = f"{status} {answer.text.strip()[:_BODY_IN_MESSAGE]}"
        if (
            status >= _SERVER_ERROR or status == _TOO_MANY_REQUESTS
        ):  # no leader, restarting, overloaded: it may answer later
            raise ServerUnreachable(SERVER, self.base_uri, text, hint=_HINT)
        self.refuse(text, status)

    def refuse(self, text: str, status: int) -> NoReturn:
        hint = "set CONSUL_HTTP_TOKEN to a token that may do this" if status in _DENIED else ""
        raise ServerRefused(SERVER, self.base_uri, text, status=status, hint=hint)


class _Library(consul.Consul):  # type: ignore[misc]  # py-consul has no types
    def __init__(self, http: _Http) -> None:
        self._given = http
        super().__init__(host=http.host, port=http.port, scheme=http.scheme)

    def http_connect(self, *_: object, **__: object) -> _Http:
        return self._given


class ConsulClient:
    """The calls the store is made of. Safe to share between threads."""

    def __init__(self, address: str, token: str = "", *, cacert: str = "", timeout: float = 5.0) -> None:
        parts = urlsplit(address)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise InputError(f"Consul's address must be http://host:port or https://host:port, not {address!r}")
        self.address = address.rstrip("/")
        self._http = _Http(self.address, token, cacert, timeout)
        self._consul = _Library(self._http)
        self._cycles = threading.local()

    def close(self) -> None:
        self._http.close()

    def get(self, key: str) -> Entry | None:
        _, item = self._consul.kv.get(key)
        return _entry(item) if item else None

    def below(self, prefix: str) -> list[Entry]:
        """Every key below a prefix, with its value, in the order of the keys."""
        _, items = self._consul.kv.get(prefix, recurse=True)
        return [_entry(item) for item in items or self._really_none(prefix)]

    def names(self, prefix: str) -> list[str]:
        """The names alone: cheap, however large the values are."""
        _, names = self._consul.kv.get(prefix, keys=True)
        return names or self._really_none(prefix)

    def get_many(self, keys: Sequence[str]) -> list[Entry]:
        """Up to 64 keys as they are at one moment, in the order asked; `index` 0 for those that do not exist."""
        entries = self.transact([{"KV": {"Verb": "get-or-empty", "Key": key}} for key in keys])
        if len(entries) < len(keys):  # Consul leaves out what the token may not read
            self._http.refuse(f"the token may not read all of {', '.join(keys[:4])} …", _FORBIDDEN)
        return entries

    def watch(self, key: str, index: int, wait_s: float) -> tuple[Entry | None, int]:
        """The key, as soon as it differs from what `index` stands for or the wait is over. 0: at once."""
        seen, item = self._blocking(key, index, wait_s, recurse=False)
        return (_entry(item) if item else None), seen

    def watch_prefix(self, prefix: str, index: int, wait_s: float) -> tuple[list[Entry], int]:
        seen, items = self._blocking(prefix, index, wait_s, recurse=True)
        return [_entry(item) for item in items or ()], seen

    def transact(self, operations: Sequence[Json]) -> list[Entry]:
        """All or nothing. RolledBack with Consul's reasons if nothing."""
        try:
            answer = self._consul.txn.put(list(operations))
        except RolledBack as rolled_back:
            for error in rolled_back.errors:
                if error.what.startswith("Permission denied"):
                    self._http.refuse(error.what, _FORBIDDEN)
            raise
        return [_entry(result["KV"], encoded=True) for result in answer["Results"] or () if "KV" in result]

    def create_session(self, name: str, ttl_s: float, lock_delay_s: int) -> str:
        """A session that only its own renewals keep alive. No health check ends it: an agent that is restarted
        would otherwise depose a leader that is well."""
        created: str = self._consul.session.create(
            name=name, checks=[], ttl=int(ttl_s), lock_delay=lock_delay_s, behavior="delete"
        )
        return created

    def renew_session(self, session: str) -> None:
        """NotFound if Consul knows no such session any more."""
        try:
            self._consul.session.renew(session)
        except consul.NotFound as error:
            raise NotFound(f"Consul does not know session {session}") from error

    def destroy_session(self, session: str) -> None:
        self._consul.session.destroy(session)

    def acquire(self, key: str, value: str, session: str) -> bool:
        """Lock a key. False if another session has it, or its lock-delay runs. NotFound if the session is invalid."""
        try:
            return bool(self._consul.kv.put(key, value, acquire=session))
        except ServerUnreachable as error:
            if "invalid session" in error.message:  # Consul answers 500 for it
                raise NotFound(f"Consul does not know session {session}") from error
            raise

    def _really_none(self, prefix: str) -> list[Any]:
        """Consul lists nothing where the token may read nothing, and says so only if asked for one key."""
        self.get(prefix)
        return []

    def _blocking(self, key: str, index: int, wait_s: float, *, recurse: bool) -> tuple[int, Any]:
        self._pace((key, recurse))
        wait = f"{max(1, int(wait_s * 1000))}ms"
        answered, found = self._consul.kv.get(key, index=index or None, wait=wait, recurse=recurse)
        seen = int(answered)
        return (seen if seen >= index else 0), found  # backwards: Consul was restored, begin anew

    def _pace(self, watch: tuple[str, bool]) -> None:
        """Put at least 100 ms between the starts of one thread's questions for the same thing."""
        started: dict[tuple[str, bool], float] = self._cycles.__dict__.setdefault("started", {})
        early = started.get(watch, 0.0) + SHORTEST_CYCLE_S - time.monotonic()
        if early > 0:
            time.sleep(early)
        started[watch] = time.monotonic()


def _entry(item: Json, *, encoded: bool = False) -> Entry:
    value = item.get("Value") or b""
    if encoded and value:
        value = base64.b64decode(value)
    return Entry(item["Key"], value, int(item["ModifyIndex"]), item.get("Session", ""))


def _op_errors(body: bytes) -> tuple[OpError, ...]:
    try:
        errors = json.loads(body).get("Errors") or ()
        return tuple(OpError(int(error.get("OpIndex", 0)), str(error.get("What", ""))) for error in errors)
    except (ValueError, AttributeError, TypeError):  # a 409 that is not a transaction's: its text is the reason
        return (OpError(0, body.decode("utf-8", "replace")[:_BODY_IN_MESSAGE]),)


def _cause(error: requests.RequestException) -> str:
    """What people need of the nested texts of requests and urllib3."""
    if isinstance(error, requests.exceptions.SSLError):
        return f"TLS: {error}"
    if isinstance(error, requests.exceptions.ConnectTimeout | requests.exceptions.ReadTimeout):
        return "no answer in time"
    text = str(error)
    for known in ("Connection refused", "Name or service not known", "No route to host", "Connection reset by peer"):
        if known in text:
            return known.lower()
    return text[:_BODY_IN_MESSAGE]
