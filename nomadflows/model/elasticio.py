"""elastic.io's flow documents (graph of nodes and edges) read as definitions; `elasticio_out` writes them.

Nothing is lost either way: what a definition has no field for is kept in `elasticio` (of the flow, of a step) and comes
back on export; what a graph has no field for stands under `nomadflows` in its attributes, nodes and edges. Plain data.

=========================================  =================================================================
graph                                      definition
=========================================  =================================================================
name, description, cron, type              flow (as a name), description, schedule, kind
node command `team/repo:function@rev`      use `repo:function`, `@rev` where that is a version number; a router is ours
node fields, credentials_id or secret_id   with, credential
node first, error                          the first step, error_handler
edge source → target                       after
edge mapper, condition                     map, when; without a condition beside others with one: otherwise
edges into one node that differ            edges
nodes_config prefetch, replicas, …         prefetch, replicas, passthrough, log_level
=========================================  =================================================================
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from nomadflows.model.environment import LOG_LEVELS
from nomadflows.model.errors import InputError

Json = dict[str, Any]

_COMMAND: Final = re.compile(r"(?:(?P<team>[^/:@]+)/)?(?P<repo>[^/:@]+):(?P<function>[^:@]+)(?:@(?P<revision>.+))?")
_VERSION: Final = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+(?:-[0-9A-Za-z.-]+)?")
KINDS: Final = {"ordinary": "ordinary", "long_running": "realtime"}
_ATTRIBUTES: Final = ("name", "description", "type", "cron", "graph", "nodes_config", "nomadflows")
_NODE: Final = ("id", "name", "command", "fields", "error", "nomadflows")
OURS: Final = (
    "timezone",
    "jitter",
    "idle_after",
    "retention",
    "limits",
    "variables",
)  # of a flow, without a place in the attributes
OURS_OF_STEP: Final = ("autoscale", "resources", "env", "secret_env", "min_interval")
CREDENTIALS: Final = ("credentials_id", "secret_id")
_ROUTER: Final = "router:route"


def is_graph(data: object) -> bool:
    """Whether a document is a flow of elastic.io's kind."""
    if not isinstance(data, dict) or "steps" in data:
        return False
    attributes = _attributes(data)
    return "graph" in attributes or "nodes" in attributes


def read_graph(data: Json, components: Mapping[str, str] | None = None, name: str = "") -> Json:
    """A definition's JSON, its components and fields not checked yet. InputError for what has no counterpart.

    `components`: what `team/repo` or `repo` is called here, where that is not `repo`.
    """
    attributes = _attributes(data)
    graph = attributes.get("graph", attributes)
    nodes, edges = _objects(graph, "nodes"), _objects(graph, "edges")
    if not nodes:
        raise InputError("the graph has no nodes; allowed: one trigger and its actions")
    if attributes.get("default_mapper_type") not in {None, "jsonata"}:
        raise InputError(f"default_mapper_type: {attributes['default_mapper_type']!r}; allowed: jsonata")
    configs = _configs(attributes)
    ours = attributes.get("nomadflows") or {}
    title = str(attributes.get("name") or "")
    flow = name or _slug(title)
    if not flow:
        raise InputError("the graph has no name that can name a flow", hint="--name FLOW gives one")
    first = next((node for node in nodes if node.get("first")), nodes[0])
    ordered = [first, *(node for node in nodes if node is not first)]
    for node in ordered[1:]:
        _reached(node, edges)
    steps = [_step(node, edges, configs, components or {}) for node in ordered]
    names = {step["id"] for step in steps}
    kept: Json = {"attributes": {key: value for key, value in attributes.items() if key not in _ATTRIBUTES}}
    kept["name"] = title if title and title != flow else None
    kept["type"] = attributes.get("type") or None
    kept["empty"] = _empty(attributes, ("description", "cron", "type", "nodes_config"))
    kept["nodes_config"] = {key: found for key, found in configs.items() if key not in names or found is None}
    kept["order"] = [node.get("id") for node in nodes] if ordered != nodes else None
    kept["edges"] = [[edge.get("source"), edge.get("target")] for edge in edges]
    kept["graph"] = (
        {key: value for key, value in graph.items() if key not in {"nodes", "edges"}}
        if graph is not attributes
        else None
    )
    kept["envelope"] = _envelope(data)
    definition: Json = {"flow": flow, "kind": _kind(attributes.get("type") or "ordinary")}
    if attributes.get("description"):
        definition["description"] = attributes["description"]
    if attributes.get("cron"):
        definition["schedule"] = attributes["cron"]
    definition |= {key: ours[key] for key in OURS if key in ours}
    definition["elasticio"] = {key: value for key, value in kept.items() if value not in (None, [], {})}
    return {**definition, "steps": steps}


def _step(node: Json, edges: list[Json], configs: Mapping[str, Any], components: Mapping[str, str]) -> Json:
    step_id = str(node.get("id") or "")
    where = f"node {step_id or '?'}"
    match = _COMMAND.fullmatch(str(node.get("command") or ""))
    if not step_id or match is None:
        raise InputError(f"{where}: command {node.get('command')!r}; allowed: team/repo:function@revision")
    ours = node.get("nomadflows") or {}
    repo = f"{match['team']}/{match['repo']}" if match["team"] else match["repo"]
    component = components.get(repo) or components.get(match["repo"]) or _slug(match["repo"])
    revision = match["revision"] or ""
    version = f"@{revision}" if _VERSION.fullmatch(revision) else ""
    kept: Json = {"node": {key: value for key, value in node.items() if key not in _NODE and key not in CREDENTIALS}}
    step: Json = {"id": step_id, "use": f"{component}{version}:{match['function']}"}
    if node.get("service") == "router":
        step["use"] = _ROUTER
    kept["command"] = {"text": node["command"], "use": step["use"]}
    kept["empty"] = _empty(node, ("name", "fields", "error", *CREDENTIALS))
    if node.get("name"):
        step["name"] = node["name"]
    if node.get("fields"):
        step["with"] = node["fields"]
    for key in CREDENTIALS:
        if node.get(key):
            step["credential"] = _slug(str(node[key]))
            kept["credential"] = {"key": key, "id": node[key], "name": step["credential"]}
    if node.get("error"):
        step["error_handler"] = True
    step |= _edge_fields(step_id, edges, kept)
    config = configs.get(step_id)
    step |= _config_fields(config or {})
    kept["config"] = config
    step |= {key: ours[key] for key in OURS_OF_STEP if key in ours}
    step["elasticio"] = {key: value for key, value in kept.items() if value or (key == "config" and value is not None)}
    return step


def _edge_fields(step_id: str, edges: list[Json], kept: Json) -> Json:
    """`after` and what becomes of messages on the edges into a node: of the step if it is the same on each."""
    into = [edge for edge in edges if edge.get("target") == step_id]
    found: list[Json] = []
    for edge in into:
        config = edge.get("config") or {}
        mapper, condition = config.get("mapper") or None, config.get("condition")
        if config.get("mapper_type") not in {None, "jsonata"}:
            raise InputError(f"edge {edge.get('id')}: mapper_type {config['mapper_type']!r}; allowed: jsonata")
        fields: Json = {}
        if mapper:
            fields["map"] = mapper
        if condition:
            fields["when"] = condition
        elif edge.get("source") and _beside_conditions(edge, edges) and not _gets_all(edge):
            fields["otherwise"] = True
            _one_default(edge, edges)
        found.append(fields)
    raw = {
        str(edge.get("source") or ""): {
            key: value for key, value in edge.items() if key not in {"source", "target", "nomadflows"}
        }
        for edge in into
    }
    kept["edges"] = raw
    sources = [edge["source"] for edge in into if edge.get("source")]  # an error handler's edge has none
    if any(fields != found[0] for fields in found):
        said = {edge["source"]: fields for edge, fields in zip(into, found, strict=True) if edge.get("source")}
        return {"after": sources, "edges": said}
    return {**({"after": sources} if sources else {}), **(found[0] if found else {})}


def _gets_all(edge: Json) -> bool:
    """Beside edges with conditions it is no default, but gets every message: so said by whoever wrote the graph here."""
    return (edge.get("nomadflows") or {}).get("otherwise") is False


def _beside_conditions(edge: Json, edges: list[Json]) -> bool:
    return any(
        (other.get("config") or {}).get("condition") for other in edges if other.get("source") == edge.get("source")
    )


def _one_default(edge: Json, edges: list[Json]) -> None:
    defaults = [
        str(other.get("target"))
        for other in edges
        if other.get("source") == edge.get("source")
        and not (other.get("config") or {}).get("condition")
        and not _gets_all(other)
    ]
    if len(defaults) > 1:
        raise InputError(
            f"router {edge.get('source')} has {len(defaults)} edges without a condition, to {', '.join(defaults)}; "
            "allowed: one default"
        )


def _reached(node: Json, edges: list[Json]) -> None:
    """Here a step without `after` follows the one above it: that would run what did not run there."""
    if not node.get("error") and not any(edge.get("source") for edge in edges if edge.get("target") == node.get("id")):
        raise InputError(
            f"no edge leads to node {node.get('id')}, so nothing reaches it; allowed: an edge into each node but the first",
            hint="take it out of the graph, or connect it",
        )


def _empty(given: Json, fields: tuple[str, ...]) -> Json:
    """Those that are there and say nothing, as null, an empty text or object: told from those that are not there."""
    return {key: given[key] for key in fields if key in given and not given[key]}


def _configs(attributes: Json) -> Json:
    found = attributes.get("nodes_config") or {}
    if not isinstance(found, dict) or not all(config is None or isinstance(config, dict) for config in found.values()):
        raise InputError("nodes_config: expected an object of objects")
    return found


def _config_fields(config: Json) -> Json:
    fields: Json = {key: config[key] for key in ("prefetch", "replicas") if config.get(key) is not None}
    if config.get("log_level") in LOG_LEVELS:
        fields["log_level"] = config["log_level"]
    if (config.get("passthrough") or {}).get("disabled"):
        fields["passthrough"] = False
    return fields


# ── the document around it ────────────────────────────────────────────────────────────────────────────────────


def _attributes(data: Json) -> Json:
    inner = data.get("data") if isinstance(data.get("data"), dict) else data
    attributes = inner.get("attributes", inner) if isinstance(inner, dict) else {}
    return attributes if isinstance(attributes, dict) else {}


def _envelope(data: Json) -> Json | None:
    """What stands around the attributes; None for bare attributes."""
    inner = data.get("data")
    if isinstance(inner, dict) and "attributes" in inner:
        return {"data": {key: value for key, value in inner.items() if key != "attributes"}}
    if "attributes" in data:
        return {"here": {key: value for key, value in data.items() if key != "attributes"}}
    return {"bare": True}


def _kind(given: object) -> str:
    kind = KINDS.get(str(given))
    if kind is None:
        raise InputError(f"type: {given!r}; allowed: {', '.join(KINDS)}")
    return kind


def _objects(graph: Json, name: str) -> list[Json]:
    found = graph.get(name) or []
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise InputError(f"graph.{name}: expected a list of objects")
    return found


def _slug(text: str) -> str:
    """A name as flows, components and credentials here have them."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:63].strip("-")
