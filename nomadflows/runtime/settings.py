"""The environment a step process is started with, read by the contract's rules.

Mandatory variables are non-empty; a number that is 0 or no number means its default; a switch is on for every text
but the empty one and `false`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

PREFIX: Final = "ELASTICIO_"
_DIGITS: Final = re.compile(r"\s*([+-]?\d+)")
_OFF: Final = {"", "false"}


class SettingsError(Exception):
    """A variable is missing or makes no sense. Its text never holds the value."""


class Settings(NamedTuple):
    """Everything the process is told from outside, apart from the step's own configuration."""

    flow: str
    exec_id: str
    step: str
    container: str
    workspace: str
    user: str
    component: str
    function: str
    api_uri: str
    api_username: str
    api_key: str
    component_dir: str
    credential_file: str
    shutdown_only: bool
    startup_required: bool
    amqp_uri: str = ""
    queue: str = ""
    exchange: str = ""
    data_key: str = ""
    error_key: str = ""
    rebound_key: str = ""
    snapshot_key: str = ""
    crypto_password: str = ""
    crypto_iv: str = ""
    prefetch: int = 1
    rebound_first_ms: int = 15_000
    rebound_limit: int = 20
    publish_retry_ms: int = 100
    publish_retry_max_ms: int = 300_000
    persistent: bool = False
    size_limit: int = 10_485_760
    own_passthrough: bool = True
    protocol: int = 1
    error_replies: bool = True
    input_is_error: bool = False
    extra_headers: tuple[tuple[str, str], ...] = ()

    def __repr__(self) -> str:
        return f"Settings(flow={self.flow!r}, step={self.step!r})"  # the others hold secrets


def read(environ: Mapping[str, str]) -> Settings:
    """Settings, or SettingsError in the words the contract's tests look for."""
    shutdown_only = bool(environ.get(PREFIX + "HOOK_SHUTDOWN"))
    settings = Settings(
        flow=_text(environ, "FLOW_ID"),
        exec_id=_text(environ, "EXEC_ID"),
        step=_text(environ, "STEP_ID"),
        container=_text(environ, "CONTAINER_ID"),
        workspace=_text(environ, "WORKSPACE_ID"),
        user=_text(environ, "USER_ID"),
        component=_text(environ, "COMP_ID"),
        function=_text(environ, "FUNCTION"),
        api_uri=_text(environ, "API_URI").rstrip("/"),
        api_username=_text(environ, "API_USERNAME"),
        api_key=_text(environ, "API_KEY"),
        component_dir=environ.get("NOMADFLOWS_COMPONENT_DIR") or environ.get(PREFIX + "COMPONENT_PATH") or ".",
        credential_file=environ.get("NOMADFLOWS_CREDENTIAL_FILE", ""),
        shutdown_only=shutdown_only,
        startup_required=_switch(environ, "STARTUP_REQUIRED"),
    )
    return settings if shutdown_only else _with_broker(settings, environ)


def _with_broker(settings: Settings, environ: Mapping[str, str]) -> Settings:
    settings = settings._replace(
        amqp_uri=_text(environ, "AMQP_URI"),
        queue=_text(environ, "LISTEN_MESSAGES_ON"),
        exchange=_text(environ, "PUBLISH_MESSAGES_TO"),
        data_key=_text(environ, "DATA_ROUTING_KEY"),
        error_key=_text(environ, "ERROR_ROUTING_KEY"),
        rebound_key=_text(environ, "REBOUND_ROUTING_KEY"),
        snapshot_key=_text(environ, "SNAPSHOT_ROUTING_KEY"),
        crypto_password=_text(environ, "MESSAGE_CRYPTO_PASSWORD"),
        crypto_iv=_text(environ, "MESSAGE_CRYPTO_IV"),
        prefetch=_number(environ, "RABBITMQ_PREFETCH_SAILOR", 1),
        rebound_first_ms=_number(environ, "REBOUND_INITIAL_EXPIRATION", 15_000),
        rebound_limit=_number(environ, "REBOUND_LIMIT", 20),
        publish_retry_ms=_number(environ, "AMQP_PUBLISH_RETRY_DELAY", 100),
        publish_retry_max_ms=_number(environ, "AMQP_PUBLISH_MAX_RETRY_DELAY", 300_000),
        persistent=_switch(environ, "AMQP_PERSISTENT_MESSAGES"),
        size_limit=_number(environ, "OUTGOING_MESSAGE_SIZE_LIMIT", 10_485_760),
        own_passthrough=not _switch(environ, "NO_SELF_PASSTRHOUGH"),  # sic: so the contract spells it
        protocol=_number(environ, "PROTOCOL_VERSION", 1),
        error_replies=not _switch(environ, "NO_ERROR_REPLIES"),
        input_is_error=environ.get(PREFIX + "INPUT_FORMAT") == "error",
        extra_headers=_extra_headers(environ),
    )
    if len(settings.crypto_iv.encode()) != 16:  # noqa: PLR2004 - an AES block
        raise SettingsError(f"{PREFIX}MESSAGE_CRYPTO_IV must be 16 bytes")
    if settings.prefetch < 0:
        raise SettingsError(f"{PREFIX}RABBITMQ_PREFETCH_SAILOR is negative")
    return settings


def _text(environ: Mapping[str, str], name: str) -> str:
    value = environ.get(PREFIX + name)
    if not value:
        raise SettingsError(f"{PREFIX}{name} is missing")
    return value


def _number(environ: Mapping[str, str], name: str, default: int) -> int:
    match = _DIGITS.match(environ.get(PREFIX + name, ""))
    return (int(match[1]) if match else 0) or default


def _switch(environ: Mapping[str, str], name: str) -> bool:
    return environ.get(PREFIX + name, "") not in _OFF


def _extra_headers(environ: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """`ELASTICIO_FLOW_VERSION` → header `flowVersion`, for each variable the list names."""
    found = []
    for listed in environ.get(PREFIX + "ADDITIONAL_VARS_FOR_HEADERS", "").split(","):
        name = listed.strip()
        if value := environ.get(name):
            first, *others = name.removeprefix(PREFIX).lower().split("_")
            found.append((first + "".join(word.capitalize() for word in others), value))
    return tuple(found)
