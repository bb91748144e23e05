"""The wire format, against ciphertexts that Node's crypto module made."""

import base64
import json
import math
from pathlib import Path

import pytest

from nomadflows.broker import wire

VECTORS = json.loads((Path(__file__).parent / "crypto_vectors.json").read_text())
CRYPTO = wire.Crypto("testCryptoPassword", "iv=any16_symbols")


@pytest.mark.parametrize("vector", VECTORS, ids=range(len(VECTORS)))
def test_what_node_encrypted_is_read_and_written_alike(vector):
    # Given a key and a ciphertext from Node
    crypto = wire.Crypto(vector["password"], vector["iv"])
    # Then both encodings of both directions agree with it
    assert wire.decode(crypto, vector["encrypted"].encode(), {}) == vector["message"]
    assert wire.encode(crypto, vector["message"], 1) == vector["encrypted"].encode()
    raw = base64.b64decode(vector["encrypted"])
    assert wire.decode(crypto, raw, {"protocolVersion": 2}) == vector["message"]
    assert wire.encode(crypto, vector["message"], 2) == raw


@pytest.mark.parametrize("iv", ["", "short", "seventeen-symbols", "fifteen-symböls!"])
def test_an_iv_that_is_not_16_bytes_is_refused(iv):
    with pytest.raises(ValueError, match="must be 16 bytes"):
        wire.Crypto("p", iv)


@pytest.mark.parametrize("body", [b"", b"x", b"x" * 16, b"\xff" * 32])
@pytest.mark.parametrize("protocol", [1, 2])
def test_what_is_no_message_is_a_wire_error(body, protocol):
    with pytest.raises(wire.WireError):
        wire.decode(CRYPTO, body, {"protocolVersion": protocol})


def test_json_that_is_no_object_is_a_wire_error():
    with pytest.raises(wire.WireError, match="not list"):
        wire.decode(CRYPTO, CRYPTO.encrypt(b"[1]"), {"protocolVersion": 2})


def test_more_levels_than_python_reads_are_a_wire_error():
    deep = b'{"a":' * 5_000 + b"1" + b"}" * 5_000
    with pytest.raises(wire.WireError, match="too many levels"):
        wire.decode(CRYPTO, CRYPTO.encrypt(deep), {"protocolVersion": 2})
    with pytest.raises(wire.WireError, match="too many levels"):
        wire.decrypt_json(CRYPTO, CRYPTO.encrypt(deep))
    with pytest.raises(wire.WireError, match="not an error record"):
        wire.decode_error_members(CRYPTO, deep)


def test_a_lone_surrogate_survives():
    message = {"body": {"text": "\ud800"}}
    assert wire.decode(CRYPTO, wire.encode(CRYPTO, message), {"protocolVersion": 2}) == message


def test_what_json_lacks_is_refused():
    with pytest.raises(ValueError, match="JSON"):
        wire.to_json({"n": math.nan})
    with pytest.raises(TypeError, match="set cannot be written"):
        wire.to_json({"n": {1}})


def test_a_tick_is_an_empty_message_of_a_new_execution():
    out = wire.tick(CRYPTO, workspace="w", flow="f", exec_id="f.v1")
    message = wire.decode(CRYPTO, out.body, out.headers)
    assert {key: message[key] for key in ("body", "headers", "attachments")} == {
        "body": {},
        "headers": {},
        "attachments": {},
    }
    assert out.headers["messageId"] != out.headers["threadId"]
    assert "stepId" not in out.headers
    assert out.headers["taskId"] == "f"


def test_a_retry_keeps_the_execution_and_gets_a_new_id():
    record = {"threadId": "t", "messageId": "m", "reply_to": "r", "x-eio-meta-a": "1", "execId": "old"}
    out = wire.retry(CRYPTO, {"body": 1}, record, workspace="w", flow="f", exec_id="f.v2", previous_step="p")
    assert out.headers["threadId"] == "t"
    assert out.headers["messageId"] != "m"
    assert out.headers["retry"] is True
    assert (out.headers["reply_to"], out.headers["x-eio-meta-a"], out.headers["stepId"]) == ("r", "1", "p")
    assert out.headers["execId"] == "f.v2"


def test_an_error_record_reads_back():
    error = {"name": "E", "message": "m", "stack": "s"}
    for failed_on in ({"body": {"a": 1}}, None):
        body = wire.error_body(CRYPTO, error, failed_on)
        assert wire.decode_error_members(CRYPTO, body) == (error, failed_on)
    with pytest.raises(wire.WireError):
        wire.decode_error_members(CRYPTO, b'{"error": 3}')


def test_the_three_shapes_of_a_reply():
    # Given what httpReply, a routed message and an error look like
    a = wire.encode(CRYPTO, {"statusCode": 201, "body": {"a": 1}, "headers": {"X-A": "1"}}, 1)
    b = wire.encode(CRYPTO, {"body": "hi", "headers": {"Content-Type": "text/plain", "x-eio-status-code": 202}}, 2)
    c = wire.encrypt_text(CRYPTO, {"name": "Error", "message": "no", "stack": ""}).encode()
    # Then each becomes an HTTP answer
    assert wire.decode_reply(CRYPTO, a, {"protocolVersion": 1}) == wire.Reply(201, {"X-A": "1"}, {"a": 1})
    assert wire.decode_reply(CRYPTO, b, {"protocolVersion": 2}) == wire.Reply(202, {"Content-Type": "text/plain"}, "hi")
    assert wire.decode_reply(CRYPTO, c, {"x-eio-error-response": True}) == wire.Reply(
        500, {}, {"error": "no"}, failed=True
    )


@pytest.mark.parametrize(("value", "protocol"), [(None, 1), ("2", 2), (2, 2), ("x", 1), (1, 1)])
def test_the_protocol_a_message_names(value, protocol):
    assert wire.protocol_of({"protocolVersion": value}) == protocol
