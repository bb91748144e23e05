"""One JSONata expression over the body. An array becomes one message for each of its objects."""

from nomadflows.model.mapping import Expression

_expression = None


def init(config):
    global _expression
    _expression = Expression(config["expression"])


def process(message, config, snapshot, context):
    result = _expression.value(message.body, passthrough=message.passthrough, variables=context.variables)
    for body in result if isinstance(result, list) else [result]:
        if body is None:
            continue
        if not isinstance(body, dict):
            raise ValueError(f"the expression gives {type(body).__name__}; a message body is an object")
        yield {"body": body, "headers": message.headers}
