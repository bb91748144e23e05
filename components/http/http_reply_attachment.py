"""Answers the waiting caller with the content of an attachment: the one that is named, or the first."""

import base64

from http_reply import status_of

from nomadflows.runtime import HttpReply

LARGEST = 40_000_000  # an answer is in memory as a whole, here and in the gateway


def process(message, config, snapshot, context):
    name = config.get("attachment") or next(iter(message.attachments), "")
    attachment = message.attachments.get(name)
    if attachment is None:
        raise LookupError(f"the message has no attachment {name!r}" if name else "the message has no attachment")
    with context.attachments.open(attachment) as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise ValueError(f"the attachment {name!r} has more than {LARGEST} bytes")
    kind = config.get("content_type") or attachment.get("content-type") or "application/octet-stream"
    headers = {"content-type": kind, "x-body-encoding": "base64", **(config.get("headers") or {})}
    yield HttpReply(base64.b64encode(content).decode(), status_of(config.get("status")), headers)
    yield message
