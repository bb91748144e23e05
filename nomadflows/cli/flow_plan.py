"""`flow plan`: what a publish, or a start, or the repair of drift would change. Nothing is changed by looking.

Exit codes as Nomad's and Terraform's plans have them: 0 nothing to change, 1 changes, 255 error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from nomadflows.cli import output
from nomadflows.cli.flow_state import existing
from nomadflows.cli.session import Session, flow_argument, pass_session
from nomadflows.model.errors import NomadflowsError, NotFound, Refused, ServerRefused
from nomadflows.model.names import FlowRef
from nomadflows.model.states import FlowState, Kind, WantedState

if TYPE_CHECKING:
    from nomadflows.controller.drift import Drift
    from nomadflows.controller.versions import Version
    from nomadflows.model.component import ComponentVersion
    from nomadflows.plan.preview import Line, Side
    from nomadflows.store import FlowRecord

_CHANGES, _ERROR = 1, 255
_COLOURS = {"+": "green", "-": "red", "~": "yellow", "!": "red"}


@click.command()
@flow_argument
@pass_session
def plan(session: Session, *, flow: str) -> int:
    """Show what publish or start would change: steps, Nomad's own plan, queues, broker user, Vault policy, schedule.

    With a draft: what publishing it would do. Without: what a start would do, or for an active flow what differs
    from how it should be. Exit codes: 0 nothing to change, 1 changes, 255 error.

    \b
    Examples:
      nomadflows flow plan orders-to-warehouse
      nomadflows flow plan orders-to-warehouse -o json
    """
    try:
        said, lines = _plan(session, session.ref(flow))
    except NomadflowsError as error:
        click.echo(f"Error: {error}", err=True)
        return _ERROR
    output.emit(
        session.output,
        {"flow": flow, "action": said, "changes": [asdict(line) for line in lines]},
        lambda: "\n".join([said, *(_text(line) for line in lines)] if lines else [said, "  nothing to change"]),
    )
    return _CHANGES if lines else 0


def _text(line: Line) -> str:
    return click.style(f"  {line.sign} {line.area:<9}{line.text}", fg=_COLOURS[line.sign])


def _plan(session: Session, ref: FlowRef) -> tuple[str, list[Line]]:
    record = existing(session, ref)
    active = _active(session, record)
    said, target = _target(session, record)
    kind = record.meta.value.kind
    components = _components(session, record, target)
    new = _side(target, kind, components)
    old = _side(active, kind, _components(session, record, active)) if active else None
    from nomadflows.controller.drift import Drift
    from nomadflows.plan import preview

    same = old is not None and old.ref == new.ref
    changed = _drift(session, record, target, components) if same else Drift()
    absent = [name for name in new.credentials if not session.vault.credential_exists(ref.workspace, name)]
    before = old or _latest(session, record, new)
    return said, [
        *preview.step_lines(before, new),
        *preview.setting_lines(before, new),
        *_job_lines(session, record, target, components),
        *preview.queue_lines(old, new, [*changed.queues, *changed.altered]),
        *preview.user_lines(old, new, changed.user),
        *preview.policy_lines(old, new, absent, differs=bool(changed.policy)),
        *preview.schedule_lines(old, new),
    ]


def _drift(session: Session, record: FlowRecord, version: Version, components: Mapping[str, ComponentVersion]) -> Drift:
    """What the controller would put right at its next full round."""
    from nomadflows.controller.drift import drift, expected

    wanted = expected(version, record.status.value.state)
    return drift(session.broker, session.vault, version, wanted, components)


def _active(session: Session, record: FlowRecord) -> Version | None:
    from nomadflows.controller.versions import Versions

    number = record.status.value.version
    return Versions().get(session.store, record.ref.version(number)) if number else None


def _target(session: Session, record: FlowRecord) -> tuple[str, Version]:
    """What would run, and in which words: the draft, else the version wanted, else the latest."""
    from nomadflows.controller.versions import Version, Versions
    from nomadflows.model.flow import FlowDefinition
    from nomadflows.model.graph import expand
    from nomadflows.model.requests import digest
    from nomadflows.store.publishing import queue_limits

    ref, desired, latest = record.ref, record.desired.value, record.meta.value.latest
    running = desired.state is WantedState.RUNNING
    if draft := session.store.draft(ref):
        definition = FlowDefinition.from_json(draft.value["definition"])
        vref = ref.version(latest + 1)
        verb = f"replaces version {desired.version}" if running else "starts nothing; a start would then do this"
        limits = queue_limits(session.store, ref.workspace, draft.value["definition"])
        version = Version(vref, definition, expand(definition), digest(draft.value["definition"]), limits)
        return f"{ref}: publishing the draft as version {vref.number} {verb}", version
    if not latest:
        raise Refused(f"{ref} has neither a draft nor a version", hint="nomadflows flow apply FILE")
    number = desired.version if running else latest
    verb = "resuming with" if desired.state is WantedState.SUSPENDED else "starting"
    said = f"{ref}: version {number} is active; to be as it should be" if running else f"{ref}: {verb} version {number}"
    return said, Versions().get(session.store, ref.version(number))


def _latest(session: Session, record: FlowRecord, new: Side) -> Side | None:
    """The version a draft of a stopped flow is compared with, step by step."""
    from nomadflows.controller.versions import Versions

    number = record.meta.value.latest
    if not number or number == new.ref.number:
        return new if number else None
    return _side(Versions().get(session.store, record.ref.version(number)), new.kind, {})


def _side(version: Version, kind: Kind, components: Mapping[str, ComponentVersion]) -> Side:
    from nomadflows.controller.versions import credentials_of
    from nomadflows.plan.preview import Side

    credentials = tuple(credentials_of(version, components))
    return Side(version.ref, kind, version.definition, version.steps, credentials)


def _components(session: Session, record: FlowRecord, version: Version) -> dict[str, ComponentVersion]:
    """step → component: as recorded where the version is active, else as a start would choose now."""
    from nomadflows.controller.versions import Versions

    status = record.status.value
    active = status.version == version.ref.number and status.components
    return Versions().components(session.store, status.components if active else version.resolve(session.store))


def _job_lines(
    session: Session, record: FlowRecord, target: Version, components: Mapping[str, ComponentVersion]
) -> list[Line]:
    """Nomad's dry run of the job, and the end of the one it takes the place of."""
    from nomadflows.controller.leader import site
    from nomadflows.model.graph import replicas
    from nomadflows.plan.preview import Line, job_lines
    from nomadflows.render.job import render_job

    status = record.status.value
    same = status.version == target.ref.number
    parked = same and status.state is FlowState.SLEEPING
    wanted = replicas(target.steps, record.desired.value.scale)
    counts = dict.fromkeys(wanted, 0) if parked else wanted
    hcl = render_job(
        target.ref, record.meta.value.kind, target.digest, target.steps, components, counts, site(session.settings)
    )
    job = session.nomad.parse(hcl)
    try:
        lines = list(job_lines(session.nomad.plan(job), target.ref.job_id, counts))
    except (NotFound, ServerRefused) as error:
        if "namespace" not in error.message:
            raise
        processes = sum(counts.values())
        lines = [
            Line("job", "+", f"Nomad namespace {target.ref.workspace}"),
            Line("job", "+", f"{target.ref.job_id}: {len(counts)} groups, {processes} processes"),
        ]
    if status.version and not same:
        lines.append(Line("job", "-", record.ref.version(status.version).job_id))
    return lines
