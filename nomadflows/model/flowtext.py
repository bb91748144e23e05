"""A definition as the text of a flow file, the inverse of `flowfile`: what is written here is read there as equal.

Works on stored data as it is, so that what an older or newer release stored can be written out too.
"""

from __future__ import annotations

from typing import Any, Final

import yaml

from nomadflows.model.yamltree import reads_as_text

Json = dict[str, Any]

_WIDTH: Final = 100
_FIRST: Final = (
    "flow",
    "description",
    "kind",
    "schedule",
    "timezone",
    "jitter",
    "idle_after",
    "retention",
    "limits",
    "variables",
)


class _Dumper(yaml.SafeDumper):
    """Text that another YAML would take for a number, a date or a truth is quoted; long text stands in blocks."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's signature
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        super().increase_indent(flow, indentless=False)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=_style(text))


def _style(text: str) -> str | None:
    """A block where its lines stand as they are; escapes where something cannot be seen; None: as PyYAML likes."""
    lines = text.split("\n")
    if len(lines) > 1 and lines[0].strip() and all(line.isprintable() and line == line.rstrip() for line in lines):
        return "|"
    if not text.isprintable():
        return '"'
    return None if reads_as_text(text) else "'"


def _number(dumper: yaml.SafeDumper, number: float) -> yaml.ScalarNode:
    """With a point, without which PyYAML takes `1e-05` for text and puts a tag before it."""
    text = repr(number)
    return dumper.represent_scalar("tag:yaml.org,2002:float", text if "." in text else text.replace("e", ".0e"))


_Dumper.add_representer(str, _text)
_Dumper.add_representer(float, _number)


def flow_text(definition: Json) -> str:
    """YAML that `parse_flow_file` reads back as the same definition."""
    ordered = {key: definition[key] for key in _FIRST if key in definition} | definition
    steps = ordered.pop("steps", [])
    head = _dump(ordered)
    blocks = [_dump([step]).rstrip("\n") for step in steps]
    body = "\n\n".join("\n".join(f"  {line}" if line else "" for line in block.split("\n")) for block in blocks)
    return f"{head}steps:\n{body}\n"


def _dump(value: object) -> str:
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDTH)
