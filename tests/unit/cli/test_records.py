"""Failed messages as people see them."""

from nomadflows.broker.kept import Kept
from nomadflows.broker.wire import Crypto, encode, error_body
from nomadflows.cli.records import dead_record, error_record, grouped, paired, unrouted_record
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


def test_counts_of_errors_are_those_of_the_records_there_are():
    """There is no counter beside the records that could say something else, whatever is wrong with one of them."""
    whole = [error(f"error {number % 7}") for number in range(20)]
    spoilt = [error(crypto=OTHER), error(stepId="report"), Kept(1, "orders.v3", "store.error", {}, b"rubbish")]
    kept = [*whole, *spoilt]
    while kept:
        rows = grouped([error_record(one, CRYPTO) for one in kept])
        assert sum(row["count"] for row in rows) == len(kept)
        del kept[len(kept) // 2]  # retried, dropped, or too old
    assert grouped([]) == []


def test_a_dead_letter_of_an_error_handler_is_read_as_what_the_handler_got():
    headers = {
        "messageId": "e1",
        "stepId": "store",
        "x-death": [{"queue": "orders.v3.oops", "reason": "rejected"}],
        "x-first-death-queue": "orders.v3.oops",
    }
    body = error_body(CRYPTO, {"name": "Error", "message": "no"}, {"body": {"n": 1}})
    found = dead_record(Kept(1, "", "orders.dead", headers, body), CRYPTO, FlowRef("default", "orders"))
    assert (found.step, found.problem) == ("oops", "")
    assert found.input == {
        "body": {"error": {"name": "Error", "message": "no"}, "errorInput": {"body": {"n": 1}}},
        "headers": {"messageId": "e1", "stepId": "store"},
    }


def test_what_found_no_queue_is_told_by_its_key_and_only_to_its_flow():
    kept = Kept(1, "orders.v3", "store.input", {"protocolVersion": 2}, encode(CRYPTO, {"body": {"n": 2}}))
    found = unrouted_record(kept, CRYPTO, FlowRef("default", "orders"))
    assert (found.step, found.version, found.message) == ("store", "3", "no queue takes store.input")
    assert found.input == {"body": {"n": 2}}
    assert unrouted_record(kept, CRYPTO, FlowRef("default", "orders-2")) is None
    answer = Kept(1, "orders.v3", "reply.1f", {}, b"rubbish")
    assert unrouted_record(answer, CRYPTO, FlowRef("default", "orders")).step == ""


def dead(messages, step="store", **headers):
    death = [{"queue": f"orders.v3.{step}", "reason": "rejected"}]
    headers = {"messageId": "m1", "protocolVersion": 2, "x-death": death, **headers}
    return [
        dead_record(
            Kept(tag, "", "orders.dead", headers, encode(CRYPTO, message)), CRYPTO, FlowRef("default", "orders")
        )
        for tag, message in enumerate(messages)
    ]


def failed(message, **headers):
    body = error_body(CRYPTO, {"message": "no"}, message)
    return error_record(
        Kept(1, "orders.v3", "store.error", {**HEADERS, "parentMessageId": "m1", **headers}, body), CRYPTO
    )


def test_an_error_and_its_dead_letter_are_known_by_message_step_and_content():
    # Given outputs of one call, which share an id, and a branch that got one of them too
    letters = dead([{"body": {"n": 1}}, {"body": {"n": 2}}]) + dead([{"body": {"n": 3}}], step="report")
    records = [
        failed({"body": {"n": 2}, "headers": {"reply_to": "r"}}),
        failed({"body": {"n": 3}}),
        failed({"body": 4}),
    ]
    # Then only what says the same belongs together, whatever is in the headers
    assert [one.twin and one.twin.kept.tag for one in paired(records, letters)] == [1, None, None]
    assert paired([failed({"body": {"n": 1}}, parentMessageId="m2")], letters)[0].twin is None


def test_an_error_of_a_message_without_message_id_has_its_dead_letter_too():
    """Else a retry would leave the dead letter, which would bring the message a second time."""
    letters = dead([{"body": {"n": 1}}, {"body": {"n": 2}}], messageId="")
    (found,) = paired([failed({"body": {"n": 2}}, parentMessageId="")], letters)
    assert found.twin is letters[1]


def test_each_dead_letter_belongs_to_one_error():
    same = {"body": {"n": 1}}
    found = paired([failed(same), failed(same), failed(same)], dead([same, same]))
    assert [one.twin and one.twin.kept.tag for one in found] == [0, 1, None]


def test_the_other_list_is_read_no_further_than_need_be():
    letters = iter(dead([{"body": {"n": 1}}, {"body": {"n": 2}}]))
    assert paired([failed({"body": {"n": 1}})], letters)[0].twin
    assert next(letters).input == {"body": {"n": 2}}
