"""RabbitMQ's errors in our terms. What they quote are names of queues and users, never a password or a URL."""

from __future__ import annotations

import logging
from typing import Final

import pika.exceptions

from nomadflows.model.errors import NomadflowsError, NotFound, Refused, ServerRefused, ServerUnreachable

SERVER: Final = "RabbitMQ"
_HINT: Final = "`nomadflows doctor` checks it; `nomadflows dev up` starts a local one"

ACCESS_REFUSED: Final = 403
NOT_FOUND: Final = 404
PRECONDITION_FAILED: Final = 406
NOT_ALLOWED: Final = 530

_PLAIN: Final = {
    "Timeout while setting up": "it does not answer in time",
    "Transport indicated EOF": "it hung up",
    "CONNECTION_FORCED": "it closed the connection",
}

# Every failure is raised as an error of ours; pika's own reports, with tracebacks, would tell it a second time.
logging.getLogger("pika").setLevel(logging.CRITICAL)


class ConnectionLost(ServerUnreachable):
    """The connection went away in the middle: what was asked may or may not have been done."""


class NoAnswer(ConnectionLost):
    """The same, after the whole time-out: trying again at once would double it."""


class QueueFull(Refused):
    """A queue on the way refused the message."""


def unreachable(address: object, reason: object) -> ServerUnreachable:
    return ServerUnreachable(SERVER, str(address), reason, hint=_HINT)


def of_opening(address: object, vhost: str, error: BaseException) -> NomadflowsError:
    """Why a connection could not be opened. pika guesses from the stage; the broker's own words decide, since one
    that is shutting down hangs up at any stage."""
    reason = innermost(error)
    if "ACCESS_REFUSED" in reason:
        return ServerRefused(SERVER, str(address), "user or password is wrong", status=ACCESS_REFUSED)
    if "NOT_ALLOWED" in reason:
        return ServerRefused(SERVER, str(address), f"no access to vhost {vhost}", status=NOT_ALLOWED)
    return unreachable(address, reason)


def of_channel(address: object, error: BaseException) -> NomadflowsError:
    """Why the broker closed a channel: it always names the operation's fault."""
    if not isinstance(error, pika.exceptions.ChannelClosedByBroker):
        return ConnectionLost(SERVER, str(address), innermost(error))
    if error.reply_code == NOT_FOUND:
        return NotFound(f"RabbitMQ: {error.reply_text}")
    if error.reply_code == PRECONDITION_FAILED:
        return Refused(
            f"RabbitMQ holds something of that name with other properties: {error.reply_text}",
            hint="it was made by another release or by hand; delete it when nothing is left in it",
        )
    return ServerRefused(SERVER, str(address), error.reply_text, status=error.reply_code)


def innermost(error: BaseException) -> str:
    """The message at the bottom of pika's nested connection errors, without its jargon."""
    inside = [*getattr(error, "exceptions", ()), getattr(error, "exception", None), *error.args]
    for item in reversed(inside):
        if isinstance(item, BaseException):
            return innermost(item)
    text = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    return next((plain for jargon, plain in _PLAIN.items() if jargon in text), text)
