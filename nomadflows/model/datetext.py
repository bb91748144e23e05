"""Dates as text, both ways: moment's tokens, ISO 8601, RFC 2822. ValueError for what is no date."""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final

from nomadflows.model.dates import date, millis, now, part

_LAST_OF_CENTURY: Final = 68  # two digits up to it are 20xx, as in the original
_FEWEST_MINUTES: Final = 16  # an offset below it is one of hours
_MONTHS: Final = list(calendar.month_name)
_DAYS: Final = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]
_LONG: Final = {
    "LTS": "h:mm:ss A", "LT": "h:mm A", "LLLL": "dddd, MMMM D, YYYY h:mm A", "LLL": "MMMM D, YYYY h:mm A",
    "LL": "MMMM D, YYYY", "L": "MM/DD/YYYY",
}  # fmt: skip
_TOKEN: Final = re.compile(
    r"\[[^\]]*\]|LTS|LT|L{1,4}|YYYY|YY|GGGG|GG|gggg|gg|Q|MMMM|MMM|MM|M|DDDD|DDD|Do|DD|D|dddd|ddd|dd|d|E|e|WW|W|ww|w|HH|H|hh|h|kk|k"
    r"|mm|m|ss|s|S{1,9}|A|a|ZZ|Z|X|x|."
)
_NUMBER_OF: Final = {
    "YYYY": r"(\d{4})", "YY": r"(\d{2})", "MM": r"(\d{1,2})", "M": r"(\d{1,2})", "DD": r"(\d{1,2})", "D": r"(\d{1,2})",
    "HH": r"(\d{1,2})", "H": r"(\d{1,2})", "hh": r"(\d{1,2})", "h": r"(\d{1,2})", "mm": r"(\d{1,2})", "m": r"(\d{1,2})",
    "ss": r"(\d{1,2})", "s": r"(\d{1,2})", "SSS": r"(\d{1,3})", "A": r"([AaPp][Mm])", "a": r"([AaPp][Mm])",
    "Z": r"(Z|[+-]\d\d:?\d\d)", "ZZ": r"(Z|[+-]\d\d:?\d\d)", "X": r"(-?\d+)", "x": r"(-?\d+)",
    "MMM": r"([A-Za-z]{3})", "MMMM": r"([A-Za-z]+)",
}  # fmt: skip


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
    return millis(found if found.tzinfo else found.replace(tzinfo=UTC))


def offset(value: Any) -> int:
    """Minutes ahead of UTC: of hours up to 16, of minutes, or of text such as +02:00."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return int(value * 60) if abs(value) < _FEWEST_MINUTES else int(value)
    try:
        found = datetime.strptime(str(value), "%z").utcoffset()
    except ValueError:
        raise ValueError(f"$moment: no offset from UTC: {value!r}") from None
    return int(found.total_seconds() // 60) if found else 0


def iso(at: int) -> str:
    return formatted(at, "YYYY-MM-DDTHH:mm:ss.SSS[Z]")


def formatted(at: int, pattern: Any = None, zone: float = 0) -> str:
    """By the original's tokens; ISO 8601 without a pattern."""
    moment = date(at).astimezone(timezone(timedelta(minutes=zone)))
    usual = "YYYY-MM-DDTHH:mm:ssZ" if zone else "YYYY-MM-DDTHH:mm:ss[Z]"
    return _put(moment, at, usual if pattern is None else str(pattern))


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


def _part(moment: datetime, at: int, name: str) -> int:
    zone = moment.utcoffset()
    return part(at, name, zone.total_seconds() / 60 if zone else 0)


def _ordinal(number: int) -> str:
    teens = 10 < number % 100 < 14  # noqa: PLR2004 - 11th, 12th, 13th
    return f"{number}{'th' if teens else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"


_FORMATS: Final[dict[str, Callable[[datetime, int], str]]] = {
    "YYYY": lambda m, _: f"{m.year:04d}", "YY": lambda m, _: f"{m.year % 100:02d}",
    "GGGG": lambda m, _: str(m.isocalendar().year), "GG": lambda m, _: f"{m.isocalendar().year % 100:02d}",
    "gggg": lambda m, at: str(_part(m, at, "weekYear")), "gg": lambda m, at: f"{_part(m, at, 'weekYear') % 100:02d}",
    "Q": lambda m, _: str((m.month + 2) // 3),
    "MMMM": lambda m, _: _MONTHS[m.month], "MMM": lambda m, _: _MONTHS[m.month][:3],
    "MM": lambda m, _: f"{m.month:02d}", "M": lambda m, _: str(m.month),
    "DDDD": lambda m, _: f"{m.timetuple().tm_yday:03d}", "DDD": lambda m, _: str(m.timetuple().tm_yday),
    "Do": lambda m, _: _ordinal(m.day), "DD": lambda m, _: f"{m.day:02d}", "D": lambda m, _: str(m.day),
    "dddd": lambda m, _: _DAYS[m.isoweekday() % 7], "ddd": lambda m, _: _DAYS[m.isoweekday() % 7][:3],
    "dd": lambda m, _: _DAYS[m.isoweekday() % 7][:2], "d": lambda m, _: str(m.isoweekday() % 7),
    "E": lambda m, _: str(m.isoweekday()), "e": lambda m, _: str(m.isoweekday() % 7),
    "ww": lambda m, at: f"{_part(m, at, 'week'):02d}", "w": lambda m, at: str(_part(m, at, "week")),
    "WW": lambda m, _: f"{m.isocalendar().week:02d}", "W": lambda m, _: str(m.isocalendar().week),
    "HH": lambda m, _: f"{m.hour:02d}", "H": lambda m, _: str(m.hour),
    "hh": lambda m, _: f"{m.hour % 12 or 12:02d}", "h": lambda m, _: str(m.hour % 12 or 12),
    "kk": lambda m, _: f"{m.hour or 24:02d}", "k": lambda m, _: str(m.hour or 24),
    "mm": lambda m, _: f"{m.minute:02d}", "m": lambda m, _: str(m.minute),
    "ss": lambda m, _: f"{m.second:02d}", "s": lambda m, _: str(m.second),
    "A": lambda m, _: "AM" if m.hour < 12 else "PM", "a": lambda m, _: "am" if m.hour < 12 else "pm",  # noqa: PLR2004
    "Z": lambda m, _: f"{m:%z}"[:3] + ":" + f"{m:%z}"[3:], "ZZ": lambda m, _: f"{m:%z}",
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

    year = number("YYYY", default=date(now()).year)
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
    return millis(moment)
