"""`flow list|show|versions|queues`: reading, from Consul and RabbitMQ."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from nomadflows.cli import output
from nomadflows.cli import show as views
from nomadflows.cli.flow_state import existing
from nomadflows.cli.freshness import Fresh, lines
from nomadflows.cli.session import Session, flow_argument, pass_session
from nomadflows.cli.watch import watch
from nomadflows.model.errors import Refused
from nomadflows.model.names import VersionRef
from nomadflows.model.states import FlowState

if TYPE_CHECKING:
    from nomadflows.model.freshness import Behind
    from nomadflows.store import FlowRecord


@click.command("list")
@click.option("--all", "-a", "everywhere", is_flag=True, help="Flows of all workspaces.")
@click.option(
    "--state", type=click.Choice([state.value for state in FlowState], case_sensitive=False), help="Only these."
)
@click.option("--outdated", is_flag=True, help="Only those with a newer or deprecated component version, and which.")
@click.option("--deleted", is_flag=True, help="Flows that were deleted and can be restored.")
@pass_session
def list_(session: Session, *, everywhere: bool, state: str | None, outdated: bool, deleted: bool) -> None:
    """List flows and their states.

    \b
    Examples:
      nomadflows flow list
      nomadflows flow list --all --state Suspended
      nomadflows flow list --outdated
      nomadflows flow list -o json | jq -r '.[].flow'
    """
    workspace = None if everywhere else session.settings.workspace
    if deleted:
        _print_deleted(session, workspace)
        return
    records = [r for r in session.store.flows(workspace) if state is None or r.status.value.state.value == state]
    if outdated:
        _print_outdated(session, records)
        return
    rows = [views.list_json(record) for record in records]
    output.emit(session.output, rows, lambda: views.list_text(rows))


def _print_outdated(session: Session, records: list[FlowRecord]) -> None:
    fresh = Fresh(session.store)
    rows = [
        {**views.list_json(record), "components": [one.to_json() for one in found]}
        for record in records
        if (found := fresh.of(record))
    ]
    output.emit(
        session.output,
        rows,
        lambda: output.table(
            ["WORKSPACE", "FLOW", "STATE", "STEP", "COMPONENT", "NEWEST", "PINNED", "DEPRECATED"],
            [
                [
                    row["workspace"],
                    row["flow"],
                    row["state"],
                    one["step"],
                    one["component"],
                    one["newest"],
                    "yes" if one["pinned"] else "",
                    one["deprecated"],
                ]
                for row in rows
                for one in row["components"]
            ],
            none="Every flow uses the newest component versions.",
        ),
    )


def _print_deleted(session: Session, workspace: str | None) -> None:
    rows = [
        {
            "workspace": ref.workspace,
            "flow": ref.flow,
            "at": mark.value.at,
            "by": mark.value.by,
            "restorable_until": mark.value.until,
        }
        for ref, mark in session.store.deleted_flows(workspace).items()
    ]
    output.emit(
        session.output,
        rows,
        lambda: output.table(
            ["WORKSPACE", "FLOW", "DELETED AT", "BY", "RESTORABLE UNTIL"],
            [list(row.values()) for row in rows],
            none="No deleted flow can be restored.",
        ),
    )


@click.command()
@flow_argument
@click.option("--watch", "watched", is_flag=True, help="Show it again whenever it changes, until Ctrl-C.")
@pass_session
def show(session: Session, *, flow: str, watched: bool) -> None:
    """Show one flow: state, conditions, steps. With --watch -o json one line a change.

    \b
    Examples:
      nomadflows flow show orders-to-warehouse
      nomadflows flow show orders-to-warehouse --watch
      nomadflows flow show orders-to-warehouse -o json | jq -r .status.state
    """
    if watched:
        watch(session, session.ref(flow))
    record = existing(session, session.ref(flow))
    found = Fresh(session.store).of(record)
    output.emit(
        session.output,
        {**views.show_json(record), "outdated": [one.to_json() for one in found]},
        lambda: "\n".join([views.show_text(record), *_outdated_text(record, found)]),
    )


def _outdated_text(record: FlowRecord, found: list[Behind]) -> list[str]:
    if not found:
        return []
    todo = f"  `nomadflows flow update-components {record.ref.flow}` makes a draft with the newest versions"
    return ["", *lines(found), *([todo] if any(one.newest for one in found) else [])]


@click.command()
@flow_argument
@click.option("--show", "number", type=click.IntRange(min=1), metavar="N", help="Print the definition of version N.")
@pass_session
def versions(session: Session, flow: str, number: int | None) -> None:
    """List the published versions of a flow, newest first.

    \b
    Examples:
      nomadflows flow versions orders-to-warehouse
      nomadflows flow versions orders-to-warehouse --show 2 -o yaml
    """
    ref = session.ref(flow)
    record = existing(session, ref)
    active = record.status.value.version
    documents = sorted(session.store.versions(ref), key=lambda document: -int(document["number"]))
    if number is not None:
        _print_version(session, ref.version(number), documents)
        return
    rows = [{**{k: v for k, v in d.items() if k != "definition"}, "active": d["number"] == active} for d in documents]
    output.emit(
        session.output,
        rows,
        lambda: output.table(
            ["VERSION", "ACTIVE", "AUTHOR", "AT", "DIGEST", "NOTE"],
            [
                [
                    r["number"],
                    "yes" if r["active"] else "",
                    r.get("author"),
                    r.get("at"),
                    str(r.get("digest", ""))[:19],
                    r.get("note"),
                ]
                for r in rows
            ],
            none=f"{ref} has no version yet. `nomadflows flow publish {ref.flow}` makes its draft version 1.",
        ),
    )


def _print_version(session: Session, version: VersionRef, documents: list[dict[str, Any]]) -> None:
    for document in documents:
        if document["number"] == version.number:
            output.emit("yaml" if session.output == "table" else session.output, document, str)
            return
    kept = ", ".join(str(document["number"]) for document in documents) or "none"
    raise Refused(f"{version.ref} has no version {version.number}", hint=f"kept versions: {kept}")


@click.command()
@flow_argument
@pass_session
def queues(session: Session, flow: str) -> None:
    """Show each step's queue: what waits, what is in work, who consumes.

    Below them the queues that people look after: the flow's errors (`flow errors`), its dead letters (`flow dead`),
    and what found no queue in the whole workspace (`flow dead --unrouted`).

    \b
    Examples:
      nomadflows flow queues orders-to-warehouse
      watch -n1 nomadflows flow queues orders-to-warehouse
    """
    record = existing(session, session.ref(flow))
    rows = _queue_rows(session, record)
    none = f"{record.ref} is {record.status.value.state}: it has no queues."
    output.emit(
        session.output,
        rows,
        lambda: output.table(
            ["STEP", "QUEUE", "READY", "UNACKED", "CONSUMERS"],
            [[row["step"], row["queue"], row["ready"], row["unacked"], row["consumers"]] for row in rows],
            none=none,
        ),
    )


def _queue_rows(session: Session, record: FlowRecord) -> list[dict[str, Any]]:
    from nomadflows.broker.statistics import kept, statistics

    found = statistics(session.broker, record.ref, record.status.value)
    if found.unknown:
        click.echo(f"UNACKED is unknown: {found.unknown}", err=True)
    return [asdict(queue) for queue in (*found.queues, *kept(session.broker, record.ref))]
