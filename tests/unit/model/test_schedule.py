"""When a schedule is next due."""

from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nomadflows.model.schedule import DEFAULT, ScheduleError, check, delay, next_after, occurrences, zone


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)


@pytest.mark.parametrize(
    ("expression", "zone_name", "moment", "expected"),
    [
        (DEFAULT, "UTC", utc(2026, 1, 1, 0, 0), utc(2026, 1, 1, 0, 3)),
        (DEFAULT, "UTC", utc(2026, 1, 1, 0, 2, 59), utc(2026, 1, 1, 0, 3)),
        ("0 9 * * MON", "UTC", utc(2026, 1, 1), utc(2026, 1, 5, 9)),
        ("0 9 * * 7", "UTC", utc(2026, 1, 1), utc(2026, 1, 4, 9)),
        ("0 0 29 FEB *", "UTC", utc(2026, 1, 1), utc(2028, 2, 29)),
        ("*/5 * * * * *", "UTC", utc(2026, 1, 1, 0, 0, 1), utc(2026, 1, 1, 0, 0, 5)),
        ("0 9 * * *", "Europe/Berlin", utc(2026, 1, 1), utc(2026, 1, 1, 8)),
        ("0 9 * * *", "Europe/Berlin", utc(2026, 7, 1), utc(2026, 7, 1, 7)),
        # spring: 02:30 does not exist on 29 March; right after the gap
        ("30 2 * * *", "Europe/Berlin", utc(2026, 3, 28, 12), utc(2026, 3, 29, 1)),
        # autumn: 02:30 occurs twice on 25 October; the first time only
        ("30 2 * * *", "Europe/Berlin", utc(2026, 10, 24, 12), utc(2026, 10, 25, 0, 30)),
        ("30 2 * * *", "Europe/Berlin", utc(2026, 10, 25, 0, 30), utc(2026, 10, 26, 1, 30)),
        ("30 2 * * *", "Europe/Berlin", utc(2026, 10, 25, 1, 15), utc(2026, 10, 26, 1, 30)),
        ("*/30 * * * *", "Europe/Berlin", utc(2026, 10, 25, 0, 30), utc(2026, 10, 25, 1)),
    ],
)
def test_next_after(expression: str, zone_name: str, moment: datetime, expected: datetime):
    assert next_after(expression, zone_name, moment) == expected


@pytest.mark.parametrize(
    "expression", [DEFAULT, "0 0 * * *", "0 0 29 2 *", "0 12 1-7 * MON", "0 0 L * *", "0 0 31 2 MON"]
)
def test_good_expressions(expression: str):
    check(expression)


@pytest.mark.parametrize("expression", ["0 0 30 2 *", "0 0 31 4,6,9,11 *", "0 0 31 2 *"])
def test_dates_that_never_occur(expression: str):
    with pytest.raises(ScheduleError) as caught:
        check(expression)
    assert str(caught.value) == (
        f"{expression!r} never occurs: no such date exists; allowed: a cron expression that has a next time"
    )
    with pytest.raises(ScheduleError):
        next_after(expression, "UTC", utc(2026, 1, 1))


@pytest.mark.parametrize(
    ("expression", "start"),
    [
        ("60 * * * *", "'60' is no minute; allowed: 0-59, "),
        ("* 24 * * *", "'24' is no hour; allowed: 0-23, "),
        ("* * 0 * *", "'0' is no day-of-month; allowed: 1-31, "),
        ("* * * FOO *", "'FOO' is no month; allowed: 1-12 or JAN-DEC, "),
        ("* * * * 8", "'8' is no day-of-week; allowed: 0-7 or SUN-SAT, "),
        ("*/0 * * * *", "'*/0' is no minute; "),
        ("5-1 * * * *", "'5-1' is no minute; "),
        ("", "'' has 0 fields; allowed: 5 (minute hour day-of-month month day-of-week)"),
        ("*", "'*' has 1 field; allowed: 5 "),
        ("* * * * * *", "'* * * * * *' has 6 fields; allowed: 5 "),
    ],
)
def test_bad_expressions(expression: str, start: str):
    with pytest.raises(ScheduleError) as caught:
        check(expression)
    assert str(caught.value).startswith(start)


def test_seconds_where_they_are_allowed():
    check("*/5 * * * * *", seconds=True)
    check(DEFAULT, seconds=True)
    with pytest.raises(ScheduleError) as caught:
        check("61 * * * * *", seconds=True)
    assert str(caught.value).startswith("'61' is no second; ")


@pytest.mark.parametrize("name", ["Europe/Berln", "", "../../etc/passwd", "/etc/passwd", "Europe", "a\0b", "x" * 5000])
def test_zones_that_are_none(name: str):
    with pytest.raises(ScheduleError):
        zone(name)


def test_a_moment_without_zone_is_a_mistake_of_the_caller():
    with pytest.raises(ValueError, match="time zone"):
        next_after(DEFAULT, "UTC", datetime(2026, 1, 1))  # noqa: DTZ001


@given(
    st.sampled_from([DEFAULT, "30 2 * * *", "0 9 * * MON-FRI", "15 */6 1 * *", "0 0 * * * *"]),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]),
    st.integers(0, 3 * 365 * 24 * 60),
)
def test_always_later_and_nothing_in_between(expression: str, zone_name: str, minutes: int):
    moment = utc(2026, 1, 1) + timedelta(minutes=minutes)

    due = next_after(expression, zone_name, moment)

    assert due > moment
    assert next_after(expression, zone_name, due - timedelta(seconds=1)) == due


@given(st.text(alphabet="0123456789*/,-LW#MONJAN ", max_size=30) | st.text(max_size=20))
def test_any_text_is_a_schedule_or_told_why_not(expression: str):
    try:
        check(expression, seconds=True)
    except ScheduleError:
        return
    assert next_after(expression, "UTC", utc(2026, 1, 1)) > utc(2026, 1, 1)


def test_thousands_of_flows_share_the_jitter_evenly():
    delays = [delay(f"default/flow-{number}", 60).total_seconds() for number in range(5000)]
    assert delays == [delay(f"default/flow-{number}", 60).total_seconds() for number in range(5000)]
    assert 0 <= min(delays) <= max(delays) < 60
    each_second = [sum(second <= late < second + 1 for late in delays) for second in range(60)]
    assert max(each_second) < 2 * 5000 / 60
    assert delay("default/flow-1", 0) == timedelta()


@given(
    st.sampled_from([DEFAULT, "30 2 * * *", "0 9 * * MON-FRI"]),
    st.sampled_from(["UTC", "Europe/Berlin", "Australia/Lord_Howe"]),
    st.integers(0, 365 * 24 * 60),
    st.integers(0, 3_600_000),
)
def test_what_is_spread_keeps_its_distances(expression: str, zone_name: str, minutes: int, late_ms: int):
    moment, late = utc(2026, 1, 1) + timedelta(minutes=minutes), timedelta(milliseconds=late_ms)

    plain = list(islice(occurrences(expression, zone_name, moment), 5))
    spread = list(islice(occurrences(expression, zone_name, moment + late, late), 5))

    assert plain[0] == next_after(expression, zone_name, moment)
    assert spread == [due + late for due in plain]
