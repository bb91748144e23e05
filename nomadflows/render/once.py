"""One call of a component as a Nomad batch job, by the template `jobspecs/once.nomad.hcl.j2`.

Two kinds: the shutdown hook of a flow that stops, and a question asked of a component outside any flow (is this
credential right, which fields do you know). A question has a version of its own, so that its secrets and rights are
made and removed like a flow's.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from typing import Any, Final

from nomadflows.model.component import ComponentVersion
from nomadflows.model.graph import RunStep
from nomadflows.model.names import VersionRef
from nomadflows.render.env import step_env
from nomadflows.render.escape import Name, Runtime, Shown
from nomadflows.render.job import (
    check_names,
    credential_secret,
    object_token,
    process_values,
    secret_of,
    secret_variables,
    template,
)
from nomadflows.render.process import launch
from nomadflows.render.process import question as program
from nomadflows.render.site import Site

_TEMPLATE: Final = "once.nomad.hcl.j2"


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of a component: `verifyCredentials`, `getMetaModel` or `selectModel`."""

    method: str
    function: str = ""  # a trigger or action; "" when the credential alone is asked about
    model: str = ""  # selectModel: the component's own name of what is to be chosen from


def new_question(workspace: str) -> VersionRef:
    """What a question's job, secret, role and user are named after."""
    return VersionRef(workspace, f"call-{secrets.token_hex(8)}", 1)


def result_path(call: VersionRef) -> str:
    """Where on the component API a question's result is posted."""
    return f"/v1/calls/{call.flow}/result"


def render_shutdown(version: VersionRef, step: RunStep, component: ComponentVersion, site: Site) -> str:
    """The job that runs the shutdown hook of a version's first step."""
    check_names(version, [step], site)
    start = launch(component, site)
    env = step_env(version, step, component, site, start.component_dir)
    env |= {"ELASTICIO_HOOK_SHUTDOWN": "1", **start.fetched}
    return _render(
        version,
        version.shutdown_job,
        env,
        site,
        description=Shown(f"Shutdown hook of {component.ref}:{step.function} in the flow {version.ref}"),
        memory=step.memory or component.amount("memory"),
        cpu=step.cpu or component.amount("cpu"),
        credential=credential_secret(version, step, component, site),
        configured=False,
        step={**process_values(version, start, site), "variables": secret_variables(version, step, site)},
    )


def render_question(call: VersionRef, question: Question, component: ComponentVersion, site: Site) -> str:
    """The job that asks; its configuration is in Vault, since it holds the credential."""
    check_names(call, [], site)
    env: dict[str, str | Runtime] = {
        "ELASTICIO_API_URI": site.component_api.rstrip("/"),
        "ELASTICIO_API_USERNAME": call.api_user,
        "ELASTICIO_API_REQUEST_RETRY_ATTEMPTS": "3",
        "ELASTICIO_API_REQUEST_RETRY_DELAY": "500",
        "ELASTICIO_WORKSPACE_ID": call.workspace,
        "ELASTICIO_COMP_ID": component.name,
        "ELASTICIO_CONTAINER_ID": Runtime("${NOMAD_ALLOC_ID}"),
        "ELASTICIO_ACTION_OR_TRIGGER": question.function,
        "ELASTICIO_GET_MODEL_METHOD": question.model,
    }
    # Its role opens no credential, so the node knows the image or fetches it without one.
    start = replace(launch(component, site, program(question.method)), registry_credential="")
    env |= {"NOMADFLOWS_COMPONENT_DIR": start.component_dir, **start.fetched}
    scheme, _, rest = site.component_api.rstrip("/").partition("://")
    return _render(
        call,
        call.job_id,
        env,
        site,
        description=Shown(f"{question.method} of {component.ref} {question.function}".strip()),
        memory=256,
        cpu=100,
        credential="",
        configured=True,
        result_url=f"{scheme}://{call.api_user}:%s@{rest}{result_path(call)}",
        step={**process_values(call, start, site), "variables": {}},
    )


def _render(version: VersionRef, job_id: str, env: dict[str, str | Runtime], site: Site, **values: Any) -> str:
    return template(_TEMPLATE).render(
        job_id=job_id,
        workspace=version.workspace,
        datacenters=list(site.datacenters),
        network=site.network,
        user=site.container_user,
        vault_role=version.vault_role,
        secret=secret_of(site, version.secret_path),
        object_token=object_token(version),
        env=[(Name(name, max(map(len, env))), value) for name, value in env.items() if value != ""],
        **{"result_url": "", **values},
    )
