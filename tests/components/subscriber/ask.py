"""Questions outside a flow; how each ends is a setting."""

import os
import time


def process(message, config, snapshot):
    return message


def get_meta_model(config):
    return {"in": {"type": "object", "properties": {config["field"]: {"type": "string"}}}, "out": {}}


def lists(config):
    if config.get("end") == "error":
        raise RuntimeError("the other side is closed")
    if config.get("end") == "nothing":
        os._exit(0)
    if config.get("end") == "hang":
        time.sleep(600)
    return {"a": f"List A of {config['token']}"}
