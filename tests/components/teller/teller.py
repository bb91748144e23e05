"""Logs each message it gets; fails on those that say so."""

import logging

log = logging.getLogger(__name__)


def process(message, config, snapshot):
    log.info("told of %s", message.body.get("n"))
    if config.get("fails") and message.body.get("fail"):
        raise ValueError("told to fail")
    return {"body": message.body}
