"""The order of component versions, as semver.org defines it. Build metadata does not count."""

from __future__ import annotations

from typing import TypeAlias

SemverKey: TypeAlias = tuple[tuple[int, ...], int, tuple[tuple[int, int, str], ...]]


def semver_key(version: str) -> SemverKey:
    """Sorts `1.9.0 < 1.10.0-rc.2 < 1.10.0-rc.10 < 1.10.0`. What is no version sorts before all versions."""
    core, dash, suffix = version.partition("+")[0].partition("-")
    numbers = core.split(".")
    if not all(number.isdecimal() for number in numbers):
        return (), 0, ((1, 0, version),)
    words = tuple((0, int(word), "") if word.isdecimal() else (1, 0, word) for word in suffix.split("."))
    return tuple(int(number) for number in numbers), 0 if dash else 1, words if dash else ()
