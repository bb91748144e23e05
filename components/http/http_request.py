"""One request a message. A system that is away, or says wait, gets the message again later; redirects are answers."""

import base64
import json
import urllib.error
import urllib.request
from http.client import BadStatusLine, IncompleteRead

from nomadflows.runtime import Rebound

LARGEST_ANSWER = 10_000_000
LATER = {429, 502, 503, 504}
REFUSED = 400


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """Another place is not to see what was meant for this one."""

    def redirect_request(self, *_):
        return None


opener = urllib.request.build_opener(NoRedirect)


def process(message, config, snapshot):
    url, method = config["url"], config.get("method") or "GET"
    if not url.lower().startswith(("http://", "https://")):
        raise ValueError("the address is neither http:// nor https://")
    headers = {"accept": "application/json", **(config.get("headers") or {}), **authorization(config)}
    body = None
    if method not in {"GET", "DELETE"}:
        body = json.dumps(message.body).encode()
        headers = {"content-type": "application/json", **headers}
    request = urllib.request.Request(url, body, headers, method=method)  # noqa: S310 - checked above
    try:
        status, answered, content = ask(request, float(config.get("timeout") or 30))
    except (urllib.error.URLError, TimeoutError, ConnectionError, BadStatusLine, IncompleteRead) as error:
        raise Rebound(f"{method} {request.host}: {getattr(error, 'reason', error)}") from error
    if status in LATER:
        raise Rebound(f"{method} {request.host}: {status}")
    if status >= REFUSED and not config.get("accept_any_status"):
        raise ValueError(f"{method} {request.host}: {status}")
    return {"status": status, "headers": answered, "body": as_json(content, answered.get("content-type", ""))}


def ask(request, timeout):
    try:
        answer = opener.open(request, timeout=timeout)
    except urllib.error.HTTPError as error:  # an answer all the same
        answer = error
    with answer:
        content = answer.read(LARGEST_ANSWER + 1)
        if len(content) > LARGEST_ANSWER:
            raise ValueError(f"the answer has more than {LARGEST_ANSWER} bytes")
        if answer.length:  # bytes that were announced and did not come
            raise ConnectionError("the answer broke off")
        return answer.status, {name.lower(): value for name, value in answer.headers.items()}, content


def authorization(config):
    if config.get("token"):
        return {"authorization": f"Bearer {config['token']}"}
    if config.get("username"):
        pair = f"{config['username']}:{config.get('password', '')}"
        return {"authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
    return {config["header"]: config["key"]} if config.get("header") and config.get("key") else {}


def as_json(content, content_type):
    if "json" in content_type and content:
        return json.loads(content)
    try:
        return content.decode()
    except UnicodeDecodeError:
        return base64.b64encode(content).decode()
