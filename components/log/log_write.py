"""One line per message: a text, and the fields that were named. Nothing else of the body, which may hold secrets."""


def process(message, config, snapshot, context):
    text = config.get("text") or message.body.get("message") or "message"
    shown = [f"{name}={message.body.get(name)!r}" for name in config.get("fields") or ()]
    context.logger.info(" ".join([str(text), *shown]))
    return {"body": message.body, "headers": message.headers, "attachments": message.attachments}
