"""What a message is on the wire: encryption, encodings, AMQP headers, the shapes of errors and replies.

Pure functions over bytes and dicts; knows no connection, queue or exchange. A step process imports this module
while it starts, so it needs the standard library only, and loads `cryptography` on first use (`Crypto.load`).
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import threading
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

Json = dict[str, Any]
Headers = dict[str, Any]

BLOCK: Final = 16  # bytes of an AES block, of the IV and the unit of PKCS7 padding
PROTOCOL: Final = 2  # 1: base64 text of the ciphertext, 2: its bytes
META_PREFIX: Final = "x-eio-meta-"
ROUTING_KEY_HEADER: Final = "x-eio-routing-key"  # of the message, not of AMQP
ERROR_RESPONSE_HEADER: Final = "x-eio-error-response"
STATUS_HEADER: Final = "x-eio-status-code"
TRACE_HEADER: Final = "x-eio-meta-trace-id"
_DEATHS: Final = ("x-death", "x-first-death-", "x-last-death-")  # RabbitMQ's, on a dead letter
OBJECT_HEADER: Final = "x-ipaas-object-storage-id"  # of the message: its body lies in the object store


class WireError(ValueError):
    """Bytes that are not a message: wrong key, wrong padding, not JSON, not an object."""


class Outgoing(NamedTuple):
    """A message ready for the broker."""

    body: bytes
    headers: Headers


class Reply(NamedTuple):
    """An HTTP answer made by a flow, whichever of the three shapes it came in."""

    status: int
    headers: dict[str, str]
    body: Any
    failed: bool = False
    object_id: str = ""  # where its body lies instead, in the object store


_loading: Final = threading.Lock()


class Crypto:
    """AES-256-CBC with PKCS7 padding, key = SHA-256 of the password, one fixed IV: what the contract asks for."""

    __slots__ = ("_cipher", "_iv", "_password")

    def __init__(self, password: str, iv: str) -> None:
        self._password = password
        self._iv = iv.encode()
        self._cipher: Any = None
        if len(self._iv) != BLOCK:
            raise ValueError(f"the message IV must be {BLOCK} bytes, not {len(self._iv)}")

    def __eq__(self, other: object) -> bool:
        """Whether one reads what the other wrote."""
        return isinstance(other, Crypto) and (self._password, self._iv) == (other._password, other._iv)

    def __hash__(self) -> int:
        return hash((self._password, self._iv))

    def load(self) -> Any:
        """Import `cryptography`: 10 ms that a starting process spends while it waits for the broker."""
        with _loading:  # two threads that import it at once see half-made modules
            if self._cipher is None:
                import hashlib

                from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

                key = hashlib.sha256(self._password.encode()).digest()
                self._cipher = Cipher(algorithms.AES(key), modes.CBC(self._iv))
            return self._cipher

    def encrypt(self, plain: bytes) -> bytes:
        encryptor = (self._cipher or self.load()).encryptor()
        padding = BLOCK - len(plain) % BLOCK
        encrypted: bytes = encryptor.update(plain + bytes((padding,)) * padding) + encryptor.finalize()
        return encrypted

    def decrypt(self, encrypted: bytes) -> bytes:
        if not encrypted or len(encrypted) % BLOCK:
            raise WireError(f"{len(encrypted)} bytes are not whole AES blocks")
        decryptor = (self._cipher or self.load()).decryptor()
        padded: bytes = decryptor.update(encrypted) + decryptor.finalize()
        padding = padded[-1]
        if not 1 <= padding <= BLOCK or padded[-padding:] != bytes((padding,)) * padding:
            raise WireError("the padding is wrong: another password or IV was used")
        return padded[:-padding]


def _as_json(value: object) -> Any:
    """Dates as ISO 8601 text; anything else that JSON lacks is the author's to decide."""
    if hasattr(value, "isoformat"):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


_decode: Final = json.JSONDecoder().decode
_encode_json: Final = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_as_json
).encode


def to_json(value: object) -> bytes:
    """Compact UTF-8 JSON. Lone surrogates, which JSON text may hold but UTF-8 may not, stay escaped."""
    try:
        return _encode_json(value).encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":"), allow_nan=False, default=_as_json).encode()


def from_json(text: bytes) -> Json:
    """A fresh copy of an object that `to_json` wrote."""
    value: Json = _decode_json(text.decode())
    return value


def _decode_json(text: str) -> Any:
    """ValueError also for some thousand levels, which Node reads and Python does not."""
    try:
        return _decode(text)
    except RecursionError:
        raise ValueError("it has too many levels") from None


def protocol_of(headers: Mapping[str, Any]) -> int:
    """The encoding an AMQP message says it has; 1 if it says nothing."""
    try:
        return int(headers.get("protocolVersion") or 1)
    except (TypeError, ValueError):
        return 1


def encrypt_json(crypto: Crypto, value: object, protocol: int = PROTOCOL) -> bytes:
    return seal(crypto, to_json(value), protocol)


def seal(crypto: Crypto, plain: bytes, protocol: int) -> bytes:
    """JSON text as the body of an AMQP message."""
    encrypted = crypto.encrypt(plain)
    return encrypted if protocol >= PROTOCOL else base64.b64encode(encrypted)


def decrypt(crypto: Crypto, body: bytes, protocol: int = PROTOCOL) -> str:
    """The JSON text in an AMQP body. WireError if there is none."""
    try:
        encrypted = body if protocol >= PROTOCOL else base64.b64decode(body, validate=True)
        return crypto.decrypt(encrypted).decode()
    except WireError:
        raise
    except (binascii.Error, ValueError) as error:
        raise WireError(f"not an encrypted text: {error}") from error


def decrypt_json(crypto: Crypto, body: bytes, protocol: int = PROTOCOL) -> Any:
    """What `encrypt_json` encrypted. WireError if it is not encrypted with this key, or is no JSON."""
    text = decrypt(crypto, body, protocol)
    try:
        return _decode_json(text)
    except ValueError as error:
        raise WireError(f"not a JSON text: {error}") from error


def encode(crypto: Crypto, message: Json, protocol: int = PROTOCOL) -> bytes:
    """A message as the body of an AMQP message."""
    return encrypt_json(crypto, message, protocol)


def decode(crypto: Crypto, body: bytes, headers: Mapping[str, Any]) -> Json:
    """The message in an AMQP body. WireError if there is none."""
    return parse(decrypt(crypto, body, protocol_of(headers)))


def parse(text: str) -> Json:
    """The message in a JSON text. WireError if there is none."""
    try:
        message = _decode_json(text)
    except ValueError as error:
        raise WireError(f"not a JSON text: {error}") from error
    if not isinstance(message, dict):
        raise WireError(f"a message is a JSON object, not {type(message).__name__}")
    return message


def new_id() -> str:
    """A random UUID; `uuid.uuid4` costs twice as much."""
    raw = bytearray(os.urandom(16))
    raw[6] = raw[6] & 0x0F | 0x40
    raw[8] = raw[8] & 0x3F | 0x80
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def thread_of(headers: Mapping[str, Any]) -> str:
    """The execution a message belongs to; a new one if it belongs to none."""
    return str(headers.get("threadId") or headers.get(TRACE_HEADER) or new_id())


def forwarded(headers: Mapping[str, Any]) -> Headers:
    """The AMQP headers that every output of a message inherits from it."""
    found: Headers = {}
    for name, value in headers.items():
        if name[1:2] == "-" and name.lower().startswith(META_PREFIX):  # the first test is the cheap one
            found[name.lower()] = value
    if headers.get("reply_to"):
        found["reply_to"] = headers["reply_to"]
    return found


def platform_message(
    crypto: Crypto,
    content: Json,
    *,
    workspace: str,
    flow: str,
    exec_id: str,
    thread_id: str = "",
    reply_to: str = "",
    previous_step: str = "",
    extra: Mapping[str, Any] | None = None,
) -> Outgoing:
    """A message the platform itself puts into a step's queue.

    `previous_step` is the step whose output `content` is; none for a trigger's input, which then adds nothing to
    the passthrough.
    """
    headers = platform_headers(workspace=workspace, flow=flow, exec_id=exec_id, thread_id=thread_id, reply_to=reply_to)
    if previous_step:
        headers["stepId"] = previous_step
    headers.update(extra or {})
    return Outgoing(encode(crypto, content), headers)


def platform_headers(*, workspace: str, flow: str, exec_id: str, thread_id: str = "", reply_to: str = "") -> Headers:
    """The AMQP headers of a message of the platform."""
    headers: Headers = {
        "messageId": new_id(),
        "threadId": thread_id or new_id(),
        "taskId": flow,
        "execId": exec_id,
        "userId": "nomadflows",
        "workspaceId": workspace,
        "protocolVersion": PROTOCOL,
    }
    if reply_to:
        headers["reply_to"] = reply_to
    return headers


def tick(
    crypto: Crypto, *, workspace: str, flow: str, exec_id: str, message_id: str = "", thread_id: str = ""
) -> Outgoing:
    """What the scheduler sends to a polling trigger: an empty message of a new execution. Two ticks of the same ids
    are one tick, sent again by a scheduler that could not know."""
    message_id = message_id or new_id()
    content: Json = {"id": message_id, "body": {}, "headers": {}, "attachments": {}}
    return platform_message(
        crypto,
        content,
        workspace=workspace,
        flow=flow,
        exec_id=exec_id,
        thread_id=thread_id,
        extra={"messageId": message_id},
    )


def retry(
    crypto: Crypto,
    failed_input: Json,
    record_headers: Mapping[str, Any],
    *,
    workspace: str,
    flow: str,
    exec_id: str,
    previous_step: str = "",
) -> Outgoing:
    """The input of an error record once more: same execution, new message id, marked as a retry."""
    return platform_message(
        crypto,
        failed_input,
        workspace=workspace,
        flow=flow,
        exec_id=exec_id,
        thread_id=thread_of(record_headers),
        previous_step=previous_step,
        extra={**forwarded(record_headers), "retry": True},
    )


def retry_error(crypto: Crypto, failed_input: Json) -> Outgoing:
    """The same for a step that gets errors: a record again, under the headers it first had, which tell the step that
    failed. WireError if `failed_input` is not what such a step gets."""
    body = failed_input.get("body")
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(body, dict) or not isinstance(error, dict):
        raise WireError("an error handler gets {error: {…}, errorInput: {…}}")
    headers: Headers = {**_plain(failed_input.get("headers") or {}), "messageId": new_id(), "retry": True}
    headers["threadId"] = thread_of(headers)
    headers.pop("protocolVersion", None)  # an error record has none
    return Outgoing(error_body(crypto, error, body.get("errorInput")), headers)


def encrypt_text(crypto: Crypto, value: object) -> str:
    """A member of an error record: base64 of the encrypted JSON, whatever the protocol."""
    return base64.b64encode(crypto.encrypt(to_json(value))).decode()


def error_body(crypto: Crypto, error: Json, failed_input: Json | None) -> bytes:
    """The body of an error record: plain JSON whose members are encrypted."""
    members = {"error": encrypt_text(crypto, error)}
    if failed_input is not None:
        members["errorInput"] = encrypt_text(crypto, failed_input)
    return to_json(members)


def decode_error_members(crypto: Crypto, body: bytes) -> tuple[Json, Json | None]:
    """The two objects of an error record as they were written: the error, and the whole message that the step failed on,
    None for an error at start. Inverse of `error_body`; WireError if the record cannot be read."""
    try:
        members = _decode_json(body.decode())
        error = decrypt_json(crypto, members["error"].encode(), 1)
        text = members.get("errorInput")
        failed_input = _failed_input(crypto, text) if text else None
    except WireError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        raise WireError(f"not an error record: {type(problem).__name__}: {problem}") from problem
    return error if isinstance(error, dict) else {"message": str(error)}, failed_input


def _failed_input(crypto: Crypto, text: str) -> Json:
    """Node's library leaves what an error handler failed on as it came: an error record, without its headers."""
    if not text.startswith("{"):
        found: Json = decrypt_json(crypto, text.encode(), 1)
        return found
    error, failed_input = decode_error_members(crypto, text.encode())
    return {"body": {"error": error, "errorInput": failed_input}}


def error_message(crypto: Crypto, body: bytes, headers: Mapping[str, Any]) -> Json:
    """The message that an error record is for a step that gets errors. WireError if it is none."""
    error, failed_input = decode_error_members(crypto, body)
    return {"body": {"error": error, "errorInput": failed_input}, "headers": _plain(headers)}


def _plain(headers: Mapping[str, Any]) -> Json:
    """AMQP headers as JSON: what JSON lacks (times, bytes) as text. How often the broker gave a message up is its own
    affair."""
    return {
        key: value if isinstance(value, (str, int, float, bool)) else str(value)
        for key, value in headers.items()
        if not key.startswith(_DEATHS)
    }


def decode_reply(crypto: Crypto, body: bytes, headers: Mapping[str, Any]) -> Reply:
    """An answer from a reply key: `httpReply`, a message routed there, or an error."""
    if headers.get(ERROR_RESPONSE_HEADER):
        error = decrypt_json(crypto, body, 1)
        return Reply(500, {}, {"error": str(error.get("message", ""))}, failed=True)
    content = decode(crypto, body, headers)
    named: dict[str, str] = {str(name): str(value) for name, value in (content.get("headers") or {}).items()}
    object_id = named.pop(OBJECT_HEADER, "")
    status = content.get("statusCode")
    if status is None:
        found = [value for name, value in named.items() if name.lower() == STATUS_HEADER]
        status = found[0] if found else 200
        named = {name: value for name, value in named.items() if name.lower() not in {STATUS_HEADER, "reply_to"}}
    try:
        return Reply(int(status), named, content.get("body"), object_id=object_id)
    except (TypeError, ValueError) as problem:
        raise WireError(f"a reply with the status {status!r}") from problem
