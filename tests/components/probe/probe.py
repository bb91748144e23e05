"""Writes the number of each message it has processed to a file and passes the message on."""

import os
import time

eaten = []


def init(config):
    if config.get("exit_at_start"):
        os._exit(int(config["exit_at_start"]))
    if config.get("fail_at_start"):
        raise ValueError(config["fail_at_start"])


def process(message, config, snapshot):
    if config.get("eat_mib"):
        eaten.append(b"x" * (int(config["eat_mib"]) << 20))
    if config.get("work_ms"):
        time.sleep(float(config["work_ms"]) / 1000)
    if config.get("fail_on") == str(message.body.get("n")):
        raise ValueError(f"cannot do {config['fail_on']}")
    if config.get("out"):
        line = f"{message.body.get('n', '')} {time.time()} {os.getpid()}\n".encode()
        descriptor = os.open(config["out"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            os.write(descriptor, line)
        finally:
            os.close(descriptor)
    return {"body": message.body}
