"""Where RabbitMQ is and who we are there. Keeps the password out of everything that is shown."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from nomadflows.model.errors import InputError

if TYPE_CHECKING:
    import pika

_PORTS: Final = {"amqp": 5672, "amqps": 5671}


@dataclass(frozen=True, slots=True)
class Address:
    """A broker and an account on it. `str` shows no secret."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    tls: bool = False
    cacert: str = ""

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'amqps' if self.tls else 'amqp'}://{host}:{self.port}"

    @classmethod
    def parse(cls, uri: str, cacert: str = "") -> Address:
        """`amqp[s]://user:password@host:port`; a path is ignored, since the vhost follows from the workspace."""
        try:
            parts = urlsplit(uri)
            default = _PORTS[parts.scheme]
            port = parts.port or default
        except (KeyError, ValueError):
            raise InputError("amqp_uri is no address of a broker", hint="amqp://user:password@host:5672") from None
        return cls(
            host=parts.hostname or "127.0.0.1",
            port=port,
            user=unquote(parts.username or "guest"),
            password=unquote(parts.password or "guest"),
            tls=parts.scheme == "amqps",
            cacert=cacert,
        )

    def parameters(self, vhost: str, timeout: float, heartbeat: int, name: str) -> pika.ConnectionParameters:
        """One attempt, bounded in time; `name` is what the broker's management page shows."""
        import pika  # here: who wants to know no more than where a broker is need not wait for it

        context = ssl.create_default_context(cafile=self.cacert or None) if self.tls else None
        return pika.ConnectionParameters(
            host=self.host,
            port=self.port,
            virtual_host=vhost,
            credentials=pika.PlainCredentials(self.user, self.password, erase_on_connect=False),
            ssl_options=pika.SSLOptions(context, self.host) if context else None,
            heartbeat=heartbeat,
            blocked_connection_timeout=timeout,
            socket_timeout=timeout,
            stack_timeout=timeout * 0.9,
            connection_attempts=1,
            client_properties={"connection_name": name},
        )
