"""YAML text as plain data that still knows its lines.

For reading files people write: JSON's types only (YAML 1.2's core rules, so `no` is text and a date is text),
no tags, no duplicate keys, and a size that cannot run away. It knows nothing of flows.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

MAX_BYTES: Final = 1_000_000
MAX_DEPTH: Final = 40
MAX_VALUES: Final = 50_000  # after aliases are followed, so nested anchors cannot explode

_Path = Sequence[str | int]

_NULL: Final = re.compile(r"|~|null|Null|NULL")
_BOOL: Final = re.compile(r"(true|True|TRUE)|(false|False|FALSE)")
_INT: Final = re.compile(r"[-+]?[0-9]{1,300}")
_HEX: Final = re.compile(r"0x[0-9a-fA-F]{1,64}|0o[0-7]{1,64}")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,4})?")

# The parser of libyaml when PyYAML was built with it: the same events, some ten times sooner.
_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class YamlError(ValueError):
    """The text is not YAML of the kind read here."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message


@dataclass(slots=True)
class Node:
    """One value and where it begins (lines count from 1)."""

    line: int
    value: Any = None  # a scalar, or the plain data of the children
    block: bool = False  # a literal block (`|`): its text begins on the next line
    height: int = 1  # levels of nesting, its own included
    children: dict[str | int, Node] = field(default_factory=dict)
    key_lines: dict[str | int, int] = field(default_factory=dict)

    def find(self, path: _Path) -> Node | None:
        """The node at a path, or None."""
        node: Node | None = self
        for part in path:
            node = node.children.get(part) if node else None
        return node

    def line_of(self, path: _Path) -> int:
        """The line of the key (or list item) a path ends in; of the nearest part that exists."""
        node, line = self, self.line
        for part in path:
            line = node.key_lines.get(part, node.line)
            if part not in node.children:
                break
            node = node.children[part]
        return line


def parse_yaml(text: str) -> Node:
    """One document as a tree. YamlError if it is not plain, single-document YAML of bearable size."""
    if (size := len(text.encode("utf-8", "surrogatepass"))) > MAX_BYTES:
        raise YamlError(1, f"the file has {size:,} bytes; allowed: {MAX_BYTES:,} at most")
    try:
        return _Builder(text).document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        context = f" ({error.context})" if error.context else ""
        last = text.rstrip("\n").count("\n") + 1  # the end of the file is reported one line beyond it
        line, column = (min(mark.line + 1, last), mark.column + 1) if mark else (1, 1)
        raise YamlError(line, f"not YAML: {error.problem}{context}, at column {column}") from error
    except yaml.reader.ReaderError as error:
        at = min(int(error.position), len(text))
        raise YamlError(text.count("\n", 0, at) + 1, f"not YAML: {error.reason}") from error
    except (UnicodeEncodeError, yaml.YAMLError) as error:
        raise YamlError(1, f"not YAML: {error}") from error


class _Builder:
    """Builds nodes from parser events, so that depth and size are checked before anything is kept."""

    def __init__(self, text: str) -> None:
        self._events: Iterator[Any] = yaml.parse(text, Loader=_LOADER)
        self._anchors: dict[str, Node] = {}
        self._sizes: dict[str, int] = {}
        self._count = 0

    def document(self) -> Node:
        root: Node | None = None
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                if root is not None:
                    raise YamlError(_line(event), "a second document begins here; allowed: one flow per file")
                root = self._node(next(self._events), 1)
        return root or Node(1)

    def _node(self, event: Any, depth: int) -> Node:
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, depth)
        before = self._count
        self._grow(1, event)
        _check_depth(depth, event)
        if isinstance(event, yaml.ScalarEvent):
            node = Node(_line(event), _scalar(event), block=event.style == "|")
        elif isinstance(event, yaml.SequenceStartEvent):
            node = self._sequence(event, depth)
        else:
            node = self._mapping(event, depth)
        node.height = 1 + max((child.height for child in node.children.values()), default=0)
        if event.anchor:
            self._anchors[event.anchor] = node
            self._sizes[event.anchor] = self._count - before
        return node

    def _alias(self, event: Any, depth: int) -> Node:
        # An anchor is known only once its value is complete, so an alias can never contain itself.
        if event.anchor not in self._anchors:
            raise YamlError(_line(event), f"*{event.anchor} refers to nothing that ended before it")
        self._grow(self._sizes[event.anchor], event)
        node = self._anchors[event.anchor]
        _check_depth(depth + node.height - 1, event)
        return node

    def _grow(self, by: int, event: Any) -> None:
        self._count += by
        if self._count > MAX_VALUES:
            raise YamlError(_line(event), f"the file holds more than {MAX_VALUES:,} values (aliases counted each time)")

    def _sequence(self, event: Any, depth: int) -> Node:
        _refuse_tag(event)
        node = Node(_line(event), [])
        while not isinstance(item := next(self._events), yaml.SequenceEndEvent):
            index = len(node.value)
            node.key_lines[index] = _line(item)
            node.children[index] = child = self._node(item, depth + 1)
            node.value.append(child.value)
        return node

    def _mapping(self, event: Any, depth: int) -> Node:
        _refuse_tag(event)
        node = Node(_line(event), {})
        while not isinstance(item := next(self._events), yaml.MappingEndEvent):
            if not isinstance(item, yaml.ScalarEvent):
                raise YamlError(_line(item), "a key must be plain text")
            key = item.value  # as written: `no: 1` is the key "no", not false
            if key in node.children:
                raise YamlError(_line(item), f"{key!r} is written twice (first in line {node.key_lines[key]})")
            self._grow(1, item)
            node.key_lines[key] = _line(item)
            node.children[key] = child = self._node(next(self._events), depth + 1)
            node.value[key] = child.value
        return node


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


def _check_depth(depth: int, event: Any) -> None:
    if depth > MAX_DEPTH:
        raise YamlError(_line(event), f"nested more than {MAX_DEPTH} deep")


def _refuse_tag(event: Any) -> None:
    if event.tag is not None and event.tag != "!":
        raise YamlError(_line(event), f"the tag {event.tag} is not allowed; allowed: plain values, lists and mappings")


def reads_as_text(text: str) -> bool:
    """Whether an unquoted word is taken for what it looks like: text."""
    return isinstance(_plain(text), str)


def _scalar(event: Any) -> str | float | bool | None:
    text: str = event.value
    if event.tag == "tag:yaml.org,2002:str":
        return text
    _refuse_tag(event)
    if not event.implicit[0]:  # quoted or a block: text, whatever it looks like
        return text
    return _plain(text)


def _plain(text: str) -> str | float | bool | None:
    """What an unquoted word means by YAML 1.2's core rules."""
    if _NULL.fullmatch(text):
        return None
    if match := _BOOL.fullmatch(text):
        return match[1] is not None
    if _INT.fullmatch(text):
        return int(text)
    if _HEX.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text) and math.isfinite(number := float(text)):
        return number
    return text
