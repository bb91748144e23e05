"""Writes down what it sees of a message, attachments included, adds one, and passes the message on."""

import json
from pathlib import Path


def process(message, config, snapshot, context):
    found = {"size": len(message.body.get("text", "")), "attachments": {}}
    found["earlier"] = {step: len(one["body"].get("text", "")) for step, one in message.passthrough.items()}
    for name, attachment in message.attachments.items():
        with context.attachments.open(attachment) as file:
            found["attachments"][name] = [attachment["content-type"], file.read().decode()]
    message.attachments["added"] = context.attachments.keep(b"by Python", "text/plain")
    with Path(config["out"]).open("a") as file:
        file.write(json.dumps(found) + "\n")
    return message
