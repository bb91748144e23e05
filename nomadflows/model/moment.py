"""`$moment()` in expressions: dates as elastic.io's mappings write them, chained.

`$moment(at).add(1, 'days').format('YYYY-MM-DD')` needs an object whose members are functions. `prelude` gives JSONata that
makes such objects out of plain milliseconds and an offset; the functions it calls are Python, in `BINDINGS`. All is UTC, as
in elastic.io's containers, unless `utcOffset` says otherwise. What is no date is an error here, where the original goes on
with the text "Invalid date". Arithmetic is in `dates`, reading and writing in `datetext`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from nomadflows.model import dates, datetext

_ITSELF: Final = "$moment"  # the member that holds the milliseconds, by which a date is known

_PARTS: Final = (  # got without an argument, set with one
    "year", "years", "month", "months", "date", "dates", "day", "days", "hour", "hours", "minute", "minutes", "second",
    "seconds", "millisecond", "milliseconds", "quarter", "quarters", "week", "weeks", "isoWeek", "isoWeeks", "weekday",
    "isoWeekday", "dayOfYear",
)  # fmt: skip
_MEMBERS: Final = {
    "add": "function($n, $unit) { $_moment($_moment_add($t, $n, $unit, $z, 1), $z) }",
    "subtract": "function($n, $unit) { $_moment($_moment_add($t, $n, $unit, $z, -1), $z) }",
    "startOf": "function($unit) { $_moment($_moment_edge($t, $unit, false, $z), $z) }",
    "endOf": "function($unit) { $_moment($_moment_edge($t, $unit, true, $z), $z) }",
    **dict.fromkeys(("utc", "local"), "function() { $_moment($t, 0) }"),
    **dict.fromkeys(("clone", "toDate"), "function() { $_moment($t, $z) }"),
    "utcOffset": "function($to) { $exists($to) ? $_moment($t, $_moment_offset($to)) : $z }",
    "format": "function($as) { $_moment_format($t, $as, $z) }",
    **dict.fromkeys(("toISOString", "toJSON"), "function() { $_moment_iso($t) }"),
    "toString": "function() { $_moment_format($t, 'ddd MMM DD YYYY HH:mm:ss [GMT]ZZ', $z) }",
    "valueOf": "function() { $t }",
    "unix": "function() { $floor($t / 1000) }",
    **{
        name: f"function($to) {{ $exists($to) ? $_moment($_moment_set($t, '{name}', $to, $z), $z)"
        f" : $_moment_part($t, '{name}', $z) }}"
        for name in _PARTS
    },
    "get": "function($name) { $_moment_part($t, $name, $z) }",
    "set": "function($name, $to) { $_moment($_moment_set($t, $name, $to, $z), $z) }",
    **{
        name: f"function() {{ $_moment_part($t, '{name}', $z) }}"
        for name in ("daysInMonth", "isLeapYear", "weekYear", "isoWeekYear")
    },
    "diff": "function($o, $unit, $exact) { $_moment_diff($t, $_moment_of($o), $unit, $exact, $z) }",
    "isBefore": "function($o, $unit) { $_moment_edge($t, $unit, true, $z) < $_moment_of($o) }",
    "isAfter": "function($o, $unit) { $_moment_edge($t, $unit, false, $z) > $_moment_of($o) }",
    "isSame": "function($o, $unit) { $_moment_between($t, $_moment_of($o), $_moment_of($o), $unit, '[]', $z) }",
    "isSameOrBefore": "function($o, $unit) { $_moment_edge($t, $unit, false, $z) <= $_moment_of($o) }",
    "isSameOrAfter": "function($o, $unit) { $_moment_edge($t, $unit, true, $z) >= $_moment_of($o) }",
    "isBetween": "function($a, $b, $unit, $ends) { $_moment_between($t, $_moment_of($a), $_moment_of($b), $unit, $ends, $z) }",
    "isValid": "function() { true }",
}
METHODS: Final = frozenset(_MEMBERS)


def prelude(source: str) -> str:
    """What stands before an expression that says `$moment`; the expression and a closing parenthesis follow. Dates get the
    members that the expression names: each costs every date that is made."""
    said = set(re.findall(r"\w+", source))
    members = "".join(f', "{name}": {code}' for name, code in _MEMBERS.items() if name in said)
    return (
        f'($_moment := function($t, $z) {{ {{"{_ITSELF}": $t{members}}} }};'
        f" $_moment_of := function($o, $as) {{ $exists($o) ? ($exists($o.`{_ITSELF}`) ? $o.`{_ITSELF}`"
        " : $_moment_read($o, $as)) : $_moment_now() };"
        " $moment := function($o, $as) { $_moment($_moment_of($o, $as), 0) }; "
    )


def written_out(value: Any) -> Any:
    """Dates that are still dates in a result, as ISO 8601: so the original writes them."""
    if isinstance(value, dict):
        if value.keys() == {_ITSELF}:
            return datetext.iso(value[_ITSELF])
        return {name: written_out(member) for name, member in value.items()}
    return [written_out(member) for member in value] if isinstance(value, list) else value


BINDINGS: Final[dict[str, Callable[..., Any]]] = {
    "_moment_now": dates.now,
    "_moment_read": datetext.read,
    "_moment_offset": datetext.offset,
    "_moment_format": datetext.formatted,
    "_moment_iso": datetext.iso,
    "_moment_add": dates.add,
    "_moment_edge": dates.edge,
    "_moment_diff": dates.diff,
    "_moment_part": dates.part,
    "_moment_set": dates.with_part,
    "_moment_between": dates.between,
}
