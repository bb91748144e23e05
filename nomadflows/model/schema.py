"""The JSON schema of a flow file, for editors. Made from the model; `python -m nomadflows.model.schema` prints it.

The copy in the package, `flow.schema.json`, is what editors are pointed at; a test holds the two equal.
"""

from __future__ import annotations

import json
from typing import Any

from nomadflows.model.flow import FlowDefinition


def schema() -> dict[str, Any]:
    """JSON schema, draft 2020-12."""
    made = FlowDefinition.model_json_schema(by_alias=True)
    made["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    made["title"] = "nomadflows flow file"
    for spelling in ("real-time", "long_running"):
        made["$defs"]["Kind"]["enum"].append(spelling)
    _untitled(made)
    return made


def schema_text() -> str:
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def _untitled(node: Any) -> None:
    """pydantic's titles repeat the field names; editors show them in place of the descriptions."""
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    for child in list(children):
        if isinstance(child, dict) and isinstance(child.get("title"), str) and "$schema" not in child:
            child.pop("title")
        _untitled(child)


if __name__ == "__main__":
    print(schema_text(), end="")
