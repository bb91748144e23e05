"""Definitions written as elastic.io's flow documents: the inverse of `elasticio`, which says what becomes what."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from nomadflows.model.elasticio import CREDENTIALS, KINDS, OURS, OURS_OF_STEP
from nomadflows.model.environment import LOG_LEVELS

Json = dict[str, Any]

_TYPES: Final = {kind: name for name, kind in KINDS.items()}
_TEAM: Final = "nomadflows"


def write_graph(definition: Json) -> Json:
    """The document of a definition as stored; the inverse of `read_graph`."""
    kept: Json = definition.get("elasticio") or {}
    steps: list[Json] = definition["steps"]
    attributes: Json = {"name": kept.get("name") or definition["flow"]}
    if definition.get("description"):
        attributes["description"] = definition["description"]
    if "type" in kept or "elasticio" not in definition or definition.get("kind") == "realtime":
        attributes["type"] = _TYPES[definition.get("kind", "ordinary")]
    if definition.get("schedule") or "elasticio" not in definition:
        attributes["cron"] = definition.get("schedule")
    attributes |= kept.get("attributes", {} if kept else {"default_mapper_type": "jsonata"})
    nodes = [_node(step, first=index == 0) for index, step in enumerate(steps)]
    if order := kept.get("order"):
        nodes.sort(key=lambda node: order.index(node["id"]) if node["id"] in order else len(order))
    attributes["graph"] = {"nodes": nodes, "edges": _sorted_edges(list(_edges(steps)), kept), **kept.get("graph", {})}
    ids = {step["id"] for step in steps}  # one that is new here has nothing of what a node of its name once was
    was = {key: config for key, config in kept.get("nodes_config", {}).items() if config is None or key not in ids}
    configs = was | {step["id"]: config for step in steps if (config := _config(step)) is not None}
    if configs:
        attributes["nodes_config"] = configs
    attributes = kept.get("empty", {}) | attributes
    if ours := {key: definition[key] for key in OURS if key in definition}:
        attributes["nomadflows"] = ours
    return _enveloped(attributes, kept.get("envelope", {} if kept else {"type": "flow"}))


def _node(step: Json, *, first: bool) -> Json:
    kept: Json = step.get("elasticio") or {}
    node: Json = {"id": step["id"]}
    if step.get("name"):
        node["name"] = step["name"]
    known = kept.get("command") or {}
    node["command"] = known["text"] if known.get("use") == step["use"] else _command(step["use"])
    if step.get("with"):
        node["fields"] = step["with"]
    if step.get("credential"):
        was = kept.get("credential") or {}
        same = was.get("name") == step["credential"]
        node[was.get("key", CREDENTIALS[0])] = was["id"] if same else step["credential"]
    if step.get("error_handler"):
        node["error"] = True
    node = {**kept.get("empty", {}), **node, **kept.get("node", {})}
    if first:
        node["first"] = True
    if ours := {key: step[key] for key in OURS_OF_STEP if key in step}:
        node["nomadflows"] = ours
    return node


def _conditioned(steps: list[Json]) -> set[str]:
    """Steps after which there is a condition: of edges without one a graph would take one for the default."""
    return {source for step in steps for source in _sources(step, steps) if _says(step, source).get("when")}


def _says(step: Json, source: str) -> Json:
    """`map`, `when`, `otherwise` of one edge."""
    found: Json = step.get("edges", {}).get(source, step)
    return found


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
    conditioned = _conditioned(steps)
    for step in steps:
        if step.get("error_handler"):
            if step.get("map") or "" in ((step.get("elasticio") or {}).get("edges") or {}):
                yield _edge(step, "")
            continue
        for source in _sources(step, steps):
            edge, said = _edge(step, source), _says(step, source)
            gets_all = source in conditioned and not said.get("when") and not said.get("otherwise")
            yield edge | ({"nomadflows": {"otherwise": False}} if gets_all else {})


def _edge(step: Json, source: str) -> Json:
    """`source` "": the edge of the error handler."""
    was = ((step.get("elasticio") or {}).get("edges") or {}).get(source) or {}
    config = {**(was.get("config") or {}), **_edge_config(_says(step, source), was.get("config") or {})}
    edge: Json = {"target": step["id"]}
    if source:
        plain = f"{source}:{step['id']}"
        edge = {"id": f"mapper:{plain}" if config.get("mapper") else plain, "source": source, **edge}
    if config or "config" in was:
        edge["config"] = config
    mapped = "mapper" in (was.get("config") or {}) and bool(was["config"]["mapper"])
    renamed = bool(config.get("mapper")) != mapped  # the id says whether there is a mapping
    return {**edge, **{key: value for key, value in was.items() if key != "config" and not (key == "id" and renamed)}}


def _edge_config(said: Json, was: Json) -> Json:
    config: Json = {}
    if said.get("map"):
        config["mapper"] = said["map"]
        if not was.get("mapper"):
            config["mapper_type"] = "jsonata"
    elif was.get("mapper"):
        config["mapper"] = {}
    if said.get("when") or was.get("condition"):
        config["condition"] = said.get("when")
    return config


def _sorted_edges(edges: list[Json], kept: Json) -> list[Json]:
    order = [tuple(pair) for pair in kept.get("edges", ())]
    place = {pair: index for index, pair in enumerate(order)}
    return sorted(edges, key=lambda edge: place.get((edge.get("source"), edge["target"]), len(order)))


def _config(step: Json) -> Json | None:
    was = (step.get("elasticio") or {}).get("config")
    config = dict(was or {})
    for key in ("prefetch", "replicas"):
        if key in step:
            config[key] = step[key]
        elif config.get(key) is not None:
            config[key] = 1
    if step.get("log_level"):
        config["log_level"] = step["log_level"]
    elif config.get("log_level") in LOG_LEVELS:
        del config["log_level"]
    disabled = step.get("passthrough") is False
    if disabled != bool((config.get("passthrough") or {}).get("disabled")):
        config["passthrough"] = {**(config.get("passthrough") or {}), "disabled": disabled}
    return config or was  # an empty one comes back


def _enveloped(attributes: Json, envelope: Json) -> Json:
    if "here" in envelope:
        return {**envelope["here"], "attributes": attributes}
    if "bare" in envelope:
        return attributes
    return {"data": {**envelope.get("data", {"type": "flow"}), "attributes": attributes}}
