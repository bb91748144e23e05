"""The environment a step process is started with, read by the contract's rules.

Mandatory variables are non-empty; a number that is 0 or no number means its default; a switch is on for every text
but the empty one and `false`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

PREFIX: Final = "ELASTICIO_"
_DIGITS: Final = re.compile(r"\s*([+-]?\d+)")
_OFF: Final = {"", "false"}
_IV_BYTES: Final = 16


class SettingsError(Exception):
    """A variable is missing or makes no sense. Its text never holds the value."""


class Settings:
    """Everything the process is told from outside, apart from the step's own configuration.

    A plain class: a dataclass of this size costs a starting process 3 ms.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        """SettingsError in the words the contract uses."""
        read = _Reader(environ)
        self.flow = read.text("FLOW_ID")
        self.exec_id = read.text("EXEC_ID")
        self.step = read.text("STEP_ID")
        self.container = read.text("CONTAINER_ID")
        self.workspace = read.text("WORKSPACE_ID")
        self.user = read.text("USER_ID")
        self.component = read.text("COMP_ID")
        self.function = read.text("FUNCTION")
        self.api_uri = read.text("API_URI").rstrip("/")
        self.api_username = read.text("API_USERNAME")
        self.api_key = read.text("API_KEY")
        self.component_dir = environ.get("NOMADFLOWS_COMPONENT_DIR") or environ.get(PREFIX + "COMPONENT_PATH") or "."
        self.credential_file = environ.get("NOMADFLOWS_CREDENTIAL_FILE", "")
        self.startup_required = read.switch("STARTUP_REQUIRED")
        self.shutdown_only = bool(environ.get(PREFIX + "HOOK_SHUTDOWN"))
        if not self.shutdown_only:
            self._read_broker(read)
            self._read_behaviour(read)

    def _read_broker(self, read: _Reader) -> None:
        self.amqp_uri = read.text("AMQP_URI")
        self.queue = read.text("LISTEN_MESSAGES_ON")
        self.exchange = read.text("PUBLISH_MESSAGES_TO")
        self.data_key = read.text("DATA_ROUTING_KEY")
        self.error_key = read.text("ERROR_ROUTING_KEY")
        self.rebound_key = read.text("REBOUND_ROUTING_KEY")
        self.snapshot_key = read.text("SNAPSHOT_ROUTING_KEY")
        self.crypto_password = read.text("MESSAGE_CRYPTO_PASSWORD")
        self.crypto_iv = read.text("MESSAGE_CRYPTO_IV")
        if len(self.crypto_iv.encode()) != _IV_BYTES:
            raise SettingsError(f"{PREFIX}MESSAGE_CRYPTO_IV must be {_IV_BYTES} bytes")

    def _read_behaviour(self, read: _Reader) -> None:
        self.prefetch = read.number("RABBITMQ_PREFETCH_SAILOR", 1)
        self.rebound_first_ms = read.number("REBOUND_INITIAL_EXPIRATION", 15_000)
        self.rebound_limit = read.number("REBOUND_LIMIT", 20)
        self.publish_retry_ms = read.number("AMQP_PUBLISH_RETRY_DELAY", 100)
        self.publish_retry_max_ms = read.number("AMQP_PUBLISH_MAX_RETRY_DELAY", 300_000)
        self.persistent = read.switch("AMQP_PERSISTENT_MESSAGES")
        self.size_limit = read.number("OUTGOING_MESSAGE_SIZE_LIMIT", 10_485_760)
        self.object_uri = read.optional("OBJECT_STORAGE_URI")
        self.object_token = read.optional("OBJECT_STORAGE_TOKEN")
        self.object_threshold = read.number("OBJECT_STORAGE_SIZE_THRESHOLD", 1_048_576)
        self.emits_light = read.switch("EMIT_LIGHTWEIGHT_MESSAGE")
        self.own_passthrough = not read.switch("NO_SELF_PASSTRHOUGH")  # sic: so the contract spells it
        self.protocol = read.number("PROTOCOL_VERSION", 1)
        self.error_replies = not read.switch("NO_ERROR_REPLIES")
        self.input_is_error = read.optional("INPUT_FORMAT") == "error"
        self.extra_headers = read.extra_headers()
        if self.prefetch < 0:
            raise SettingsError(f"{PREFIX}RABBITMQ_PREFETCH_SAILOR is negative")

    def __repr__(self) -> str:
        return f"Settings(flow={self.flow!r}, step={self.step!r})"  # the others hold secrets


class _Reader:
    """The contract's rules for one variable."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def text(self, name: str) -> str:
        value = self._environ.get(PREFIX + name)
        if not value:
            raise SettingsError(f"{PREFIX}{name} is missing")
        return value

    def optional(self, name: str) -> str:
        return self._environ.get(PREFIX + name, "")

    def number(self, name: str, default: int) -> int:
        match = _DIGITS.match(self.optional(name))
        return (int(match[1]) if match else 0) or default

    def switch(self, name: str) -> bool:
        return self.optional(name) not in _OFF

    def extra_headers(self) -> dict[str, str]:
        """`ELASTICIO_FLOW_VERSION` → header `flowVersion`, for each variable the list names."""
        found = {}
        for listed in self.optional("ADDITIONAL_VARS_FOR_HEADERS").split(","):
            name = listed.strip()
            if value := self._environ.get(name):
                first, *others = name.removeprefix(PREFIX).lower().split("_")
                found[first + "".join(word.capitalize() for word in others)] = value
        return found
