"""A webhook request as the message a flow gets. Pure: bytes in, plain data out, `Rejected` for what cannot be read."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from email.message import Message as Header
from typing import Any, Final
from urllib.parse import parse_qsl

from nomadflows.broker.wire import new_id
from nomadflows.gateway.answers import BAD_BODY, BAD_TYPE
from nomadflows.gateway.xmltext import XmlError
from nomadflows.gateway.xmltext import to_json as xml_to_json

Json = dict[str, Any]

MOST_FIELDS: Final = 10_000
MOST_LEVELS: Final = 100
MOST_MARKS: Final = 2_000_000  # of JSON: what is parsed takes some hundred bytes for each
MOST_FILES: Final = 100
_INNER_PREFIXES: Final = ("x-eio-", "x-ipaas-")  # words between steps; from outside they would steer the flow
_INNER: Final = frozenset({"reply_to", "authorization", "proxy-authorization"})
_FORM: Final = "application/x-www-form-urlencoded"
_TEXT: Final = re.compile(
    rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL
)  # to the end of the body if it does not end: linear
_TYPE: Final = re.compile(r"[\x20-\x7e]{1,200}")
_ANY_TYPE: Final = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Request:
    """What of an HTTP request matters. Header names are lower-case; values of one name are joined."""

    method: str
    path: str
    query: str
    rest: str  # of the path, behind the flow's name
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class File:
    """A file of a form in parts."""

    name: str
    content_type: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a request holds: the content of a message, and files that are to become its attachments."""

    content: Json
    files: Sequence[File] = ()


def joined(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Headers as an ASGI server gives them."""
    found: dict[str, str] = {}
    for name, value in raw:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found


def parsed(request: Request, *, raw: bool, secret_header: str = "") -> Parsed:
    """`secret_header` is not passed on; nor is what only steps may say to each other."""
    query = _fields(request.query)
    files: list[File] = []
    if raw or str(query.get("raw", "")).lower() == "true":
        body: Any = _raw(request.body)
    elif request.method == "GET":
        body = query
    else:
        body = _body(request, files)
    content = {
        "id": new_id(),
        "body": body,
        "headers": {
            name: value
            for name, value in request.headers.items()
            if name not in _INNER and name != secret_header and not name.startswith(_INNER_PREFIXES)
        },
        "attachments": {},
        "method": request.method,
        "url": f"{request.path}?{request.query}" if request.query else request.path,
        "query": query,
        "additionalUrlPath": request.rest,
    }
    return Parsed(content, files)


def _body(request: Request, files: list[File]) -> Any:
    """Files that it holds are added to `files`."""
    if not request.body:
        return {}
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise BAD_TYPE.rejected("a body must not be compressed")
    header = Header()
    header["content-type"] = request.headers.get("content-type", "")
    kind = header.get_content_type() if request.headers.get("content-type") else ""
    if kind == "application/json" or kind.endswith("+json"):
        return _json(request.body)
    if kind in {"application/xml", "text/xml"} or kind.endswith("+xml"):
        return _xml(request.body, _parameter(header, "charset"))
    if kind == _FORM:
        return _fields(_text(request.body))
    if kind == "multipart/form-data":
        return _gathered(_parts(request.body, _parameter(header, "boundary"), files))
    raise BAD_TYPE.rejected()


def _parameter(header: Header, name: str) -> str:
    found = header.get_param(name, "")
    return found if isinstance(found, str) else ""


def _json(body: bytes) -> Any:
    if _marks(body) > MOST_MARKS and _marks(_TEXT.sub(b"", body)) > MOST_MARKS:  # those of texts cost nothing
        raise BAD_BODY.rejected(
            f"more than {MOST_MARKS} braces, brackets, commas and colons: send it with ?raw=true, which takes any body"
        )
    try:
        found = json.loads(body, parse_constant=_no_constant)
    except RecursionError:
        raise _too_deep() from None
    except ValueError as error:
        raise BAD_BODY.rejected(f"not JSON: {error}") from None
    if body.count(b"[") + body.count(b"{") > MOST_LEVELS and _levels(found) > MOST_LEVELS:
        raise _too_deep()
    return found


def _marks(body: bytes) -> int:
    """How many there are at most of what costs memory, whatever its length."""
    return sum(body.count(mark) for mark in (b"{", b"[", b",", b":"))


def _too_deep() -> Exception:
    return BAD_BODY.rejected(f"more than {MOST_LEVELS} values inside each other")


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


def _levels(value: Any) -> int:
    """How deep lists and objects lie in each other, one level at a time."""
    level, now = 0, [value]
    while now and level <= MOST_LEVELS:
        now = [
            inner
            for one in now
            if isinstance(one, (dict, list))
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
        level += 1
    return level


def _xml(body: bytes, charset: str) -> Any:
    try:
        return xml_to_json(body, charset or None)
    except XmlError as error:
        raise BAD_BODY.rejected(f"not XML: {error}") from None


def _raw(body: bytes) -> Json:
    """The body as text; bytes that are none, as base64."""
    try:
        return {"rawData": body.decode()}
    except UnicodeDecodeError:
        return {"rawData": base64.b64encode(body).decode(), "rawDataEncoding": "base64"}


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise BAD_BODY.rejected("not UTF-8") from None


def _fields(text: str) -> Json:
    try:
        return _gathered(parse_qsl(text, keep_blank_values=True, max_num_fields=MOST_FIELDS))
    except ValueError:
        raise BAD_BODY.rejected(f"more than {MOST_FIELDS} fields") from None


def _gathered(fields: Iterable[tuple[str, str]]) -> Json:
    """A name that occurs again holds a list."""
    found: Json = {}
    for name, value in fields:
        if name not in found:
            found[name] = value
        elif isinstance(found[name], list):
            found[name].append(value)
        else:
            found[name] = [found[name], value]
    return found


def _parts(body: bytes, boundary: str, files: list[File]) -> Iterator[tuple[str, str]]:
    """The fields of a form in parts. A part with a file's name is a file; none if nobody chose one."""
    if not boundary or not boundary.isascii():
        raise BAD_BODY.rejected("multipart without a boundary")
    mark = b"\r\n--" + boundary.encode()
    pieces = (b"\r\n" + body).split(mark, MOST_FIELDS + 2)
    if len(pieces) < 2 or not pieces[-1].startswith(b"--") or len(pieces) > MOST_FIELDS + 2:  # noqa: PLR2004
        raise BAD_BODY.rejected("the parts of the body do not end")
    for piece in pieces[1:-1]:
        head, found, content = piece.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        header = _header(head)
        name = _parameter_of(header, "name")
        if not found or not name:
            raise BAD_BODY.rejected("a part of the body has no name")
        if header.get_param("filename", header="content-disposition") is None:
            yield name, _text(content)
        elif content or _parameter_of(header, "filename"):
            if len(files) == MOST_FILES:
                raise BAD_BODY.rejected(f"more than {MOST_FILES} files")
            files.append(_file(header, name, content))


def _file(header: Header, field_name: str, content: bytes) -> File:
    """Some callers send a path for a name."""
    name = re.split(r"[/\\]", _parameter_of(header, "filename"))[-1]
    kind = str(header["content-type"] or "").strip()
    return File(name or field_name, kind if _TYPE.fullmatch(kind) else _ANY_TYPE, content)


def _header(head: bytes) -> Header:
    header = Header()
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        known = name.strip().lower().decode("latin-1")
        if known in {"content-disposition", "content-type"} and known not in header:
            header[known] = value.strip().decode("utf-8", "replace").replace("\n", " ").replace("\r", " ")
    return header


def _parameter_of(disposition: Header, name: str) -> str:
    found = disposition.get_param(name, "", header="content-disposition")
    if isinstance(found, tuple):  # RFC 2231
        found = found[2]
    return found or ""
