"""`flow validate|apply|publish|delete|restore`: from a flow file to a published version, away, and back again."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from nomadflows.catalogue import Catalogue, recorded, shipped
from nomadflows.cli import output, show
from nomadflows.cli.flow_state import existing, warm_up
from nomadflows.cli.freshness import warn
from nomadflows.cli.session import Session, flow_argument, pass_session
from nomadflows.cli.wait import Goal, wait_for, wait_options
from nomadflows.model.errors import InputError, Refused, ServerUnreachable
from nomadflows.model.names import FlowRef
from nomadflows.model.states import WantedState

if TYPE_CHECKING:
    from nomadflows.model.flow import FlowDefinition
    from nomadflows.store.requests import Applied

F = TypeVar("F", bound=Callable[..., Any])

file_argument = click.argument("file", metavar="FILE", type=click.Path(dir_okay=False, allow_dash=True))


def read_definition(file: str, components: Callable[[], Catalogue], text: str | None = None) -> FlowDefinition:
    """A flow file (`text`: what it holds, if that was read already), checked against the components there are.
    InputError lists every mistake with its line."""
    from nomadflows.model.flowfile import parse_flow_file

    known = components()
    definition = parse_flow_file(read_text(file) if text is None else text, "<stdin>" if file == "-" else file, known)
    return _with_absolute_paths(definition, known, Path.cwd() if file == "-" else Path(file).absolute().parent)


def _with_absolute_paths(definition: FlowDefinition, components: Catalogue, folder: Path) -> FlowDefinition:
    """Settings that are paths are meant from the flow file's folder: a step runs somewhere else."""
    from nomadflows.model.flowcheck import relative_paths

    content = definition.to_json()
    for index, name, value in relative_paths(definition, components):
        content["steps"][index]["with"][name] = str(folder / value)
    return definition.from_json(content)


def read_text(file: str) -> str:
    """What a file holds; `-`: what comes in."""
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: not UTF-8 text: {error.reason} at byte {error.start}") from error


def _reachable_components(session: Session) -> Catalogue | None:
    """None, and a word about it, where Consul does not answer."""
    try:
        return recorded(session.store)
    except ServerUnreachable as error:
        click.echo(f"Note: checked against the built-in components only: {error.message}", err=True)
        return None


@click.command()
@file_argument
@pass_session
def validate(session: Session, file: str) -> None:
    """Check a flow file; nothing is stored.

    Mistakes are listed as file:line: field. Without servers only built-in components are known.

    \b
    Examples:
      nomadflows flow validate examples/orders-to-warehouse.yaml
      cat flow.yaml | nomadflows flow validate -
    """
    from nomadflows.model.graph import expand

    known = _reachable_components(session)
    definition = read_definition(file, lambda: shipped() if known is None else known)
    if known is not None:
        warn(session.store, definition.to_json())
    steps = [
        {"id": step.id, "kind": step.kind, "component": step.use, "function": step.function, "after": list(step.after)}
        for step in expand(definition)
    ]
    output.emit(
        session.output,
        {"flow": definition.flow, "kind": definition.kind.value, "steps": steps},
        lambda: (
            f"{file} is valid: flow {definition.flow}, {len(definition.steps)} steps, {len(steps)} with the mappers"
        ),
    )


@click.command()
@file_argument
@pass_session
def apply(session: Session, file: str) -> None:
    """Store a flow file as the flow's draft. What runs is not touched.

    \b
    Examples:
      nomadflows flow apply examples/orders-to-warehouse.yaml
      nomadflows flow apply -w sales flow.yaml
    """
    from nomadflows.store import requests

    definition = read_definition(file, lambda: recorded(session.store))
    ref = session.ref(definition.flow)
    applied = requests.apply(session.store, ref, definition.to_json(), by=session.user)
    warn(session.store, definition.to_json())
    said = f"{ref} is created; its draft is stored" if applied.created else f"{ref}: {_draft_said(applied)}"
    output.emit(
        session.output,
        {
            "workspace": ref.workspace,
            "flow": ref.flow,
            "created": applied.created,
            "changed": applied.changed,
            "draft": applied.draft,
        },
        lambda: f"{said}\n  next: nomadflows flow publish {ref.flow}" if applied.draft else said,
    )


def _draft_said(applied: Applied) -> str:
    if applied.changed:
        return "the draft is stored" if applied.draft else "as published; the draft is withdrawn"
    return "nothing changed" if applied.draft else "nothing changed, it is published as it is"


def publish_options(function: F) -> F:
    """What `publish` and `revert` can be told."""
    for option in reversed(
        (
            click.option(
                "--strategy",
                type=click.Choice(["replace", "handover"]),
                default="replace",
                show_default=True,
                help="For an active flow: stop the old version first, or when the new one is ready.",
            ),
            click.option(
                "--ready-timeout",
                type=click.FloatRange(min=1, max=1800),
                metavar="SECONDS",
                help="How long the new version may take to come up; without it: as its definition says (limits.ready_timeout).",
            ),
            click.option("--note", default="", metavar="TEXT", help="What changed; kept with the version."),
            click.option("--force", is_flag=True, help="Although it is the same as the newest version."),
        )
    ):
        function = option(function)
    return function


@click.command()
@flow_argument
@publish_options
@wait_options
@pass_session
def publish(
    session: Session,
    *,
    flow: str,
    strategy: str,
    ready_timeout: float | None,
    note: str,
    force: bool,
    wait: bool,
    wait_timeout: float,
) -> None:
    """Make the draft the next version. An active flow is replaced by it; a stopped one stays stopped.

    \b
    Examples:
      nomadflows flow publish orders-to-warehouse --note "totals with tax"
      nomadflows flow publish orders-to-warehouse --strategy handover --ready-timeout 30 --wait
    """
    from nomadflows.store import requests

    ref = session.ref(flow)
    number = requests.publish(
        session.store,
        ref,
        by=session.user,
        strategy=strategy,
        note=note,
        force=force,
        ready_timeout=ready_timeout or 0.0,
    )
    warn(session.store, (session.store.version(ref.version(number)) or {}).get("definition", {}))
    report_published(
        session, ref, number, f"{ref}: version {number} is published", wait=wait, wait_timeout=wait_timeout
    )


def report_published(
    session: Session, ref: FlowRef, number: int, said: str, *, wait: bool, wait_timeout: float
) -> None:
    """Say that a version is published, or with --wait what came of it."""
    record = existing(session, ref)
    active = record.desired.value.state is WantedState.RUNNING
    said += "" if active else f"\n  next: nomadflows flow start {ref.flow}"
    if wait and active:
        goal = Goal(record.desired.value.generation, WantedState.RUNNING, number)
        record = wait_for(session.store, ref, goal, wait_timeout)
        said = warm_up(record)
    output.emit(session.output, {**show.show_json(record), "published": number}, lambda: said)


@click.command()
@flow_argument
@click.option("--for-good", is_flag=True, help="Not to be restored; frees the name.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@pass_session
def delete(session: Session, *, flow: str, for_good: bool, yes: bool) -> None:
    """Remove a stopped flow: its draft, all its versions, its history. It can be restored for a while.

    \b
    Examples:
      nomadflows flow delete orders-to-warehouse
      nomadflows flow delete orders-to-warehouse --for-good --yes
    """
    from nomadflows.store import requests

    ref = session.ref(flow)
    gone = for_good and session.store.deleted_flow(ref) is not None
    record = None if gone else existing(session, ref)
    if not yes:
        _confirm_deletion(ref, record.meta.value.latest if record else 0)
    mark = requests.delete(session.store, ref, by=session.user) if record else None
    if for_good:
        mark = requests.forget(session.store, ref, by=session.user)
    until = "" if for_good or mark is None else mark.until
    output.emit(
        session.output,
        {"workspace": ref.workspace, "flow": ref.flow, "deleted": True, "restorable_until": until or None},
        lambda: (
            f"{ref} is deleted"
            + (f"; until {until} `nomadflows flow restore {ref.flow}` brings it back" if until else " for good")
        ),
    )


def _confirm_deletion(ref: FlowRef, versions: int) -> None:
    if not sys.stdin.isatty():
        raise Refused(f"{ref} is not deleted: nobody is there to confirm", hint="give --yes")
    if not click.confirm(f"Delete {ref} with its {versions} version{'' if versions == 1 else 's'}?", err=True):
        raise Refused(f"{ref} is not deleted")


@click.command()
@flow_argument
@pass_session
def restore(session: Session, *, flow: str) -> None:
    """Bring a deleted flow back as it was: stopped, with its draft, versions and history.

    \b
    Examples:
      nomadflows flow list --deleted
      nomadflows flow restore orders-to-warehouse
    """
    from nomadflows.store import requests

    ref = session.ref(flow)
    requests.restore(session.store, ref, by=session.user)
    output.emit(session.output, show.show_json(existing(session, ref)), lambda: f"{ref} is back, stopped")
