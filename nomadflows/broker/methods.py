"""Methods of a channel as the commands and questions of a `Link`."""

from __future__ import annotations

from typing import Any

from nomadflows.broker.link import Reply
from nomadflows.broker.topology import Binding, Exchange


def declare_exchange(channel: Any, *, exchange: Exchange) -> None:
    channel.exchange_declare(
        exchange.name,
        exchange.type,
        durable=True,
        auto_delete=exchange.auto_delete,
        arguments=dict(exchange.arguments),
    )


def look_for_exchange(channel: Any, reply: Reply, *, name: str) -> None:
    channel.exchange_declare(name, passive=True, callback=reply)


def declare_queue(channel: Any, *, name: str, arguments: dict[str, Any]) -> None:
    channel.queue_declare(name, durable=True, arguments=arguments)


def bind(channel: Any, *, binding: Binding) -> None:
    method = channel.queue_bind if binding.to == "queue" else channel.exchange_bind
    method(binding.destination, binding.source, binding.key, dict(binding.arguments))


def unbind(channel: Any, reply: Reply, *, binding: Binding) -> None:
    method = channel.queue_unbind if binding.to == "queue" else channel.exchange_unbind
    method(binding.destination, binding.source, binding.key, dict(binding.arguments), callback=reply)


def look(channel: Any, reply: Reply, *, queue: str) -> None:
    channel.queue_declare(queue, passive=True, callback=reply)


def purge(channel: Any, reply: Reply, *, queue: str) -> None:
    channel.queue_purge(queue, callback=reply)


def delete(channel: Any, reply: Reply, *, queue: str) -> None:
    channel.queue_delete(queue, callback=reply)


def delete_exchange(channel: Any, reply: Reply, *, name: str) -> None:
    channel.exchange_delete(name, callback=reply)
