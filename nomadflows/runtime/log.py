"""JSON lines on standard output: level, message, flow, step and, inside a call, its execution.

Never a message body, never a secret. What a component prints goes to standard output as it is.
"""

from __future__ import annotations

import contextvars
import json
import logging
import os
import sys
import time

from nomadflows.runtime.settings import Settings

thread_id: contextvars.ContextVar[str] = contextvars.ContextVar("thread_id", default="")
_LEVELS = {"trace": "DEBUG", "fatal": "CRITICAL", "warn": "WARNING"}


class _JsonLines(logging.Formatter):
    def __init__(self, flow: str, step: str) -> None:
        super().__init__()
        self._flow = flow
        self._step = step

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            "logger": record.name,
            "flow": self._flow,
            "step": self._step,
        }
        if thread := thread_id.get():
            line["threadId"] = thread
        if record.exc_info:
            line["stack"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def set_up(settings: Settings) -> None:
    """Every logger of the process writes JSON lines; the AMQP library only what it cannot report otherwise."""
    sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace")  # type: ignore[union-attr]
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_JsonLines(settings.flow, settings.step))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    name = os.environ.get("LOG_LEVEL", "info").lower()
    level = logging.getLevelName(_LEVELS.get(name, name.upper()))
    root.setLevel(level if isinstance(level, int) else logging.INFO)
    logging.getLogger("pika").setLevel(logging.CRITICAL + 1)  # the runtime says what a lost connection means
