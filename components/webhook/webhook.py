"""Hands a request on: its body, and beside it what else the caller said."""

_MEMBERS = ("query", "headers", "method", "url")


def process(message, config, snapshot):
    request = {**message.extra, "headers": message.headers}
    if "method" not in message.extra:  # not from a gateway
        return message
    body = message.body if isinstance(message.body, dict) else {"_value": message.body}
    message.body = {**body, **{f"_{name}": request.get(name, {}) for name in _MEMBERS}}
    return message
