"""Documents read back what they wrote, and bear with what newer and older writers did."""

import json
from dataclasses import fields
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nomadflows.model.states import (
    Condition,
    Deleted,
    Desired,
    Event,
    Kind,
    Meta,
    Status,
    StepStatus,
    parse_timestamp,
    timestamp,
)

texts = st.text(max_size=12)
conditions = st.builds(
    Condition, type=texts, status=st.sampled_from(["True", "False", "Unknown"]), reason=texts, message=texts
)
step_statuses = st.builds(StepStatus, id=texts, kind=texts, component=texts, ready=st.integers(0, 10**6))
documents = st.one_of(
    st.builds(Deleted, at=texts, until=texts, meta=st.builds(Meta), by=texts),
    st.builds(Meta),
    st.builds(Desired),
    st.builds(Event),
    conditions,
    step_statuses,
    st.builds(
        Status,
        conditions=st.lists(conditions, max_size=3).map(tuple),
        steps=st.lists(step_statuses, max_size=3).map(tuple),
        components=st.dictionaries(texts, texts, max_size=3),
        warm_up_s=st.none() | st.floats(0, 1e6),
    ),
)


@given(documents)
def test_a_document_reads_back(document):
    stored = json.loads(json.dumps(document.to_json(), indent=2, ensure_ascii=False))

    assert type(document).from_json(stored) == document


@given(documents)
def test_a_document_of_a_newer_writer_is_read(document):
    assert type(document).from_json({**document.to_json(), "added_later": {"x": 1}}) == document


@pytest.mark.parametrize("document", [Desired(), Status()])
def test_a_document_of_an_older_writer_is_read(document):
    for field in fields(document):
        data = document.to_json()
        del data[field.name]

        assert type(document).from_json(data) == document


def test_an_empty_document_is_all_defaults():
    assert Status.from_json({}) == Status()
    assert Desired.from_json({}) == Desired()


@pytest.mark.parametrize("text", ["realtime", "real-time", "long_running"])
def test_spellings_of_realtime(text: str):
    assert Kind.parse(text) is Kind.REALTIME
    assert Meta.from_json({"name": "x", "kind": text}).kind is Kind.REALTIME


def test_a_kind_that_is_none():
    with pytest.raises(ValueError, match="batch"):
        Kind.parse("batch")


@given(st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)), st.integers(-12 * 60, 14 * 60))  # noqa: DTZ001
def test_a_moment_reads_back_to_the_millisecond_in_utc(naive: datetime, offset: int):
    moment = naive.replace(tzinfo=timezone(timedelta(minutes=offset)))

    text = timestamp(moment)

    assert text.endswith("Z")
    assert timedelta(0) <= moment - parse_timestamp(text) < timedelta(milliseconds=1)
    assert parse_timestamp(text).tzinfo == UTC
