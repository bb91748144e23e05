"""Arithmetic with dates as moment counts: milliseconds in and out, fields as a clock with an offset from UTC shows them.

ValueError for what moment has no word for, or no date can be.
"""

from __future__ import annotations

import calendar
import time
from datetime import UTC, datetime, timedelta
from typing import Any, Final

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTE: Final = 60_000
_DAY: Final = 86_400_000

_UNITS: Final = {
    **dict.fromkeys(("y", "year", "years"), "year"), **dict.fromkeys(("Q", "quarter", "quarters"), "quarter"),
    **dict.fromkeys(("M", "month", "months"), "month"), **dict.fromkeys(("w", "week", "weeks"), "week"),
    **dict.fromkeys(("d", "day", "days", "D", "date", "dates"), "day"), **dict.fromkeys(("h", "hour", "hours"), "hour"),
    **dict.fromkeys(("m", "minute", "minutes"), "minute"), **dict.fromkeys(("s", "second", "seconds"), "second"),
    **dict.fromkeys(("ms", "millisecond", "milliseconds"), "millisecond"),
    **dict.fromkeys(("W", "isoWeek", "isoWeeks"), "isoWeek"),
}  # fmt: skip
_MILLIS: Final = {
    "week": 7 * _DAY, "isoWeek": 7 * _DAY, "day": _DAY, "hour": 3_600_000, "minute": _MINUTE, "second": 1_000,
    "millisecond": 1,
}  # fmt: skip
_IN_MONTHS: Final = {"year": 12, "quarter": 3, "month": 1}
_IN_DAYS: Final = {"day": 1, "week": 7, "isoWeek": 7}
# Fields that are no unit of the same name, and in which order several are set: a month before a day, a day before an hour.
_FIELDS: Final = {
    **{name: name for name in ("date", "day", "weekday", "isoWeekday", "dayOfYear")}, "D": "date", "dates": "date",
    "d": "day", "days": "day", "e": "weekday", "E": "isoWeekday", "DDD": "dayOfYear",
}  # fmt: skip
_ORDER: Final = ("year", "dayOfYear", "week", "isoWeek", "quarter", "month", "date", "day", "weekday", "isoWeekday")


def now() -> int:
    return int(time.time() * 1000)


def date(at: float, zone: float = 0) -> datetime:
    """As a clock shows it that is `zone` minutes ahead of UTC."""
    try:
        return EPOCH + timedelta(milliseconds=at + zone * _MINUTE)
    except OverflowError:
        raise ValueError(f"$moment: {at} ms is no date") from None


def millis(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(milliseconds=1)


def add(at: int, amount: Any, unit: Any = None, zone: float = 0, sign: int = 1) -> int:
    """`amount` of a unit, or {unit: amount, …}: months first, then days, then what is shorter."""
    amounts = amount if isinstance(amount, dict) else {unit or "millisecond": amount}
    months = days = 0.0
    short = 0.0
    for name, number in amounts.items():
        known, count = unit_of(name), sign * float(number)
        months += count * _IN_MONTHS.get(known, 0)
        days += count * _IN_DAYS.get(known, 0)
        short += 0 if known in _IN_MONTHS or known in _IN_DAYS else count * _MILLIS[known]
    return _later(at, _rounded(months), zone) + _rounded(days) * _DAY + int(short)


def _later(at: int, months: int, zone: float) -> int:
    """A month has no 31st: its last day then."""
    if not months:
        return at
    moment = date(at, zone)
    year, month = divmod(moment.year * 12 + moment.month - 1 + months, 12)
    try:
        day = min(moment.day, calendar.monthrange(year, month + 1)[1])
        return millis(moment.replace(year=year, month=month + 1, day=day)) - int(zone * _MINUTE)
    except (ValueError, OverflowError):
        raise ValueError(f"$moment: the year {year} has no dates here") from None


def _rounded(number: float) -> int:
    return int(number + (0.5 if number > 0 else -0.5))


def edge(at: int, unit: Any = None, last: Any = False, zone: float = 0) -> int:
    """The first moment of the unit it lies in, or the last one."""
    unit = unit_of(unit or "millisecond")
    if unit == "millisecond":
        return at
    moment = date(at, zone)
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    if unit in _IN_MONTHS:
        month = {"year": 1, "quarter": (moment.month - 1) // 3 * 3 + 1, "month": moment.month}[unit]
        first = millis(day.replace(month=month, day=1))
    elif unit in {"week", "isoWeek"}:
        first = millis(day - timedelta(days=moment.isoweekday() % 7 if unit == "week" else moment.weekday()))
    else:
        local = at + int(zone * _MINUTE)
        first = local - local % _MILLIS[unit]
    first -= int(zone * _MINUTE)
    return add(first, 1, unit, zone) - 1 if last else first


def between(at: int, a: int, b: int, unit: Any = None, ends: Any = None, zone: float = 0) -> bool:
    """Whether it lies between two others; `ends` says by [ or ( whether they belong to it."""
    first, last = edge(at, unit, last=False, zone=zone), edge(at, unit, last=True, zone=zone)
    ends = str(ends or "()")
    return (last >= a if ends[0] == "[" else first > a) and (first <= b if ends[-1] == "]" else last < b)


def diff(at: int, other: int, unit: Any = None, exact: Any = False, zone: float = 0) -> float:
    """How many units lie between, whole ones unless `exact`."""
    unit = unit_of(unit or "millisecond")
    months = unit in _IN_MONTHS
    found = _months_between(at, other, zone) / _IN_MONTHS[unit] if months else (at - other) / _MILLIS[unit]
    return found if exact else int(found)


def _months_between(at: int, other: int, zone: float) -> float:
    """Whole months and the part of the one begun, as the original counts."""
    a, b = date(at, zone), date(other, zone)
    if a.day < b.day:
        return -_months_between(other, at, zone)
    whole = (b.year - a.year) * 12 + b.month - a.month
    anchor = _later(at, whole, zone)
    near = _later(at, whole - 1 if other < anchor else whole + 1, zone)
    return -(whole + (other - anchor) / (anchor - near if other < anchor else near - anchor)) or 0.0


def part(at: int, name: Any, zone: float = 0) -> int:
    """One field of a date. Weeks begin on Sunday and the first holds 1 January, or as ISO 8601 has them."""
    moment = date(at, zone)
    sunday = date(edge(at, "week", zone=zone), zone) + timedelta(
        days=6
    )  # the end of its week decides whose year it is in
    iso = moment.isocalendar()
    found = {
        "year": moment.year, "month": moment.month - 1, "date": moment.day, "day": moment.isoweekday() % 7,
        "weekday": moment.isoweekday() % 7, "isoWeekday": iso.weekday, "hour": moment.hour, "minute": moment.minute,
        "second": moment.second, "millisecond": moment.microsecond // 1000, "quarter": (moment.month + 2) // 3,
        "week": (sunday.timetuple().tm_yday - 1) // 7 + 1, "weekYear": sunday.year, "isoWeek": iso.week,
        "isoWeekYear": iso.year, "dayOfYear": moment.timetuple().tm_yday,
        "daysInMonth": calendar.monthrange(moment.year, moment.month)[1], "isLeapYear": calendar.isleap(moment.year),
    }  # fmt: skip
    return found[name] if name in found else found[_field(name)]


def with_part(at: int, name: Any, to: Any = None, zone: float = 0) -> int:
    """With one field set, or several: {name: value, …}. What is too much goes into the field above."""
    fields = {_field(key): value for key, value in (name if isinstance(name, dict) else {name: to}).items()}
    for field in sorted(fields, key=lambda field: _ORDER.index(field) if field in _ORDER else len(_ORDER)):
        unit = "day" if field in _FIELDS else field
        at = add(at, float(fields[field]) - part(at, field, zone), unit, zone)
    return at


def _field(name: Any) -> str:
    return _FIELDS.get(name) or unit_of(name)


def unit_of(unit: Any) -> str:
    if unit not in _UNITS:
        raise ValueError(f"$moment: unknown unit {unit!r}")
    return _UNITS[unit]
