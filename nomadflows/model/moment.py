"""`$moment()` in expressions: dates as elastic.io's mappings write them, chained.

`$moment(at).add(1, 'days').format('YYYY-MM-DD')` needs an object whose members are functions. `PRELUDE` is JSONata that
makes such objects out of plain milliseconds; the functions it calls are Python, in `BINDINGS`. Everything is UTC, as in
elastic.io's containers. What is no date is an error here, where the original goes on with the text "Invalid date".
"""

from __future__ import annotations

import calendar
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

_LAST_OF_CENTURY: Final = 68  # two digits up to it are 20xx, as in the original
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MONTHS: Final = list(calendar.month_name)
_DAYS: Final = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]
_LONG: Final = {
    "LTS": "h:mm:ss A", "LT": "h:mm A", "LLLL": "dddd, MMMM D, YYYY h:mm A", "LLL": "MMMM D, YYYY h:mm A",
    "LL": "MMMM D, YYYY", "L": "MM/DD/YYYY",
}  # fmt: skip
_UNITS: Final = {
    **dict.fromkeys(("y", "year", "years"), "year"), **dict.fromkeys(("Q", "quarter", "quarters"), "quarter"),
    **dict.fromkeys(("M", "month", "months"), "month"), **dict.fromkeys(("w", "week", "weeks"), "week"),
    **dict.fromkeys(("d", "day", "days", "D", "date"), "day"), **dict.fromkeys(("h", "hour", "hours"), "hour"),
    **dict.fromkeys(("m", "minute", "minutes"), "minute"), **dict.fromkeys(("s", "second", "seconds"), "second"),
    **dict.fromkeys(("ms", "millisecond", "milliseconds"), "millisecond"), "isoWeek": "isoWeek",
}  # fmt: skip
_MILLIS: Final = {
    "week": 604_800_000, "isoWeek": 604_800_000, "day": 86_400_000, "hour": 3_600_000, "minute": 60_000,
    "second": 1_000, "millisecond": 1,
}  # fmt: skip
_IN_MONTHS: Final = {"year": 12, "quarter": 3, "month": 1}
_TOKEN: Final = re.compile(
    r"\[[^\]]*\]|LTS|LT|L{1,4}|YYYY|YY|GGGG|Q|MMMM|MMM|MM|M|DDDD|DDD|Do|DD|D|dddd|ddd|dd|d|E|WW|W|HH|H|hh|h|kk|k"
    r"|mm|m|ss|s|S{1,9}|A|a|ZZ|Z|X|x|."
)
_NUMBER_OF: Final = {
    "YYYY": r"(\d{4})", "YY": r"(\d{2})", "MM": r"(\d{1,2})", "M": r"(\d{1,2})", "DD": r"(\d{1,2})", "D": r"(\d{1,2})",
    "HH": r"(\d{1,2})", "H": r"(\d{1,2})", "hh": r"(\d{1,2})", "h": r"(\d{1,2})", "mm": r"(\d{1,2})", "m": r"(\d{1,2})",
    "ss": r"(\d{1,2})", "s": r"(\d{1,2})", "SSS": r"(\d{1,3})", "A": r"([AaPp][Mm])", "a": r"([AaPp][Mm])",
    "Z": r"(Z|[+-]\d\d:?\d\d)", "ZZ": r"(Z|[+-]\d\d:?\d\d)", "X": r"(-?\d+)", "x": r"(-?\d+)",
    "MMM": r"([A-Za-z]{3})", "MMMM": r"([A-Za-z]+)",
}  # fmt: skip

METHODS: Final = frozenset(
    [
        "add",
        "subtract",
        "startOf",
        "endOf",
        "utc",
        "local",
        "clone",
        "format",
        "toISOString",
        "toJSON",
        "valueOf",
        "unix",
        "year",
        "month",
        "date",
        "day",
        "hour",
        "minute",
        "second",
        "millisecond",
        "quarter",
        "isoWeek",
        "dayOfYear",
        "diff",
        "isBefore",
        "isAfter",
        "isSame",
        "isSameOrBefore",
        "isSameOrAfter",
        "isValid",
    ]
)

_CHAINED: Final = {
    "add": "function($n, $unit) { $_moment($_moment_add($t, $n, $unit)) }",
    "subtract": "function($n, $unit) { $_moment($_moment_add($t, -$n, $unit)) }",
    "startOf": "function($unit) { $_moment($_moment_edge($t, $unit, false)) }",
    "endOf": "function($unit) { $_moment($_moment_edge($t, $unit, true)) }",
    **dict.fromkeys(("utc", "local", "clone"), "function() { $_moment($t) }"),
    "format": "function($as) { $_moment_format($t, $as) }",
    **dict.fromkeys(("toISOString", "toJSON"), "function() { $_moment_format($t, 'YYYY-MM-DDTHH:mm:ss.SSS[Z]') }"),
    "valueOf": "function() { $t }",
    "unix": "function() { $floor($t / 1000) }",
    **{
        name: f"function() {{ $_moment_part($t, '{name}') }}"
        for name in [
            "year",
            "month",
            "date",
            "day",
            "hour",
            "minute",
            "second",
            "millisecond",
            "quarter",
            "isoWeek",
            "dayOfYear",
        ]
    },
    "diff": "function($o, $unit, $exact) { $_moment_diff($t, $_moment_of($o), $unit, $exact) }",
    "isBefore": "function($o) { $t < $_moment_of($o) }",
    "isAfter": "function($o) { $t > $_moment_of($o) }",
    "isSame": "function($o, $unit) { $_moment_edge($t, $unit, false) = $_moment_edge($_moment_of($o), $unit, false) }",
    "isSameOrBefore": "function($o) { $t <= $_moment_of($o) }",
    "isSameOrAfter": "function($o) { $t >= $_moment_of($o) }",
    "isValid": "function() { true }",
}

# Stands before an expression that says `$moment`; the expression and a closing parenthesis follow.
PRELUDE: Final = (
    "($_moment := function($t) { {" + ", ".join(f'"{name}": {code}' for name, code in _CHAINED.items()) + "} };"
    " $_moment_of := function($o, $as) { $exists($o) ? ($type($o) = 'object' ? $o.valueOf() : $_moment_read($o, $as))"
    " : $_moment_now() };"
    " $moment := function($o, $as) { $_moment($_moment_of($o, $as)) }; "
)


def now() -> int:
    return int(time.time() * 1000)


def read(value: Any, pattern: Any = None) -> int:
    """Milliseconds of a number, of ISO 8601 or RFC 2822, or by a pattern. ValueError for what is no date."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"$moment: not a date: {value!r}")  # noqa: TRY004 - one kind of error for all
    if isinstance(value, int | float):
        return int(value)
    if pattern is not None:
        return _by_pattern(value, str(pattern))
    try:
        found = datetime.fromisoformat(value.strip())
    except ValueError:
        from email.utils import parsedate_to_datetime  # late: a mapper's start need not pay for it

        try:
            found = parsedate_to_datetime(value)
        except ValueError:
            raise ValueError(f"$moment: not a date: {value!r}") from None
    return _millis(found if found.tzinfo else found.replace(tzinfo=UTC))


def add(at: int, amount: Any, unit: Any = None) -> int:
    unit = _unit(unit or "millisecond")
    if unit in _IN_MONTHS:
        moment, months = _date(at), round(float(amount)) * _IN_MONTHS[unit]
        years, month = divmod(moment.year * 12 + moment.month - 1 + months, 12)
        day = min(moment.day, calendar.monthrange(years, month + 1)[1])
        return _millis(moment.replace(year=years, month=month + 1, day=day))
    if unit in {"day", "week", "isoWeek"}:  # whole ones, as the original counts them
        amount = round(float(amount) * (7 if unit != "day" else 1))
        unit = "day"
    return at + int(float(amount) * _MILLIS[unit])


def edge(at: int, unit: Any = None, last: Any = False) -> int:
    """The first moment of the unit it lies in, or the last one."""
    unit = _unit(unit or "millisecond")
    if unit == "millisecond":
        return at
    moment = _date(at)
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    if unit in _IN_MONTHS:
        month = {"year": 1, "quarter": (moment.month - 1) // 3 * 3 + 1, "month": moment.month}[unit]
        first = _millis(day.replace(month=month, day=1))
    elif unit in {"week", "isoWeek"}:
        first = _millis(day - timedelta(days=moment.isoweekday() % 7 if unit == "week" else moment.weekday()))
    else:
        first = at - at % _MILLIS[unit]
    return add(first, 1, "week" if unit == "isoWeek" else unit) - 1 if last else first


def diff(at: int, other: int, unit: Any = None, exact: Any = False) -> float:
    """How many units lie between, whole ones unless `exact`."""
    unit = _unit(unit or "millisecond")
    found = _months_between(at, other) / _IN_MONTHS[unit] if unit in _IN_MONTHS else (at - other) / _MILLIS[unit]
    return found if exact else int(found)


def part(at: int, name: str) -> int:
    moment = _date(at)
    return {
        "year": moment.year, "month": moment.month - 1, "date": moment.day, "day": moment.isoweekday() % 7,
        "hour": moment.hour, "minute": moment.minute, "second": moment.second,
        "millisecond": moment.microsecond // 1000, "quarter": (moment.month + 2) // 3,
        "isoWeek": moment.isocalendar().week, "dayOfYear": moment.timetuple().tm_yday,
    }[name]  # fmt: skip


def formatted(at: int, pattern: Any = None) -> str:
    """By the original's tokens; ISO 8601 without a pattern."""
    moment = _date(at)
    return _put(moment, at, "YYYY-MM-DDTHH:mm:ss[Z]" if pattern is None else str(pattern))


def _put(moment: datetime, at: int, pattern: str) -> str:
    return "".join(_token(token, moment, at) for token in _TOKEN.findall(pattern))


def _token(token: str, moment: datetime, at: int) -> str:
    if token.startswith("["):
        return token[1:-1]
    if token in _LONG:
        return _put(moment, at, _LONG[token])
    if token[0] == "S":
        return f"{moment.microsecond:06d}000"[: len(token)]
    found = _FORMATS.get(token)
    return found(moment, at) if found else token


def _ordinal(number: int) -> str:
    teens = 10 < number % 100 < 14  # noqa: PLR2004 - 11th, 12th, 13th
    return f"{number}{'th' if teens else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"


_FORMATS: Final[dict[str, Callable[[datetime, int], str]]] = {
    "YYYY": lambda m, _: f"{m.year:04d}", "YY": lambda m, _: f"{m.year % 100:02d}",
    "GGGG": lambda m, _: str(m.isocalendar().year), "Q": lambda m, _: str((m.month + 2) // 3),
    "MMMM": lambda m, _: _MONTHS[m.month], "MMM": lambda m, _: _MONTHS[m.month][:3],
    "MM": lambda m, _: f"{m.month:02d}", "M": lambda m, _: str(m.month),
    "DDDD": lambda m, _: f"{m.timetuple().tm_yday:03d}", "DDD": lambda m, _: str(m.timetuple().tm_yday),
    "Do": lambda m, _: _ordinal(m.day), "DD": lambda m, _: f"{m.day:02d}", "D": lambda m, _: str(m.day),
    "dddd": lambda m, _: _DAYS[m.isoweekday() % 7], "ddd": lambda m, _: _DAYS[m.isoweekday() % 7][:3],
    "dd": lambda m, _: _DAYS[m.isoweekday() % 7][:2], "d": lambda m, _: str(m.isoweekday() % 7),
    "E": lambda m, _: str(m.isoweekday()),
    "WW": lambda m, _: f"{m.isocalendar().week:02d}", "W": lambda m, _: str(m.isocalendar().week),
    "HH": lambda m, _: f"{m.hour:02d}", "H": lambda m, _: str(m.hour),
    "hh": lambda m, _: f"{m.hour % 12 or 12:02d}", "h": lambda m, _: str(m.hour % 12 or 12),
    "kk": lambda m, _: f"{m.hour or 24:02d}", "k": lambda m, _: str(m.hour or 24),
    "mm": lambda m, _: f"{m.minute:02d}", "m": lambda m, _: str(m.minute),
    "ss": lambda m, _: f"{m.second:02d}", "s": lambda m, _: str(m.second),
    "A": lambda m, _: "AM" if m.hour < 12 else "PM", "a": lambda m, _: "am" if m.hour < 12 else "pm",  # noqa: PLR2004
    "Z": lambda _m, _: "+00:00", "ZZ": lambda _m, _: "+0000",
    "X": lambda _m, at: str(at // 1000), "x": lambda _m, at: str(at),
}  # fmt: skip


def _by_pattern(text: str, pattern: str) -> int:
    """Only the tokens a date is written with; anything else in the pattern stands for itself."""
    tokens = _TOKEN.findall(pattern)
    expression = "".join(_NUMBER_OF.get(t, re.escape(t.strip("[]") if t[0] == "[" else t)) for t in tokens)
    match = re.match(expression, text.strip())
    if match is None:
        raise ValueError(f"$moment: {text!r} is not a date of the form {pattern}")
    found = dict(zip((t for t in tokens if t in _NUMBER_OF), match.groups(), strict=True))
    for token, scale in (("x", 1), ("X", 1000)):
        if token in found:
            return int(found[token]) * scale
    return _assembled(found, text)


def _assembled(found: dict[str, str], text: str) -> int:
    def number(*names: str, default: int) -> int:
        return next((int(found[name]) for name in names if name in found), default)

    year = number("YYYY", default=_date(now()).year)
    if "YY" in found:
        year = number("YY", default=0) + (1900 if number("YY", default=0) > _LAST_OF_CENTURY else 2000)
    name = found.get("MMM") or found.get("MMMM")
    hour = number("HH", "H", "hh", "h", default=0)
    half = (found.get("A") or found.get("a") or "").lower()
    if half:
        hour = hour % 12 + (12 if half == "pm" else 0)
    zone = found.get("Z") or found.get("ZZ") or "Z"
    try:
        month = [m[:3].lower() for m in _MONTHS].index(name[:3].lower()) if name else number("MM", "M", default=1)
        moment = datetime(
            year, month, number("DD", "D", default=1), hour, number("mm", "m", default=0), number("ss", "s", default=0),
            int(found.get("SSS", "0").ljust(3, "0")) * 1000, datetime.strptime(zone, "%z").tzinfo,
        )  # fmt: skip
    except ValueError as error:
        raise ValueError(f"$moment: {text!r} is not a date: {error}") from None
    return _millis(moment)


def _months_between(at: int, other: int) -> float:
    """Whole months and the part of the one begun, as the original counts."""
    if _date(at).day < _date(other).day:
        return -_months_between(other, at)
    a, b = _date(at), _date(other)
    whole = (b.year - a.year) * 12 + b.month - a.month
    anchor = add(at, whole, "month")
    near = add(at, whole - 1 if other < anchor else whole + 1, "month")
    return -(whole + (other - anchor) / (anchor - near if other < anchor else near - anchor)) or 0.0


def _unit(unit: Any) -> str:
    if unit not in _UNITS:
        raise ValueError(f"$moment: unknown unit {unit!r}")
    return _UNITS[unit]


def _date(at: float) -> datetime:
    try:
        return _EPOCH + timedelta(milliseconds=at)
    except OverflowError:
        raise ValueError(f"$moment: {at} ms is no date") from None


def _millis(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(milliseconds=1)


BINDINGS: Final[dict[str, Callable[..., Any]]] = {
    "_moment_now": now,
    "_moment_read": read,
    "_moment_add": add,
    "_moment_edge": edge,
    "_moment_diff": diff,
    "_moment_part": part,
    "_moment_format": formatted,
}
