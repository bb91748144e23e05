"""Failed messages as people see them."""

from nomadflows.broker.kept import Kept
from nomadflows.broker.wire import Crypto, encode, error_body
from nomadflows.cli.records import dead_record, error_record, grouped, previous_step
from nomadflows.model.names import FlowRef

CRYPTO = Crypto("secret", "0123456789abcdef")
OTHER = Crypto("other", "0123456789abcdef")
HEADERS = {"messageId": "3f7a12bc-1", "threadId": "t1", "stepId": "store", "end": 1_700_000_000_000}


def error(message="no", crypto=CRYPTO, **headers):
    body = error_body(crypto, {"name": "Error", "message": message, "stack": "at x"}, {"body": {"n": 1}})
    return Kept(1, "orders.v3", "store.error", {**HEADERS, **headers}, body)


def test_an_error_is_shown_with_its_input():
    found = error_record(error(), CRYPTO)
    assert (found.id, found.step, found.version, found.at) == ("3f7a12bc", "store", "3", "2023-11-14T22:13:20.000Z")
    assert (found.message, found.input) == ("no", {"body": {"n": 1}})


def test_what_cannot_be_decrypted_is_listed_all_the_same():
    found = error_record(error(crypto=OTHER), CRYPTO)
    assert found.problem
    assert found.input is None


def test_a_dead_message_tells_the_queue_it_comes_from():
    kept = Kept(
        1, "", "orders.dead", {"x-death": [{"queue": "orders.v3.mapper:a:b", "reason": "rejected"}]}, b"rubbish"
    )
    found = dead_record(kept, CRYPTO, FlowRef("default", "orders"))
    assert (found.step, found.version, found.name) == ("mapper:a:b", "3", "rejected")
    assert found.problem
    good = Kept(1, "", "orders.dead", {"protocolVersion": 2}, encode(CRYPTO, {"body": {"n": 2}}))
    assert dead_record(good, CRYPTO, FlowRef("default", "orders")).input == {"body": {"n": 2}}


def test_errors_of_one_kind_are_one_line():
    records = [error_record(error(m), CRYPTO) for m in ("a", "b", "a")]
    assert [(row["count"], row["message"]) for row in grouped(records)] == [(2, "a"), (1, "b")]


def test_the_step_before_is_known_where_there_is_one():
    after = {"b": ("a",), "c": ("a", "b"), "a": ()}
    assert [previous_step(after, step) for step in ("b", "c", "a", "gone")] == ["a", "", "", ""]
