"""One question to a component outside any flow: a Nomad batch job that posts its result.

How it may end: a result; an error of the component; an end without a result (Node's library exits so when a component
never calls back); nothing within two minutes. The configuration holds the credential, so it goes through Vault.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from nomadflows.cli.session import Session
from nomadflows.controller.leader import site
from nomadflows.model.component import ComponentVersion
from nomadflows.model.errors import NomadflowsError, NotFound, WaitTimeout
from nomadflows.model.names import VersionRef
from nomadflows.render.once import Question, new_question, render_question
from nomadflows.store.transaction import Delete

Json = dict[str, Any]

TIME_LIMIT_S: Final = 120.0
_LOOK_S: Final = 0.1
_LOOK_AT_NOMAD_EVERY: Final = 5
_GRACE_S: Final = 2.0  # between the end of a process and its result being there


class ComponentFailedError(NomadflowsError):
    """The component answered with an error."""


class NoResultError(NomadflowsError):
    """Its process ended, and there was no result."""


def _configuration(session: Session, settings: Json, credential: str) -> Json:
    """As a step of the component would get it."""
    if not credential:
        return settings
    found = session.vault.read_credential(session.settings.workspace, credential)
    if found is None:
        raise NotFound(f"there is no credential {credential}", hint="nomadflows credential list")
    return {**settings, **found, "_account": credential, "secretId": credential}


def ask(
    session: Session,
    component: ComponentVersion,
    question: Question,
    settings: Json,
    credential: str = "",
    limit_s: float = TIME_LIMIT_S,
) -> Any:
    """The result. ComponentFailedError, NoResultError or WaitTimeout if there is none."""
    with _call(session, _configuration(session, settings, credential), credential) as call:
        job = session.nomad.parse(render_question(call, question, component, site(session.settings)))
        session.nomad.register(job, 0)
        return _answer(session, call, component, time.monotonic() + limit_s, limit_s)


@contextmanager
def _call(session: Session, config: Json, credential: str) -> Iterator[VersionRef]:
    """Secret and rights of one question; with its job they are gone afterwards, however it ends."""
    call = new_question(session.settings.workspace)
    session.nomad.ensure_namespace(call.workspace)
    try:
        session.vault.put_call(call, json.dumps(config), credential)
        session.vault.ensure_role(call, [])
        yield call
    finally:
        session.nomad.deregister(call.workspace, call.job_id, purge=True)
        session.vault.delete_version(call)
        session.store.transact([Delete(session.store.keys.call(call))])


def _answer(session: Session, call: VersionRef, component: ComponentVersion, deadline: float, limit_s: float) -> Any:
    looks, news = 0, ""
    while time.monotonic() < deadline:
        if (entry := session.store.client.get(session.store.keys.call(call))) is not None:
            return _result(json.loads(entry.value), component)
        looks += 1
        if looks % _LOOK_AT_NOMAD_EVERY == 0:
            allocations = session.nomad.allocations(call.workspace, call.job_id)
            news = next((found.message for found in allocations), "")
            if allocations and all(found.client_status not in {"pending", "running"} for found in allocations):
                deadline = min(deadline, time.monotonic() + _GRACE_S)
                limit_s = 0.0
        time.sleep(_LOOK_S)
    if limit_s == 0.0:
        raise NoResultError(
            f"{component.ref} ended without a result: {news}",
            hint="it never called back, or ended its process by itself",
        )
    raise WaitTimeout(f"{component.ref} did not answer within {limit_s:g} s: {news or 'it was not started'}; ended")


def _result(found: Json, component: ComponentVersion) -> Any:
    data = found.get("data")
    if found.get("status") == "success":
        return data
    message = data.get("message") if isinstance(data, dict) else data
    raise ComponentFailedError(f"{component.ref} failed: {message}")
