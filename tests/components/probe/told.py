"""Notes the number of each message that some step failed on; fails itself until a file is there."""

import os
import time
from pathlib import Path


def process(message, config, snapshot):
    if config.get("until") and not Path(config["until"]).exists():
        raise RuntimeError("not yet")
    failed_on = message.body["errorInput"]["body"]
    line = f"{failed_on['n']} {time.time()} {os.getpid()} {message.headers['stepId']}\n".encode()
    descriptor = os.open(config["out"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(descriptor, line)
    finally:
        os.close(descriptor)
