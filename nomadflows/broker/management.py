"""RabbitMQ's management API: accounts, vhosts, and figures that AMQP does not tell. Every request is bounded in time.

How fresh figures are (measured on RabbitMQ 3.10, messages published, delivered and acknowledged at random moments):

=====================================================================  =========================================
list of queues with `disable_stats=true&enable_queue_totals=true`       live: the queues themselves are asked
one queue (`/api/queues/<vhost>/<name>`), with or without these         3–10 s old, twice the statistics interval
passive declare over AMQP (ready and consumers only)                    live
message counters of an exchange                                         up to 10 s old
=====================================================================  =========================================

So unacknowledged messages come from the list, narrowed to the names wanted. The broker looks through all queues of
the vhost for it: 2.5 ms with a few, 0.3 s with 5,000. Ask where the answer decides something, or ask for all at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlsplit, urlunsplit

import requests

from nomadflows.broker.faults import unreachable
from nomadflows.model.errors import NotFound, ServerRefused, ServerUnreachable

Json = dict[str, Any]

_PAGE: Final = 500
_NOT_FOUND: Final = 404
_SERVER_FAILED: Final = 500
_LONG_S: Final = 60.0  # for what lists a whole vhost
_OF_BINDING: Final = "source,destination,destination_type,routing_key,arguments"
_LIVE: Final = {"disable_stats": "true", "enable_queue_totals": "true"}
SERVER: Final = "RabbitMQ's management API"


@dataclass(frozen=True, slots=True)
class QueueTotals:
    ready: int
    unacked: int


class Management:
    """Belongs to one thread, as its HTTP session does."""

    def __init__(self, api_url: str, user: str, password: str, timeout: float, cacert: str = "") -> None:
        parts = urlsplit(api_url)
        self.address = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))
        self._timeout = timeout
        self._session = requests.Session()
        self._session.auth = (user, password)
        self._session.trust_env = False  # a server of ours: no proxy, no netrc
        self._session.verify = cacert or True

    def close(self) -> None:
        self._session.close()

    # ── vhosts and accounts ───────────────────────────────────────────────────────────────────────────────────

    def version(self) -> str:
        return str(self._get("overview")["rabbitmq_version"])

    def vhost(self, vhost: str) -> Json | None:
        found: Json | None = self._find("vhosts", vhost)
        return found

    def put_vhost(self, vhost: str, description: str = "") -> None:
        self._call("PUT", "vhosts", vhost, body={"description": description})

    def delete_vhost(self, vhost: str) -> None:
        self._call("DELETE", "vhosts", vhost, missing_ok=True)

    def user(self, name: str) -> Json | None:
        found: Json | None = self._find("users", name)
        return found

    def put_user(self, name: str, password_hash: str) -> None:
        """An account without tags: it may use AMQP, not this API."""
        self._call(
            "PUT",
            "users",
            name,
            body={
                "password_hash": password_hash,
                "hashing_algorithm": "rabbit_password_hashing_sha256",
                "tags": "",
            },
        )

    def delete_user(self, name: str) -> None:
        self._call("DELETE", "users", name, missing_ok=True)

    def permissions(self, vhost: str, user: str) -> Json | None:
        found: Json | None = self._find("permissions", vhost, user)
        return found

    def put_permissions(self, vhost: str, user: str, *, configure: str, write: str, read: str) -> None:
        self._call("PUT", "permissions", vhost, user, body={"configure": configure, "write": write, "read": read})

    def close_connections(self, user: str) -> int:
        """Close all connections of an account; how many there were. The API learns of a new one within a second."""
        connections = self._find("connections", "username", user) or []
        for connection in connections:
            self._call("DELETE", "connections", str(connection["name"]), missing_ok=True)
        return len(connections)

    # ── what a vhost has ──────────────────────────────────────────────────────────────────────────────────────

    def queue_totals(self, vhost: str, prefix: str = "") -> dict[str, QueueTotals]:
        """Live figures of the queues whose names begin so. ServerUnreachable if one of them does not tell; without a
        prefix such a queue is left out: it is one flow's, and all flows are asked about."""
        totals = {}
        for queue in self._queues(vhost, prefix):
            try:
                totals[str(queue["name"])] = QueueTotals(queue["messages_ready"], queue["messages_unacknowledged"])
            except KeyError as error:
                if prefix:
                    raise unreachable(
                        self.address, f"queue {queue.get('name')} does not say how many messages it holds"
                    ) from error
        return totals

    def queues(self, vhost: str, prefix: str = "") -> list[Json]:
        return list(self._queues(vhost, prefix))

    def queue(self, vhost: str, name: str) -> Json | None:
        """One queue with its statistics, which are seconds old."""
        found: Json | None = self._find("queues", vhost, name)
        return found

    def progress(self, vhost: str, queue: str) -> dict[str, int]:
        """Of each consumer's channel that holds messages of a queue: how many it ever got and finished. Seconds old;
        a broker that keeps no statistics tells of none."""
        found = {}
        for consumer in (self.queue(vhost, queue) or {}).get("consumer_details") or []:
            name = str((consumer.get("channel_details") or {}).get("name", ""))
            channel: Json = (self._find("channels", name) if name else None) or {}
            stats: Json = channel.get("message_stats") or {}
            if channel.get("messages_unacknowledged") and stats:
                found[name] = int(stats.get("deliver_get", 0)) + int(stats.get("ack", 0))
        return found

    def exchange(self, vhost: str, name: str) -> Json | None:
        """One exchange; its counters are seconds old."""
        found: Json | None = self._find("exchanges", vhost, name)
        return found

    def bindings_from(self, vhost: str, exchange: str) -> list[Json]:
        found: list[Json] = self._find("exchanges", vhost, exchange, "bindings", "source") or []
        return found

    def bindings(self, vhost: str) -> list[Json]:
        """All of them. With 5,000 flows there are some 130,000, so the broker may take its time."""
        found: list[Json] = self._call("GET", "bindings", vhost, query={"columns": _OF_BINDING}, timeout=_LONG_S)
        return found

    def permissions_in(self, vhost: str) -> list[Json]:
        """Of every account that may do anything here."""
        found: list[Json] = self._call("GET", "vhosts", vhost, "permissions", timeout=_LONG_S)
        return found

    def bindings_to_exchange(self, vhost: str, exchange: str) -> list[Json]:
        found: list[Json] = self._find("exchanges", vhost, exchange, "bindings", "destination") or []
        return found

    def bindings_to_queue(self, vhost: str, queue: str) -> list[Json]:
        found: list[Json] = self._find("queues", vhost, queue, "bindings") or []
        return found

    def _queues(self, vhost: str, prefix: str) -> Iterator[Json]:
        """Those of one flow page by page; all of them in one answer, since the broker looks through all for each page."""
        if not prefix:
            yield from self._call("GET", "queues", vhost, query=_LIVE, timeout=_LONG_S)
            return
        page = pages = 1
        while page <= pages:
            query = {**_LIVE, "page": str(page), "page_size": str(_PAGE), "name": prefix, "use_regex": "false"}
            answer = self._get("queues", vhost, query=query)
            yield from (queue for queue in answer["items"] if str(queue["name"]).startswith(prefix))
            pages = int(answer["page_count"])
            page += 1

    # ── requests ──────────────────────────────────────────────────────────────────────────────────────────────

    def _get(self, *path: str, query: Mapping[str, str] | None = None) -> Any:
        return self._call("GET", *path, query=query)

    def _find(self, *path: str) -> Any:
        return self._call("GET", *path, missing_ok=True)

    def _call(
        self,
        method: str,
        *path: str,
        body: Json | None = None,
        query: Mapping[str, str] | None = None,
        missing_ok: bool = False,
        timeout: float | None = None,
    ) -> Any:
        url = "/".join((self.address, "api", *(quote(part, safe="") for part in path)))
        try:
            answer = self._session.request(
                method, url, json=body, params=query, timeout=timeout or self._timeout, allow_redirects=False
            )
            if answer.status_code == _NOT_FOUND and missing_ok:
                return None
            if not answer.ok:
                raise self._refusal(answer, "/".join(path))
            return answer.json() if answer.content else None
        except requests.RequestException as error:
            raise ServerUnreachable(SERVER, self.address, _reason(error, timeout or self._timeout)) from error
        except ValueError as error:
            raise ServerUnreachable(SERVER, self.address, "its answer is not JSON") from error

    def _refusal(self, answer: requests.Response, what: str) -> Exception:
        try:
            said = answer.json()
            reason = str(said.get("reason") or said.get("error") or answer.reason)
        except (ValueError, AttributeError):
            reason = answer.reason
        if answer.status_code == _NOT_FOUND:
            return NotFound(f"RabbitMQ has no {what}")
        if answer.status_code >= _SERVER_FAILED:
            return ServerUnreachable(SERVER, self.address, f"{answer.status_code} {reason}")
        return ServerRefused(SERVER, self.address, f"{reason} ({what})", status=answer.status_code)


def _reason(error: requests.RequestException, timeout: float) -> str:
    """Short, and without the URL that requests puts into its messages."""
    if isinstance(error, requests.Timeout):
        return f"no answer in {timeout:g} s"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror and not isinstance(cause, requests.RequestException):
            return cause.strerror
        nested = [item for item in (*cause.args, getattr(cause, "reason", None)) if isinstance(item, BaseException)]
        cause = nested[0] if nested else cause.__cause__ or cause.__context__
    return type(error).__name__
