"""XML as JSON, by elastic.io's rules, from a parser that fetches and expands nothing.

Attributes lie under `_attr`, text beside attributes or elements under `_`; `:` in a tag becomes `-`; an element that
occurs again beside its like becomes a list; text is not trimmed. A document type is refused altogether: without one
there are no entities but XML's own five.
"""

from __future__ import annotations

from typing import Any, Final
from xml.parsers import expat

MOST_LEVELS: Final = 100
MOST_NODES: Final = 500_000  # elements and attributes: one may take 400 bytes
ATTRIBUTES: Final = "_attr"
TEXT: Final = "_"


class XmlError(ValueError):
    """Not XML, or XML of a kind that is not read."""


def to_json(document: bytes, encoding: str | None = None) -> dict[str, Any]:
    """`{root: …}`. `encoding` is what the transport says; the document's own declaration otherwise decides."""
    try:
        parser = expat.ParserCreate(encoding)
    except (ValueError, UnicodeError):
        raise XmlError("the charset is not known") from None
    tree = _Tree()
    parser.buffer_text = True
    parser.StartElementHandler = tree.start
    parser.EndElementHandler = tree.end
    parser.CharacterDataHandler = tree.text
    parser.StartDoctypeDeclHandler = _refuse
    parser.EntityDeclHandler = _refuse
    try:
        parser.Parse(document, True)
    except expat.ExpatError as error:
        raise XmlError(f"line {error.lineno}: {expat.errors.messages[error.code]}") from None
    except (LookupError, UnicodeError):
        raise XmlError("its encoding is not known") from None
    return tree.root


def _refuse(*_: Any) -> None:
    raise XmlError("a document type is not allowed")


class _Tree:
    def __init__(self) -> None:
        self.root: dict[str, Any] = {}
        self._nodes = 0
        self._open: list[tuple[dict[str, Any], list[str]]] = [(self.root, [])]

    def start(self, _name: str, attributes: dict[str, str]) -> None:
        if len(self._open) > MOST_LEVELS:
            raise XmlError(f"more than {MOST_LEVELS} elements inside each other")
        self._nodes += 1 + len(attributes)
        if self._nodes > MOST_NODES:
            raise XmlError(f"more than {MOST_NODES} elements and attributes: ?raw=true takes any body")
        self._open.append(({ATTRIBUTES: attributes} if attributes else {}, []))

    def text(self, text: str) -> None:
        self._open[-1][1].append(text)

    def end(self, name: str) -> None:
        members, pieces = self._open.pop()
        text = "".join(pieces)
        value: Any = members
        if not members:
            value = text
        elif text.strip():
            members[TEXT] = text
        around = self._open[-1][0]
        tag = name.replace(":", "-")
        if tag not in around:
            around[tag] = value
        elif isinstance(around[tag], list):
            around[tag].append(value)
        else:
            around[tag] = [around[tag], value]
