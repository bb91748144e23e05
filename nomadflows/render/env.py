"""The environment of a step process: what the component contract asks for, without its secrets.

Secrets (the broker's address with its password, the API key, the object store's token, the message key) are not here: Nomad's client
reads them from Vault when the task starts. The step's configuration is not here either; the process asks the
component API for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from nomadflows.model import names
from nomadflows.model.component import CREDENTIAL_BY_FILE, ComponentVersion
from nomadflows.model.graph import RunStep, fed_by
from nomadflows.model.names import VersionRef
from nomadflows.render.escape import Runtime
from nomadflows.render.site import Site

CREDENTIAL_FILE: Final = "${NOMAD_SECRETS_DIR}/credential.json"
SILENT: Final = {"ELASTICIO_NO_ERROR_REPLIES": "true"}

# Same for every step. The broker may be away for long: a step tries for ever, Nomad need not restart it.
_FIXED: Final[dict[str, str]] = {
    "USER_ID": "nomadflows",
    "PROTOCOL_VERSION": "2",
    "AMQP_PERSISTENT_MESSAGES": "true",
    "AMQP_RECONNECT_ATTEMPTS": "1000000",
    "AMQP_RECONNECT_TIMEOUT": "1000",
    # 1 s longer than the delay, which the broker's queues set: the copy that counts a rebound must not go before it.
    "REBOUND_INITIAL_EXPIRATION": "16000",
    "NO_SELF_PASSTRHOUGH": "true",  # sic: so the contract spells it
    "EMIT_LIGHTWEIGHT_MESSAGE": "true",
    "DATA_RATE_LIMIT": "1000000",  # Node's library would hold each step to 100 messages/s; full queues hold them here
}

# The most that the client of the object store in Node's library takes: it gives up after so many tries, and a store
# that is restarted should not fail a message.
_PATIENT: Final = {"REQUEST_MAX_RETRY": "4", "REQUEST_TIMEOUT": "20000"}


def step_env(
    version: VersionRef, step: RunStep, component: ComponentVersion, site: Site, component_dir: str | Runtime
) -> dict[str, str | Runtime]:
    """Variable → value, in an order in which people look for them. `component_dir`: "" = the image knows it."""
    contract: dict[str, str | Runtime] = {
        "WORKSPACE_ID": version.workspace,
        "FLOW_ID": version.flow,
        "TASK_ID": version.flow,  # its old name, which some components still read
        "FLOW_VERSION": str(version.number),
        "EXEC_ID": version.job_id,
        "STEP_ID": step.id,
        "CONTAINER_ID": Runtime("${NOMAD_ALLOC_ID}"),
        "COMP_ID": component.name,
        "COMP_NAME": component.name,  # in the lines Node's library logs
        "FUNCTION": step.function,
        "API_URI": site.component_api.rstrip("/"),
        "OBJECT_STORAGE_URI": site.component_api.rstrip("/"),
        "API_USERNAME": version.api_user,
        "LISTEN_MESSAGES_ON": version.queue(step.id),
        "PUBLISH_MESSAGES_TO": version.exchange,
        "DATA_ROUTING_KEY": names.data_key(step.id),
        "ERROR_ROUTING_KEY": names.error_key(step.id),
        "REBOUND_ROUTING_KEY": names.rebound_key(version, step.id),
        "SNAPSHOT_ROUTING_KEY": names.snapshot_key(step.id),
        "RABBITMQ_PREFETCH_SAILOR": str(step.prefetch),
        **_FIXED,
    }
    if step.error_handler:
        contract["INPUT_FORMAT"] = "error"
    if site.webhooks and step.visible:
        contract["FLOW_WEBHOOK_URI"] = webhook_of(version, site)
    prefixed = {f"ELASTICIO_{name}": value for name, value in contract.items()}
    return prefixed | _own(version, step, component, site, component_dir) | step.env


def silent_steps(steps: Sequence[RunStep], components: Mapping[str, ComponentVersion]) -> set[str]:
    """Steps that must not answer a caller when they fail, because the error handler does: the first answer counts."""
    for handler in (step for step in steps if step.error_handler):
        branch = fed_by(handler.id, steps)
        if any(components[step.id].replies(step.function) for step in steps if step.id in branch):
            return {step.id for step in steps} - branch
    return set()


def webhook_of(version: VersionRef, site: Site) -> str:
    """Where the flow takes webhooks, for components that tell it to the system they subscribe to."""
    return f"{site.webhooks.rstrip('/')}/hook/{version.workspace}/{version.flow}"


def _own(
    version: VersionRef, step: RunStep, component: ComponentVersion, site: Site, component_dir: str | Runtime
) -> dict[str, str | Runtime]:
    own: dict[str, str | Runtime] = {} if component.language == "python" else dict(_PATIENT)
    if site.webhooks and step.visible:
        own["WEBHOOK_URI"] = webhook_of(version, site)  # the older of its two names
    if step.log_level:
        own["LOG_LEVEL"] = step.log_level
    if component_dir:
        own["NOMADFLOWS_COMPONENT_DIR"] = component_dir
    if step.credential and component.language in CREDENTIAL_BY_FILE:
        own["NOMADFLOWS_CREDENTIAL_FILE"] = Runtime(CREDENTIAL_FILE)
    return own
