"""Evaluates the mapping of an edge. A message whose condition is false ends here."""

from nomadflows.model.mapping import Expression

_compiled = {}


def init(config):
    """Compile before the first message; a definition was checked when it was applied."""
    for name in ("mapping", "condition"):
        if config.get(name) is not None:
            _compiled[name] = Expression(config[name])


def process(message, config, snapshot, context):
    known = {"passthrough": message.passthrough, "variables": context.variables}
    condition = _compiled.get("condition")
    if condition is not None and not condition.holds(message.body, **known):
        return None
    mapping = _compiled.get("mapping")
    body = message.body if mapping is None else mapping.body(message.body, **known)
    return {"body": body, "headers": message.headers, "attachments": message.attachments}
