"""The contract's rules for environment variables."""

from __future__ import annotations

import pytest

from nomadflows.runtime.settings import Settings, SettingsError

NAMES = [
    "FLOW_ID",
    "EXEC_ID",
    "STEP_ID",
    "CONTAINER_ID",
    "WORKSPACE_ID",
    "USER_ID",
    "COMP_ID",
    "FUNCTION",
    "API_URI",
    "API_USERNAME",
    "API_KEY",
    "AMQP_URI",
    "LISTEN_MESSAGES_ON",
    "PUBLISH_MESSAGES_TO",
    "DATA_ROUTING_KEY",
    "ERROR_ROUTING_KEY",
    "REBOUND_ROUTING_KEY",
    "SNAPSHOT_ROUTING_KEY",
    "MESSAGE_CRYPTO_PASSWORD",
]
WHOLE = {f"ELASTICIO_{name}": name.lower() for name in NAMES} | {"ELASTICIO_MESSAGE_CRYPTO_IV": "0123456789abcdef"}


def read(**more: str) -> Settings:
    return Settings(WHOLE | {f"ELASTICIO_{name}": value for name, value in more.items()})


@pytest.mark.parametrize("name", [*NAMES, "MESSAGE_CRYPTO_IV"])
@pytest.mark.parametrize("value", [None, ""])
def test_what_is_mandatory(name, value):
    environ = {key: text for key, text in WHOLE.items() if key != f"ELASTICIO_{name}"}
    if value is not None:
        environ[f"ELASTICIO_{name}"] = value
    with pytest.raises(SettingsError, match=f"^ELASTICIO_{name} is missing$"):
        Settings(environ)


def test_a_shutdown_hook_needs_no_broker():
    environ = {key: text for key, text in WHOLE.items() if "AMQP" not in key and "KEY" not in key}
    environ |= {"ELASTICIO_HOOK_SHUTDOWN": "1", "ELASTICIO_API_KEY": "k"}
    assert Settings(environ).shutdown_only


@pytest.mark.parametrize(("text", "value"), [("20", 20), ("0", 1), ("", 1), ("x", 1), ("7 of 9", 7), (" 5", 5)])
def test_numbers(text, value):
    assert read(RABBITMQ_PREFETCH_SAILOR=text).prefetch == value


@pytest.mark.parametrize(("text", "value"), [("true", True), ("", False), ("false", False), ("0", True), ("no", True)])
def test_switches(text, value):
    assert read(AMQP_PERSISTENT_MESSAGES=text).persistent is value


def test_defaults():
    settings = read()
    assert (settings.prefetch, settings.persistent, settings.protocol) == (1, False, 1)
    assert (settings.rebound_first_ms, settings.rebound_limit) == (15_000, 20)
    assert (settings.publish_retry_ms, settings.publish_retry_max_ms) == (100, 300_000)
    assert settings.size_limit == 10_485_760
    assert settings.own_passthrough
    assert settings.error_replies
    assert not settings.input_is_error


@pytest.mark.parametrize(("name", "value"), [("MESSAGE_CRYPTO_IV", "short"), ("RABBITMQ_PREFETCH_SAILOR", "-1")])
def test_what_makes_no_sense(name, value):
    with pytest.raises(SettingsError, match=name):
        read(**{name: value})


def test_no_secret_in_the_repr():
    text = repr(read(AMQP_URI="amqp://u:secret@h", API_KEY="secret"))
    assert "secret" not in text
