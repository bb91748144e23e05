"""Answers the waiting caller. What the step gets is the answer's body, unless it has a member `responseBody`: then
`responseBody`, `statusCode`, `contentType`, `customHeaders` and `encoding` (base64: the body is bytes) say it all."""

from nomadflows.runtime import HttpReply


def process(message, config, snapshot):
    given = message.body if isinstance(message.body, dict) and "responseBody" in message.body else {}
    headers = {"content-type": given.get("contentType") or config.get("content_type") or "application/json"}
    headers |= config.get("headers") or {}
    headers |= given.get("customHeaders") or {}
    if given.get("encoding"):
        headers["x-body-encoding"] = given["encoding"]
    status = status_of(given.get("statusCode") or config.get("status"))
    yield HttpReply(given.get("responseBody") if given else message.body, status, headers)
    yield message


def status_of(given):
    """As a number; 200 where nothing is given. ValueError for what is no status of an answer."""
    status = int(given or 200)
    if not 200 <= status <= 999:  # noqa: PLR2004
        raise ValueError(f"an answer's status is 200 to 999, not {status}")
    return status
