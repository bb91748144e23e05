"""What a failed message becomes when it is given to a step again."""

import pytest

from nomadflows.broker.kept import Kept
from nomadflows.broker.wire import (
    OBJECT_HEADER,
    Crypto,
    decode,
    decode_error_members,
    encode,
    encrypt_text,
    error_body,
    error_message,
    to_json,
)
from nomadflows.cli.records import Record, dead_record, error_record, paired, unrouted_record
from nomadflows.cli.replay import Taker, again, begin, previous_step, routed_again
from nomadflows.model.errors import InputError, Refused
from nomadflows.model.flow import FlowDefinition
from nomadflows.model.graph import expand
from nomadflows.model.names import FlowRef

CRYPTO = Crypto("secret", "0123456789abcdef")
REF = FlowRef("default", "orders")


def taker(*steps, number=4):
    definition = FlowDefinition.from_json(
        {"flow": "orders", "steps": [{"use": "probe:relay", **step} for step in steps]}
    )
    return Taker(REF.version(number), expand(definition), CRYPTO)


CHAIN = taker({"id": "receive"}, {"id": "enrich"}, {"id": "store"}, {"id": "report", "map": {"n": "n"}})
HANDLED = taker({"id": "receive"}, {"id": "store"}, {"id": "oops", "error_handler": True})
PASSTHROUGH = {
    "receive": {"body": {"of": "receive"}},
    "enrich": {"id": "e", "body": {"of": "enrich"}},
    "store": {"body": {"of": "store"}},
    "mapper:store:report": {"body": {"of": "mapper"}},
}


def failed(step, passed=(), body=7):
    content = {"body": body, "passthrough": {name: PASSTHROUGH[name] for name in passed}}
    headers = {"messageId": "e1", "threadId": "t1", "stepId": step, "parentMessageId": "m1", "reply_to": "r"}
    kept = Kept(1, "orders.v3", f"{step}.error", headers, error_body(CRYPTO, {"message": "no"}, content))
    return error_record(kept, CRYPTO)


def test_a_failed_message_goes_to_its_step_as_it_was():
    made = again(CHAIN, failed("store", ["receive"]))
    assert made.key == "store.input"
    assert decode(CRYPTO, made.message.body, made.message.headers)["body"] == 7
    headers = made.message.headers
    assert (headers["retry"], headers["threadId"], headers["stepId"], headers["reply_to"]) == (
        True,
        "t1",
        "enrich",
        "r",
    )
    assert headers["messageId"] not in {"e1", "m1"}


def test_a_mended_body_replaces_the_body_only():
    made = again(CHAIN, failed("store", ["receive"]), {"n": 8})
    content = decode(CRYPTO, made.message.body, made.message.headers)
    assert content == {"body": {"n": 8}, "passthrough": {"receive": PASSTHROUGH["receive"]}}


def test_a_mended_body_is_not_looked_for_in_the_object_store():
    content = {"body": {}, "headers": {"x-ipaas-object-storage-id": "one", "kind": "a"}}
    kept = Kept(1, "orders.v3", "store.error", {"stepId": "store"}, error_body(CRYPTO, {"message": "no"}, content))
    made = again(CHAIN, error_record(kept, CRYPTO), {"n": 8})
    assert made.content == {"body": {"n": 8}, "headers": {"kind": "a"}}
    assert decode(CRYPTO, made.message.body, made.message.headers) == made.content
    # And as it was, it still is
    assert again(CHAIN, error_record(kept, CRYPTO)).content == content


def of_handler():
    """What an error handler got, and the error record it wrote when it failed on that."""
    first = {"messageId": "e1", "threadId": "t1", "stepId": "store", "compId": "sql", "reply_to": "r", "end": 5}
    got = error_message(CRYPTO, error_body(CRYPTO, {"name": "Error", "message": "no"}, {"body": 1}), first)
    headers = {"messageId": "e2", "threadId": "t1", "stepId": "oops", "parentMessageId": "e1"}
    return got, Kept(1, "orders.v3", "oops.error", headers, error_body(CRYPTO, {"message": "nor I"}, got))


def test_an_error_of_the_error_handler_is_given_to_it_as_an_error_again():
    got, kept = of_handler()
    made = again(HANDLED, error_record(kept, CRYPTO))
    assert made.key == "oops.input"
    # It is what the handler reads, and tells the step that failed first
    error, failed_input = decode_error_members(CRYPTO, made.message.body)
    assert (error, failed_input) == ({"name": "Error", "message": "no"}, {"body": 1})
    assert error_message(CRYPTO, made.message.body, made.message.headers)["body"] == got["body"]
    headers = made.message.headers
    assert {
        "stepId": "store",
        "compId": "sql",
        "threadId": "t1",
        "reply_to": "r",
        "retry": True,
    }.items() <= headers.items()
    assert headers["messageId"] not in {"e1", "e2"}


def dead_letter():
    headers = {"messageId": "e1", "stepId": "store", "x-death": [{"queue": "orders.v3.oops", "reason": "rejected"}]}
    body = error_body(CRYPTO, {"name": "Error", "message": "no"}, {"body": 1})
    return dead_record(Kept(1, "", "orders.dead", headers, body), CRYPTO, REF)


def test_a_dead_letter_of_the_error_handler_too():
    _, kept = of_handler()
    made = again(HANDLED, dead_letter())
    assert decode_error_members(CRYPTO, made.message.body)[1] == {"body": 1}
    assert "x-death" not in made.message.headers
    # And it belongs to the handler's error
    (error,) = paired([error_record(kept, CRYPTO)], [dead_letter()])
    assert again(HANDLED, error).records == (error, error.twin)


def test_what_nodes_error_handler_failed_on_has_its_headers_from_the_dead_letter():
    # Given the library leaves the record as it came, without its headers
    first = error_body(CRYPTO, {"name": "Error", "message": "no"}, {"body": 1})
    body = to_json({"error": encrypt_text(CRYPTO, {"message": "nor I"}), "errorInput": first.decode()})
    headers = {"messageId": "e2", "stepId": "oops", "parentMessageId": "e1"}
    record = error_record(Kept(1, "orders.v3", "oops.error", headers, body), CRYPTO)
    assert record.input == {"body": {"error": {"name": "Error", "message": "no"}, "errorInput": {"body": 1}}}
    (error,) = paired([record], [dead_letter()])
    made = again(HANDLED, error)
    assert decode_error_members(CRYPTO, made.message.body)[1] == {"body": 1}
    assert made.message.headers["stepId"] == "store"


def test_what_is_no_error_is_not_given_to_an_error_handler():
    with pytest.raises(InputError, match="an error handler gets"):
        again(HANDLED, failed("oops"), {"n": 1})


def test_what_has_no_message_or_no_step_is_refused():
    started = Kept(1, "orders.v3", "store.error", {"stepId": "store"}, error_body(CRYPTO, {"message": "no"}, None))
    with pytest.raises(Refused, match="an error at a start has no message"):
        again(CHAIN, error_record(started, CRYPTO))
    with pytest.raises(Refused, match="version 4 of default/orders has no step gone"):
        again(CHAIN, failed("gone"))


ALL = list(PASSTHROUGH)


@pytest.mark.parametrize(
    ("step", "carried", "start", "place", "of", "left"),
    [
        # the step after the trigger gets the trigger's output, and nothing came before that
        ("report", ALL[:3], "enrich", "enrich", "receive", []),
        ("report", ALL[:3], "store", "store", "enrich", ["receive"]),
        # a mapping belongs to the step it feeds
        ("report", ALL[:3], "report", "mapper:store:report", "store", ["receive", "enrich"]),
        ("mapper:store:report", ALL[:2], "store", "store", "enrich", ["receive"]),
    ],
)
def test_an_earlier_step_gets_what_it_got_then(step, carried, start, place, of, left):
    found = begin(CHAIN, failed(step, carried), start)
    assert (found.step, found.previous) == (place, of)
    assert found.content == {**PASSTHROUGH[of], "passthrough": {name: PASSTHROUGH[name] for name in left}}


def test_a_retry_from_an_earlier_step_names_the_bodies_that_lie_in_the_object_store():
    """Lightweight messages: what an earlier step got is found there, as are the bodies of the steps before that."""

    def light(name):
        return {"body": {}, "headers": {OBJECT_HEADER: name}}

    content = {**light("of store"), "passthrough": {"receive": light("of receive"), "enrich": light("of enrich")}}
    kept = Kept(1, "orders.v3", "store.error", {"stepId": "store"}, error_body(CRYPTO, {"message": "no"}, content))
    made = again(CHAIN, error_record(kept, CRYPTO), step="store")
    assert made.content == content
    report = {"stepId": "report"}
    passthrough = {"store": light("of store"), **content["passthrough"]}
    body = error_body(CRYPTO, {"message": "no"}, {**light("of report"), "passthrough": passthrough})
    made = again(CHAIN, error_record(Kept(1, "orders.v3", "report.error", report, body), CRYPTO), step="store")
    assert decode(CRYPTO, made.message.body, made.message.headers) == {
        **light("of enrich"),
        "passthrough": {"receive": light("of receive")},
    }


@pytest.mark.parametrize(
    ("step", "start"), [("store", "store"), ("mapper:store:report", "report"), ("receive", "receive")]
)
def test_from_the_step_that_failed_is_the_same_message(step, start):
    found = begin(CHAIN, failed(step, ["receive"]), start)
    assert (found.step, found.content["body"]) == (step, 7)


@pytest.mark.parametrize(
    ("step", "carried", "start", "why"),
    [
        ("store", ["receive"], "receive", "receive is where messages begin"),
        ("store", ["receive"], "report", "report does not come before store"),
        ("store", ["receive"], "gone", "has no step gone"),
        ("report", ["enrich", "store"], "enrich", "does not carry what enrich got from receive"),
    ],
)
def test_where_a_retry_cannot_begin(step, carried, start, why):
    with pytest.raises(Refused, match=why):
        begin(CHAIN, failed(step, carried), start)


def test_of_several_ways_into_a_step_the_one_the_message_came_is_known():
    fan_in = taker(
        {"id": "receive"},
        {"id": "a", "after": "receive"},
        {"id": "b", "after": "a"},
        {"id": "join", "after": ["a", "b"]},
        {"id": "last", "after": "join"},
    )
    passed = {"receive": {"body": 1}, "a": {"body": 2}, "b": {"body": 3}, "join": {"body": 4}}

    def begins(*carried):
        record = Record(
            "1", "last", "3", "", "t", "", "", input={"body": 5, "passthrough": {k: passed[k] for k in carried}}
        )
        return begin(fan_in, record, "join")

    assert begins("receive", "a").previous == "a"
    assert begins("receive", "a", "b").previous == "b"
    with pytest.raises(Refused, match="does not carry what join got from a, b"):
        begins("receive")


def test_of_a_dead_letter_it_is_known_who_sent_it():
    fan_in = taker({"id": "receive"}, {"id": "a", "after": "receive"}, {"id": "join", "after": ["receive", "a"]})
    headers = {"messageId": "m", "stepId": "a", "protocolVersion": 2, "x-death": [{"queue": "orders.v3.join"}]}
    letter = dead_record(Kept(1, "", "orders.dead", headers, encode(CRYPTO, {"body": 1})), CRYPTO, REF)
    assert again(fan_in, letter).message.headers["stepId"] == "a"


def test_what_found_no_queue_is_sent_as_it_was_where_a_queue_takes_it_now():
    headers = {"messageId": "m1", "protocolVersion": 2}
    body = encode(CRYPTO, {"body": 1})

    def unrouted(key):
        return unrouted_record(Kept(1, "orders.v3", key, headers, body), CRYPTO, REF)

    for key in ("store.input", "enrich.data", "report.error", "enrich.snapshot"):
        made = routed_again(CHAIN, unrouted(key))
        assert (made.key, made.message) == (key, (body, headers))
    for key in ("gone.input", "reply.1f", "gone.data"):
        with pytest.raises(Refused, match=f"no queue takes {key} in version 4 either"):
            routed_again(CHAIN, unrouted(key))


def test_the_step_before_is_known_where_there_is_one():
    after = {"b": ("a",), "c": ("a", "b"), "a": ()}
    assert [previous_step(after, step) for step in ("b", "c", "a", "gone")] == ["a", "", "", ""]
