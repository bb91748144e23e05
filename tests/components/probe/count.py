"""A polling trigger that numbers its ticks through its snapshot."""

import os
import time


def process(message, config, snapshot, context):
    number = snapshot.get("ticks", 0) + 1
    context.emit("snapshot", {"ticks": number})
    descriptor = os.open(config["out"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(descriptor, f"{number} {time.time()} {os.getpid()}\n".encode())
    finally:
        os.close(descriptor)
    return {"body": {"n": number}}
