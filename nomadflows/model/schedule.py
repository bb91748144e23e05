"""When a cron expression is next due. Knows nothing of flows; asks no clock: the moment is given."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final
from zlib import crc32
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from nomadflows.model.errors import InputError

DEFAULT: Final = "*/3 * * * *"  # of a polling trigger that names no schedule
DEFAULT_EVERY_S: Final = 180.0
_NAMES: Final = ("second", "minute", "hour", "day-of-month", "month", "day-of-week")
_RANGES: Final = ("0-59", "0-59", "0-23", "1-31", "1-12 or JAN-DEC", "0-7 or SUN-SAT")
_FIELDS: Final = 5
_EPOCH: Final = datetime(2026, 1, 1, tzinfo=UTC)


class ScheduleError(InputError):
    """The expression or the zone is wrong."""


@lru_cache(maxsize=256)
def zone(name: str) -> ZoneInfo:
    """The time zone of an IANA name."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:  # unknown; a path; a folder of zones
        raise ScheduleError(
            f"no time zone is called {name!r}; allowed: IANA names such as UTC or Europe/Berlin"
        ) from error


def check(expression: str, *, seconds: bool = False) -> None:
    """ScheduleError if the expression is malformed or no moment can ever match it."""
    parts = expression.split()
    allowed = (_FIELDS, _FIELDS + 1) if seconds else (_FIELDS,)
    if len(parts) not in allowed:
        raise ScheduleError(_wrong_count(expression, len(parts), seconds=seconds))
    for index, part in enumerate(parts, start=_FIELDS + 1 - len(parts)):
        _check_field(index, part)
    try:
        due = next(CronSim(expression, _EPOCH), None)
    except CronSimError:  # each field is right by itself, so it is their combination that is not
        due = None
    if due is None:
        raise ScheduleError(
            f"{expression!r} never occurs: no such date exists; allowed: a cron expression that has a next time"
        )


def next_after(expression: str, zone_name: str, moment: datetime) -> datetime:
    """The first moment later than `moment` (aware) that the expression names in that zone, in UTC.

    In a zone with daylight saving a fixed time that is skipped runs right after the gap, and one that occurs
    twice runs once, as Debian's cron has it.
    """
    if moment.tzinfo is None:
        raise ValueError("moment must carry its time zone")
    local = moment.astimezone(UTC if zone_name == "UTC" else zone(zone_name))
    try:
        for due in CronSim(expression, local):
            if (found := due.astimezone(UTC)) > moment:  # the repeated hour of autumn can look backwards
                return found
    except CronSimError as error:
        raise ScheduleError(f"{expression!r} is no cron expression: {error}") from error
    raise ScheduleError(
        f"{expression!r} never occurs: no such date exists; allowed: a cron expression that has a next time"
    )


def delay(name: str, jitter_s: float) -> timedelta:
    """By how much one flow's ticks come after their schedule: its own share of the jitter, the same for ever, so that
    thousands that are due at one minute come one after the other and each keeps its distances."""
    return timedelta(milliseconds=int(crc32(name.encode()) / 2**32 * jitter_s * 1000))


def occurrences(expression: str, zone_name: str, moment: datetime, late: timedelta = timedelta()) -> Iterator[datetime]:
    """All moments later than `moment` at which a schedule is due whose ticks come `late` after it, in UTC."""
    while True:
        moment = next_after(expression, zone_name, moment - late) + late
        yield moment


def _check_field(index: int, part: str) -> None:
    fields = ["*"] * (_FIELDS + 1)
    fields[index] = part
    try:
        CronSim(" ".join(fields), _EPOCH)
    except CronSimError as error:
        raise ScheduleError(
            f"{part!r} is no {_NAMES[index]}; allowed: {_RANGES[index]}, *, lists (1,2), ranges (1-5), steps (*/5)"
        ) from error


def _wrong_count(expression: str, count: int, *, seconds: bool) -> str:
    names = " ".join(_NAMES[1:])
    if count == _FIELDS + 1:
        return f"{expression!r} has 6 fields; allowed: 5 ({names}); a seconds field only in a realtime flow"
    more = ", or 6 with the second in front" if seconds else ""
    return f"{expression!r} has {count} field{'' if count == 1 else 's'}; allowed: 5 ({names}){more}"
