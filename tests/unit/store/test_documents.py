import pytest

from nomadflows.model.errors import InputError
from nomadflows.model.names import FlowRef
from nomadflows.model.states import EVENTS_KEPT, Desired, Event, Kind, Meta, Status, WantedState
from nomadflows.store import history
from nomadflows.store.consul_client import Entry
from nomadflows.store.documents import Unreadable, decode, encode, flow_record
from nomadflows.store.inbox import read_entry
from nomadflows.store.keys import Keys

REF = FlowRef("default", "orders")


def test_documents_are_text_for_people():
    text = encode(Meta("grüße", Kind.REALTIME, latest=2).to_json(), "k").decode()

    assert text.startswith('{\n  "name": "grüße",\n  "kind": "realtime",')


@pytest.mark.parametrize("value", [float("nan"), "\ud800", object()])
def test_what_json_has_no_form_for_is_refused_by_name(value):
    with pytest.raises(InputError, match="the/key"):
        encode({"x": value}, "the/key")


@pytest.mark.parametrize("value", [b"", b"{", b"[]", b"\xff\xfe", b"null"])
def test_what_a_hand_has_spoilt_is_named(value):
    with pytest.raises(Unreadable, match=r"a/b/status in Consul cannot be read"):
        decode(Entry("a/b/status", value, 3))


def test_a_record_has_defaults_for_what_is_not_there_yet():
    absent = Entry("k", b"", 0)
    record = flow_record(
        REF, Entry("m", b'{"name": "orders", "kind": "real-time", "later": 1}', 5), absent, absent, has_draft=True
    )

    assert (record.meta.value.kind, record.meta.index) == (Kind.REALTIME, 5)
    assert (record.desired.value, record.desired.index) == (Desired(), 0)
    assert record.status.value == Status()
    assert record.desired.value.state is WantedState.STOPPED


def test_a_state_nobody_knows_is_not_taken_for_stopped():
    with pytest.raises(Unreadable, match="desired"):
        flow_record(
            REF,
            Entry("m", b'{"name": "orders"}', 5),
            Entry("desired", b'{"state": "runing"}', 6),
            Entry("s", b"", 0),
            has_draft=False,
        )


def event(number: int, message: str = "m") -> Event:
    return Event(f"t{number}", "Reason", message)


def test_the_history_keeps_the_newest_events():
    document: dict = {}
    for number in range(EVENTS_KEPT + 5):
        document = history.appended(document, [event(number)])

    events = history.read(document)
    assert len(events) == EVENTS_KEPT
    assert (events[0].at, events[-1].at) == ("t5", f"t{EVENTS_KEPT + 4}")


def test_a_history_of_long_messages_leaves_room_for_the_status_in_the_same_transaction():
    document = history.appended({}, [event(n, "ü" * 100_000) for n in range(EVENTS_KEPT)])

    events = history.read(document)
    assert len(encode(document, "k")) < 205_000
    assert 50 < len(events) < EVENTS_KEPT
    assert events[-1].at == f"t{EVENTS_KEPT - 1}"
    assert events[-1].message.endswith("ü…")


def test_a_spoilt_history_does_not_stop_the_next_event():
    assert history.read(history.appended({"events": "gone"}, [event(1)])) == [event(1)]
    assert history.read({"events": [1, {"at": "x"}, event(2).to_json()]}) == [event(2)]


@pytest.mark.parametrize(
    ("value", "flow", "request_"),
    [
        (b'{"flow": "default/orders", "request": "run-now", "by": "a", "at": "b"}', REF, "run-now"),
        (b"not json", FlowRef("default", "other"), "changed"),
        (b'{"flow": "???"}', FlowRef("default", "other"), "changed"),
        (b"[1]", FlowRef("default", "other"), "changed"),
    ],
)
def test_an_inbox_entry_is_readable_whatever_its_value(value, flow, request_):
    entry = read_entry(Keys(), Entry("nomadflows/inbox/default.other.x", value, 9))

    assert (entry.flow, entry.request, entry.index) == (flow, request_, 9)
