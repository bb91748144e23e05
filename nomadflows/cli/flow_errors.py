"""`flow errors|retry|dead`: what failed, what it failed on, and trying again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from nomadflows.broker.address import Address
from nomadflows.broker.kept import Shelf
from nomadflows.broker.wire import Crypto
from nomadflows.broker.wire import retry as retried
from nomadflows.cli import output
from nomadflows.cli.flow_state import existing
from nomadflows.cli.records import Record, dead_record, error_record, grouped, previous_step
from nomadflows.cli.session import Session, flow_argument, pass_session
from nomadflows.model.errors import InputError, NotFound, Refused
from nomadflows.model.flow import FlowDefinition
from nomadflows.model.graph import expand
from nomadflows.model.names import FlowRef, input_key

_STEP = click.option("--step", default="", metavar="ID", help="Only of this step.")


@click.command()
@flow_argument
@click.argument("record", default="", metavar="[ID]")
@_STEP
@click.option("--execution", default="", metavar="ID", help="Only of this execution.")
@click.option("--each", is_flag=True, help="One line for each error instead of one for each kind.")
@pass_session
def errors(session: Session, *, flow: str, record: str, step: str, execution: str, each: bool) -> None:
    """List what failed, grouped; with ID show one error, its input included.

    The last 1,000 errors of a flow are kept for 5 days.

    \b
    Examples:
      nomadflows flow errors orders-to-warehouse
      nomadflows flow errors orders-to-warehouse --step store --each
      nomadflows flow errors orders-to-warehouse --execution 0b6c5f0e-7d0c-4f7e-9a53-5a3a1d0a2f11
      nomadflows flow errors orders-to-warehouse 3f7a12bc
    """
    ref = session.ref(flow)
    existing(session, ref)
    with _shelf(session, ref) as shelf:
        crypto = _crypto(session, ref)
        found = _of_step((error_record(kept, crypto) for kept in shelf.look(ref.errors_queue)), step)
    found = [one for one in found if execution in {"", one.thread}]
    if record:
        _show(session, _chosen(found, [record])[0])
    elif each:
        _list(session, found)
    else:
        rows = grouped(found)
        columns = ["count", "step", "name", "message", "last", "id"]
        output.emit(session.output, rows, lambda: _table(columns, rows, f"{ref} has no errors."))


@click.command()
@flow_argument
@click.argument("records", nargs=-1, metavar="[ID]...")
@_STEP
@click.option("--all", "everything", is_flag=True, help="Every error that is kept.")
@click.option(
    "--body", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="A JSON file to send instead."
)
@pass_session
def retry(
    session: Session, *, flow: str, records: Sequence[str], step: str, everything: bool, body: Path | None
) -> None:
    """Give failed messages to their step again, in the version that takes input now.

    A retried message has a new id, the same thread, and a header `retry`. Its error leaves the list once the broker
    has the message.

    \b
    Examples:
      nomadflows flow retry orders-to-warehouse 3f7a12bc
      nomadflows flow retry orders-to-warehouse 3f7a12bc --body mended.json
      nomadflows flow retry orders-to-warehouse --step store
    """
    if not (records or step or everything):
        raise InputError("which errors? Give ids, --step or --all", hint=f"nomadflows flow errors {flow}")
    if body and len(records) != 1:
        raise InputError("--body is for one error: give its id")
    ref = session.ref(flow)
    with _shelf(session, ref) as shelf:
        crypto = _crypto(session, ref)
        found = _of_step((error_record(kept, crypto) for kept in shelf.look(ref.errors_queue)), step)
        chosen = _chosen(found, records) if records else found
        mended = _json(body) if body else None
        count = _replay(session, ref, shelf, crypto, chosen, mended)
    output.emit(session.output, {"retried": count}, lambda: f"{ref}: {_messages(count)} retried")


@click.command()
@flow_argument
@click.argument("records", nargs=-1, metavar="[ID]...")
@_STEP
@click.option("--replay", is_flag=True, help="Give them to their step again.")
@click.option("--drop", is_flag=True, help="Throw them away.")
@pass_session
def dead(session: Session, *, flow: str, records: Sequence[str], step: str, replay: bool, drop: bool) -> None:
    """List rejected messages; show one; replay or drop them.

    Every message that a step failed on is here, and those that no step can read.

    \b
    Examples:
      nomadflows flow dead orders-to-warehouse
      nomadflows flow dead orders-to-warehouse 3f7a12bc
      nomadflows flow dead orders-to-warehouse --step store --replay
      nomadflows flow dead orders-to-warehouse 3f7a12bc --drop
    """
    if replay and drop:
        raise InputError("--replay or --drop, not both")
    if (replay or drop) and not (records or step):
        raise InputError("which messages? Give ids or --step", hint=f"nomadflows flow dead {flow}")
    ref = session.ref(flow)
    existing(session, ref)
    with _shelf(session, ref) as shelf:
        crypto = _crypto(session, ref)
        found = _of_step((dead_record(kept, crypto, ref) for kept in shelf.look(ref.dead_queue)), step)
        chosen = _chosen(found, records) if records else found
        if replay:
            count = _replay(session, ref, shelf, crypto, chosen, None)
            output.emit(session.output, {"replayed": count}, lambda: f"{ref}: {_messages(count)} replayed")
            return
        if drop:
            for record in chosen:
                _drop(shelf, record)
            count = len(chosen)
            output.emit(session.output, {"dropped": count}, lambda: f"{ref}: {_messages(count)} dropped")
            return
    if len(records) == 1:
        _show(session, chosen[0])
    else:
        _list(session, chosen)


def _replay(session: Session, ref: FlowRef, shelf: Shelf, crypto: Crypto, chosen: Sequence[Record], mended: Any) -> int:
    """Each is confirmed in its queue before it leaves the list. What cannot be read stays."""
    status = existing(session, ref).status.value
    if not status.input_version:
        raise Refused(
            f"{ref} is {status.state}: nobody would take the messages", hint=f"nomadflows flow start {ref.flow}"
        )
    version = ref.version(status.input_version)
    document = session.store.version(version)
    if document is None:
        raise NotFound(f"version {version.number} of {ref} is not in Consul")
    after = {step.id: step.after for step in expand(FlowDefinition.from_json(document["definition"]))}
    count = 0
    for record in chosen:
        if record.input is None or record.kept is None:
            continue  # an error at a start has no input, an unreadable message no content
        if record.step not in after:
            raise Refused(
                f"version {version.number} of {ref} has no step {record.step}", hint=f"{count} retried so far"
            )
        message = retried(
            crypto,
            {**record.input, "body": mended} if mended is not None else record.input,
            record.kept.headers,
            workspace=ref.workspace,
            flow=ref.flow,
            exec_id=version.job_id,
            previous_step=previous_step(after, record.step),
        )
        shelf.publish(version.exchange, input_key(record.step), message.body, message.headers)
        _drop(shelf, record)
        count += 1
    return count


def _drop(shelf: Shelf, record: Record) -> None:
    if record.kept is not None:
        shelf.drop(record.kept)


@contextmanager
def _shelf(session: Session, ref: FlowRef) -> Iterator[Shelf]:
    settings = session.settings
    with Shelf(Address.parse(settings.amqp_uri), ref.workspace, settings.timeout) as shelf:
        yield shelf


def _crypto(session: Session, ref: FlowRef) -> Crypto:
    secret = session.vault.flow_secret(ref)
    return Crypto(secret.crypto_password, secret.crypto_iv)


def _of_step(records: Iterator[Record], step: str) -> list[Record]:
    return [record for record in records if step in {"", record.step}]


def _chosen(found: Sequence[Record], ids: Sequence[str]) -> list[Record]:
    chosen = []
    for wanted in ids:
        matching = [record for record in found if record.id.startswith(wanted)]
        if not matching:
            raise NotFound(f"no failed message has the id {wanted}")
        chosen += [record for record in matching if record not in chosen]
    return chosen


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: not JSON: {error}") from error


def _show(session: Session, record: Record) -> None:
    def text() -> str:
        names = ("id", "step", "version", "at", "thread", "name", "message")
        facts = output.fields([(name, getattr(record, name)) for name in names])
        shown = json.dumps(record.input, indent=2, ensure_ascii=False) if record.input is not None else record.problem
        return "\n\n".join(part for part in (facts, record.stack, f"input:\n{shown}") if part)

    output.emit(session.output, record.to_json(), text)


def _list(session: Session, records: Sequence[Record]) -> None:
    columns = ["id", "step", "version", "at", "name", "message"]
    rows = [record.to_json() for record in records]
    output.emit(session.output, rows, lambda: _table(columns, rows, "There are none."))


def _table(columns: list[str], rows: list[dict[str, Any]], none: str) -> str:
    shown = [[_short(row[name]) for name in columns] for row in rows]
    return output.table([name.upper() for name in columns], shown, none=none)


_WIDEST = 70


def _short(value: Any) -> Any:
    """One line of a message that may have many."""
    text = value.splitlines()[0] if isinstance(value, str) and value else value
    return text if not isinstance(text, str) or len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"


def _messages(count: int) -> str:
    return f"{count} message{'' if count == 1 else 's'}"
