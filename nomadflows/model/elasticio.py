"""elastic.io's flow documents (graph of nodes and edges) read as definitions, and definitions written as such.

Nothing is lost either way: what a definition has no field for is kept in `elasticio` (of the flow, of a step) and comes
back on export; what a graph has no field for stands under `nomadflows` in its attributes and nodes. Plain data.

=========================================  =================================================================
graph                                      definition
=========================================  =================================================================
name, description, cron, type              flow (as a name), description, schedule, kind
node command `team/repo:function@rev`      use `repo:function`, `@rev` where that is a version number; a router is ours
node fields, credentials_id or secret_id   with, credential
node first, error                          the first step, error_handler
edge source → target                       after
edge mapper, condition                     map, when; without a condition beside others with one: otherwise
nodes_config prefetch, replicas, passthrough   prefetch, replicas, passthrough
=========================================  =================================================================
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from nomadflows.model.errors import InputError

Json = dict[str, Any]

_COMMAND: Final = re.compile(r"(?:(?P<team>[^/:@]+)/)?(?P<repo>[^/:@]+):(?P<function>[^:@]+)(?:@(?P<revision>.+))?")
_VERSION: Final = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+(?:-[0-9A-Za-z.-]+)?")
_KINDS: Final = {"ordinary": "ordinary", "long_running": "realtime"}
_TYPES: Final = {kind: name for name, kind in _KINDS.items()}
_ATTRIBUTES: Final = ("name", "description", "type", "cron", "graph", "nodes_config", "nomadflows")
_NODE: Final = ("id", "name", "command", "fields", "error", "nomadflows")
_OURS: Final = (
    "timezone",
    "jitter",
    "idle_after",
    "retention",
    "limits",
    "variables",
)  # of a flow, without a place in the attributes
_OURS_OF_STEP: Final = ("autoscale", "resources", "min_interval")
_CREDENTIALS: Final = ("credentials_id", "secret_id")
_ALWAYS: Final = " always"  # marks an edge into a step that gets every message; no field is called so
_ROUTER: Final = "router:route"
_TEAM: Final = "nomadflows"


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
    if attributes.get("default_mapper_type", "jsonata") != "jsonata":
        raise InputError(f"default_mapper_type: {attributes['default_mapper_type']!r}; allowed: jsonata")
    configs = attributes.get("nodes_config") or {}
    ours = attributes.get("nomadflows") or {}
    title = str(attributes.get("name") or "")
    flow = name or _slug(title)
    if not flow:
        raise InputError("the graph has no name that can name a flow", hint="--name FLOW gives one")
    first = next((node for node in nodes if node.get("first")), nodes[0])
    ordered = [first, *(node for node in nodes if node is not first)]
    always = {str(node.get("id")) for node in nodes if (node.get("nomadflows") or {}).get("otherwise") is False}
    edges = [{**edge, _ALWAYS: True} if edge.get("target") in always else edge for edge in edges]
    steps = [_step(node, edges, configs.get(node.get("id")), components or {}) for node in ordered]
    kept: Json = {"attributes": {key: value for key, value in attributes.items() if key not in _ATTRIBUTES}}
    kept["name"] = title if title and title != flow else None
    kept["type"] = attributes.get("type")
    kept["present"] = sorted({"description", "cron", "nodes_config"} & attributes.keys())
    kept["order"] = [node.get("id") for node in nodes] if ordered != nodes else None
    kept["edges"] = [[edge.get("source"), edge.get("target")] for edge in edges]
    kept["graph"] = (
        {key: value for key, value in graph.items() if key not in {"nodes", "edges"}}
        if graph is not attributes
        else None
    )
    kept["envelope"] = _envelope(data)
    definition: Json = {"flow": flow, "kind": _kind(attributes.get("type", "ordinary"))}
    if attributes.get("description"):
        definition["description"] = attributes["description"]
    if attributes.get("cron"):
        definition["schedule"] = attributes["cron"]
    definition |= {key: ours[key] for key in _OURS if key in ours}
    definition["elasticio"] = {key: value for key, value in kept.items() if value not in (None, [], {})}
    return {**definition, "steps": steps}


def write_graph(definition: Json) -> Json:
    """The document of a definition as stored; the inverse of `read_graph`."""
    kept: Json = definition.get("elasticio") or {}
    present = kept.get("present", ())
    steps: list[Json] = definition["steps"]
    attributes: Json = {"name": kept.get("name") or definition["flow"]}
    if definition.get("description") or "description" in present:
        attributes["description"] = definition.get("description", "")
    if "type" in kept or "elasticio" not in definition or definition.get("kind") == "realtime":
        attributes["type"] = _TYPES[definition.get("kind", "ordinary")]
    if definition.get("schedule") or "cron" in present or "elasticio" not in definition:
        attributes["cron"] = definition.get("schedule")
    attributes |= kept.get("attributes", {} if kept else {"default_mapper_type": "jsonata"})
    always = _always(steps)
    nodes = [_node(step, first=index == 0, always=step["id"] in always) for index, step in enumerate(steps)]
    if order := kept.get("order"):
        nodes.sort(key=lambda node: order.index(node["id"]) if node["id"] in order else len(order))
    attributes["graph"] = {"nodes": nodes, "edges": _sorted_edges(list(_edges(steps)), kept), **kept.get("graph", {})}
    configs = {step["id"]: config for step in steps if (config := _config(step)) is not None}
    if configs or "nodes_config" in present:
        attributes["nodes_config"] = configs
    if ours := {key: definition[key] for key in _OURS if key in definition}:
        attributes["nomadflows"] = ours
    return _enveloped(attributes, kept.get("envelope", {} if kept else {"type": "flow"}))


# ── reading ───────────────────────────────────────────────────────────────────────────────────────────────────


def _step(node: Json, edges: list[Json], config: Json | None, components: Mapping[str, str]) -> Json:
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
    kept: Json = {"node": {key: value for key, value in node.items() if key not in _NODE and key not in _CREDENTIALS}}
    step: Json = {"id": step_id, "use": f"{component}{version}:{match['function']}"}
    if node.get("service") == "router":
        step["use"] = _ROUTER
    kept["command"] = {"text": node["command"], "use": step["use"]}
    kept["present"] = sorted({"name", "fields", "error"} & node.keys())
    if node.get("name"):
        step["name"] = node["name"]
    if node.get("fields"):
        step["with"] = node["fields"]
    for key in _CREDENTIALS:
        if node.get(key):
            step["credential"] = _slug(str(node[key]))
            kept["credential"] = {"key": key, "id": node[key], "name": step["credential"]}
    if node.get("error"):
        step["error_handler"] = True
    step |= _edge_fields(step_id, edges, kept)
    step |= _config_fields(config or {})
    kept["config"] = config
    step |= {key: ours[key] for key in _OURS_OF_STEP if key in ours}
    step["elasticio"] = {key: value for key, value in kept.items() if value or (key == "config" and value is not None)}
    return step


def _edge_fields(step_id: str, edges: list[Json], kept: Json) -> Json:
    """`after`, `map`, `when`, `otherwise` of the edges into a node, which must say the same."""
    into = [edge for edge in edges if edge.get("target") == step_id]
    found: list[Json] = []
    for edge in into:
        config = edge.get("config") or {}
        mapper, condition = config.get("mapper") or None, config.get("condition")
        if config.get("mapper_type", "jsonata") != "jsonata":
            raise InputError(f"edge {edge.get('id')}: mapper_type {config['mapper_type']!r}; allowed: jsonata")
        fields: Json = {}
        if mapper:
            fields["map"] = mapper
        if condition:
            fields["when"] = condition
        elif edge.get("source") and _beside_conditions(edge, edges) and _ALWAYS not in edge:
            fields["otherwise"] = True
            _one_default(edge, edges)
        found.append(fields)
    if any(fields != found[0] for fields in found):
        raise InputError(
            f"the edges into {step_id} have different mappings or conditions; allowed: the same on each",
            hint="put a step of its own on each edge before it",
        )
    raw = {
        str(edge.get("source") or ""): {
            key: value for key, value in edge.items() if key not in {"source", "target", _ALWAYS}
        }
        for edge in into
    }
    kept["edges"] = raw
    sources = [edge["source"] for edge in into if edge.get("source")]  # an error handler's edge has none
    return {**({"after": sources} if sources else {}), **(found[0] if found else {})}


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
        and _ALWAYS not in other
    ]
    if len(defaults) > 1:
        raise InputError(
            f"router {edge.get('source')} has {len(defaults)} edges without a condition, to {', '.join(defaults)}; "
            "allowed: one default"
        )


def _config_fields(config: Json) -> Json:
    fields: Json = {key: config[key] for key in ("prefetch", "replicas") if key in config}
    if (config.get("passthrough") or {}).get("disabled"):
        fields["passthrough"] = False
    return fields


# ── writing ───────────────────────────────────────────────────────────────────────────────────────────────────


def _node(step: Json, *, first: bool, always: bool) -> Json:
    kept: Json = step.get("elasticio") or {}
    present = kept.get("present", ())
    node: Json = {"id": step["id"]}
    if step.get("name") or "name" in present:
        node["name"] = step.get("name", "")
    known = kept.get("command") or {}
    node["command"] = known["text"] if known.get("use") == step["use"] else _command(step["use"])
    if step.get("with") or "fields" in present:
        node["fields"] = step.get("with", {})
    if step.get("credential"):
        was = kept.get("credential") or {}
        same = was.get("name") == step["credential"]
        node[was.get("key", _CREDENTIALS[0])] = was["id"] if same else step["credential"]
    if step.get("error_handler") or "error" in present:
        node["error"] = bool(step.get("error_handler"))
    node |= kept.get("node", {})
    if first:
        node["first"] = True
    ours = {key: step[key] for key in _OURS_OF_STEP if key in step} | ({"otherwise": False} if always else {})
    if ours:
        node["nomadflows"] = ours
    return node


def _always(steps: list[Json]) -> set[str]:
    """Steps that get every message beside others with conditions; a graph would take them for the default."""
    conditioned = {source for step in steps if step.get("when") for source in _sources(step, steps)}
    return {
        step["id"]
        for step in steps
        if not step.get("when") and not step.get("otherwise") and conditioned & set(_sources(step, steps))
    }


def _sources(step: Json, steps: list[Json]) -> list[str]:
    if step.get("error_handler"):
        return []
    if "after" in step:
        return [step["after"]] if isinstance(step["after"], str) else list(step["after"])
    chain = [other for other in steps if not other.get("error_handler")]
    place = next(index for index, other in enumerate(chain) if other is step)
    return [chain[place - 1]["id"]] if place else []


def _command(use: str) -> str:
    component, _, function = use.partition(":")
    name, _, version = component.partition("@")
    return f"{_TEAM}/{name}:{function}@{version or 'latest'}"


def _edges(steps: list[Json]) -> Iterator[Json]:
    for step in steps:
        if step.get("error_handler"):
            if step.get("map") or "" in ((step.get("elasticio") or {}).get("edges") or {}):
                yield _edge(step, "")
            continue
        for source in _sources(step, steps):
            yield _edge(step, source)


def _edge(step: Json, source: str) -> Json:
    """`source` "": the edge of the error handler."""
    was = ((step.get("elasticio") or {}).get("edges") or {}).get(source) or {}
    config = {**(was.get("config") or {}), **_edge_config(step, was.get("config") or {})}
    edge: Json = {"target": step["id"]}
    if source:
        plain = f"{source}:{step['id']}"
        edge = {"id": f"mapper:{plain}" if config.get("mapper") else plain, "source": source, **edge}
    if config or "config" in was:
        edge["config"] = config
    mapped = "mapper" in (was.get("config") or {}) and bool(was["config"]["mapper"])
    renamed = bool(config.get("mapper")) != mapped  # the id says whether there is a mapping
    return {**edge, **{key: value for key, value in was.items() if key != "config" and not (key == "id" and renamed)}}


def _edge_config(step: Json, was: Json) -> Json:
    config: Json = {}
    if step.get("map") or "mapper" in was:
        config["mapper"] = step.get("map") or {}
        if step.get("map"):
            config["mapper_type"] = "jsonata"
    if step.get("when") or "condition" in was:
        config["condition"] = step.get("when")
    return config


def _sorted_edges(edges: list[Json], kept: Json) -> list[Json]:
    order = [tuple(pair) for pair in kept.get("edges", ())]
    place = {pair: index for index, pair in enumerate(order)}
    return sorted(edges, key=lambda edge: place.get((edge.get("source"), edge["target"]), len(order)))


def _config(step: Json) -> Json | None:
    was = (step.get("elasticio") or {}).get("config")
    config = dict(was or {})
    for key in ("prefetch", "replicas"):
        if key in config or key in step:
            config[key] = step.get(key, 1)
    disabled = step.get("passthrough") is False
    if disabled != bool((config.get("passthrough") or {}).get("disabled")):
        config["passthrough"] = {**(config.get("passthrough") or {}), "disabled": disabled}
    return config or was  # an empty one comes back


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


def _enveloped(attributes: Json, envelope: Json) -> Json:
    if "here" in envelope:
        return {**envelope["here"], "attributes": attributes}
    if "bare" in envelope:
        return attributes
    return {"data": {**envelope.get("data", {"type": "flow"}), "attributes": attributes}}


def _kind(given: object) -> str:
    kind = _KINDS.get(str(given))
    if kind is None:
        raise InputError(f"type: {given!r}; allowed: {', '.join(_KINDS)}")
    return kind


def _objects(graph: Json, name: str) -> list[Json]:
    found = graph.get(name) or []
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise InputError(f"graph.{name}: expected a list of objects")
    return found


def _slug(text: str) -> str:
    """A name as flows, components and credentials here have them."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:63].strip("-")
