"""Which variables a flow may give to the process of a step: its own, and those that tune the step library.

What the platform itself says to a step is not for a flow to change, and whoever writes flows does not thereby choose
what code runs on the nodes: variables by which an interpreter, a linker or a shell loads code are refused.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Final

NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
LARGEST: Final = 8_192  # bytes of one value
MOST: Final = 100

LOG_LEVELS: Final = ("trace", "debug", "info", "warn", "error", "fatal")

# Of the component contract's variables those that only change how a step works. All others are the platform's.
TUNABLE: Final = frozenset(
    f"ELASTICIO_{name}"
    for name in (
        "DATA_RATE_LIMIT",
        "ERROR_RATE_LIMIT",
        "SNAPSHOT_RATE_LIMIT",
        "RATE_INTERVAL",
        "REBOUND_LIMIT",
        "OUTGOING_MESSAGE_SIZE_LIMIT",
        "PROCESS_AMQP_DRAIN",
        "AMQP_PUBLISH_RETRY_DELAY",
        "AMQP_PUBLISH_MAX_RETRY_DELAY",
        "API_REQUEST_RETRY_ATTEMPTS",
        "API_REQUEST_RETRY_DELAY",
        "ADDITIONAL_VARS_FOR_HEADERS",
        "CONTRACT_ID",
        "EXEC_TYPE",
        "TASK_USER_EMAIL",
        "TENANT_ID",
    )
)
_LISTED: Final = "ELASTICIO_ADDITIONAL_VARS_FOR_HEADERS"
_SECRET: Final = frozenset(
    f"ELASTICIO_{name}"
    for name in ("AMQP_URI", "API_KEY", "MESSAGE_CRYPTO_PASSWORD", "MESSAGE_CRYPTO_IV", "OBJECT_STORAGE_TOKEN")
)
_ELSEWHERE: Final = {"LOG_LEVEL": "log_level", "EIO_REQUIRED_RAM_MB": "resources.memory"}
_PLATFORM: Final = ("ELASTICIO_", "NOMAD", "VAULT_", "CONSUL_")
_PLATFORM_NAMES: Final = frozenset({"WEBHOOK_URI"})
_LOADS_CODE: Final = (
    "LD_",
    "DYLD_",
    "GCONV_",
    "GLIBC_",
    "MALLOC_",
    "OPENSSL_",
    "BASH_",
    "NODE_",
    "NPM_",
    "PYTHON",
    "UV_",
)
_LOADS_CODE_NAMES: Final = frozenset(
    {"PATH", "HOME", "ENV", "IFS", "SHELL", "SHELLOPTS", "PS4", "CDPATH", "LOCPATH", "NLSPATH", "TMPDIR", "USER"}
)
_PLACEHOLDER: Final = "${"  # Nomad's clients replace it when the task starts


def secret_problems(variables: Mapping[str, str]) -> Iterator[str]:
    """What is wrong with variables whose values are members of the step's credential."""
    if len(variables) > MOST:
        yield f"{len(variables)} variables; allowed: {MOST}"
    for name, member in variables.items():
        if problem := _of_name(name):
            yield f"{name!r:.60}: {problem}"
        elif name in TUNABLE:
            yield f"{name!r}: is no secret; allowed: in env"
        elif not NAME.fullmatch(member):
            yield f"{name!r:.60}: no member of a credential; allowed: letters, digits and _, not a digit first"


def problems(variables: Mapping[str, str]) -> Iterator[str]:
    """What is wrong with the variables of a step, each in a sentence that quotes no value."""
    if len(variables) > MOST:
        yield f"{len(variables)} variables; allowed: {MOST}"
    for name, value in variables.items():
        problem = _of_name(name) or _of_value(value)
        if problem:
            yield f"{name!r:.60}: {problem}"
    secret = _SECRET.intersection(part.strip() for part in variables.get(_LISTED, "").split(","))
    if secret:
        yield f"{_LISTED!r}: {', '.join(sorted(secret))} would travel in every message; allowed: no secrets"


def _of_name(name: str) -> str:
    if not NAME.fullmatch(name):
        return "no name of a variable; allowed: letters, digits and _, not a digit first"
    if name in _ELSEWHERE:
        return f"has a field of its own; allowed: {_ELSEWHERE[name]}"
    if name in TUNABLE:
        return ""
    upper = name.upper()
    if upper.startswith(_PLATFORM) or upper in _PLATFORM_NAMES:
        return "is the platform's to set; allowed: variables of the component"
    if upper.startswith(_LOADS_CODE) or upper in _LOADS_CODE_NAMES:
        return "can make a process load other code; allowed: variables of the component"
    return ""


def _of_value(value: str) -> str:
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        return "half a surrogate pair; allowed: text"
    if size > LARGEST:
        return f"a value of {size} bytes; allowed: {LARGEST}"
    if "\0" in value:
        return "a NUL; allowed: text"
    if _PLACEHOLDER in value:
        return "a value with ${, which Nomad would replace; allowed: text without it"
    if not unicodedata.is_normalized("NFC", value):
        return "decomposed characters, which Nomad's job specs cannot keep; allowed: composed ones"
    return ""
