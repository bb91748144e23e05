"""JSON objects that commands are given as files, `-` for standard input."""

from __future__ import annotations

import json
from typing import IO, Any, Final

import click

from nomadflows.model.errors import InputError

JSON_FILE: Final = click.File(encoding="utf-8")


def json_object(file: IO[str] | None, option: str) -> dict[str, Any]:
    """Empty without a file. InputError names the option and the file."""
    if file is None:
        return {}
    try:
        found = json.loads(file.read())
    except ValueError as error:
        raise InputError(f"{option}: {file.name} is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise InputError(f"{option}: {file.name} holds no JSON object")
    return found
