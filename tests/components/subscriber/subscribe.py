"""Writes down which of its hooks ran."""

import time
from pathlib import Path


def _note(config, line):
    with Path(config["tries"]).open("a") as file:
        file.write(f"{line}\n")


def startup(config):
    _note(config, "startup")
    return {"subscription": "id-1"}


def init(config):
    _note(config, "init")


def shutdown(config, state):
    _note(config, f"shutdown {state['subscription']}")
    if config.get("undo") == "fail":
        raise RuntimeError("the other side is closed")
    if config.get("undo") == "hang":
        time.sleep(600)


def process(message, config, snapshot):
    return message
