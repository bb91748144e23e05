"""How a value becomes HCL. The job spec's template has no other way to put a value into its text.

Jinja calls `hcl` for every expression, so a template cannot forget it: text comes out as a quoted HCL string
in which nothing is special, and a value of an unforeseen type is an error. Text is refused where no spelling
would keep it: Nomad's clients replace `${name}` in most strings when a task starts, without a way to escape
it, and HCL brings every string into Unicode's composed form.

What is meant to be more than text says so by its type: `Runtime`, `Shown`, `Name`.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Final

from jinja2 import Undefined

from nomadflows.model.errors import InputError

_PLACEHOLDER: Final = re.compile(r"\$\{[a-zA-Z0-9_\-.]+\}")  # what Nomad's clients replace
_RUNTIME: Final = re.compile(r"(?:[A-Za-z0-9_./:-]|\$\{NOMAD_[A-Z_]+\})*")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SHORT: Final = {"\n": r"\n", "\r": r"\r", "\t": r"\t", '"': r"\"", "\\": r"\\"}


@dataclass(frozen=True, slots=True)
class Runtime:
    """Text that Nomad's client completes when the task starts, such as `${NOMAD_ALLOC_ID}`."""

    text: str

    def __post_init__(self) -> None:
        if not _RUNTIME.fullmatch(self.text):
            raise ValueError(f"not a text for Nomad to complete: {self.text!r}")


@dataclass(frozen=True, slots=True)
class Shown:
    """Text that is only shown to people: Nomad completes nothing in it, so nothing in it is refused."""

    text: str


@dataclass(frozen=True, slots=True)
class Name:
    """The name of an attribute, written without quotes and filled up with blanks to a width."""

    text: str
    width: int = 0

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.text):
            raise ValueError(f"not the name of an HCL attribute: {self.text!r}")


def hcl(value: object) -> str:
    """A value as HCL. InputError for text that cannot be kept as it is; TypeError for what is no plain value."""
    match value:
        case bool():
            text = "true" if value else "false"
        case int():
            text = str(int(value))  # not its own text: a subclass may have any
        case str():
            text = _quoted(_kept(str(value)))
        case list() | tuple():
            text = "[" + ", ".join(hcl(item) for item in value) + "]"
        case Shown():
            text = _quoted(unicodedata.normalize("NFC", value.text))
        case Runtime():
            text = f'"{value.text}"'
        case Name():
            text = value.text.ljust(value.width)
        case Undefined():
            text = str(value)  # strict: raises, and says which name is missing
        case _:
            raise TypeError(f"a job spec holds text, numbers and switches, not {type(value).__name__}")
    return text


def _kept(text: str) -> str:
    if _PLACEHOLDER.search(text):
        raise InputError(
            f"{_excerpt(text)} holds ${{…}}, which Nomad would replace when the step starts",
            hint="such text can stand in a step's `with:`, which does not pass through the job spec",
        )
    if not unicodedata.is_normalized("NFC", text):
        raise InputError(f"{_excerpt(text)} holds decomposed characters, which Nomad's job specs cannot keep")
    return text


def _quoted(text: str) -> str:
    escaped = "".join(_SHORT.get(character) or _spelled(character, text) for character in text)
    return '"' + escaped.replace("${", "$${").replace("%{", "%%{") + '"'


def _spelled(character: str, text: str) -> str:
    code = ord(character)
    if code == 0 or unicodedata.category(character) == "Cs":
        raise InputError(f"{_excerpt(text)} holds {'a NUL' if code == 0 else 'half a surrogate pair'}")
    if character.isprintable():
        return character
    return f"\\u{code:04X}" if code <= 0xFFFF else f"\\U{code:08X}"  # noqa: PLR2004 - the end of the first plane


def _excerpt(text: str) -> str:
    return ascii(text if len(text) <= 60 else text[:57] + "...")  # noqa: PLR2004 - a line of a terminal
