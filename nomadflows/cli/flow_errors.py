"""`flow errors` and `flow retry`: what failed, what it failed on, and trying again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from nomadflows.cli import output, repair
from nomadflows.cli.flow_state import existing
from nomadflows.cli.records import dead_record, error_record, grouped, paired
from nomadflows.cli.replay import AS_IT_WAS, again
from nomadflows.cli.session import Session, flow_argument, pass_session
from nomadflows.model.errors import InputError


@click.command()
@flow_argument
@click.argument("record", default="", metavar="[ID]")
@repair.STEP
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
    with repair.shelf_of(session, ref) as shelf:
        crypto = repair.crypto_of(session, ref)
        found = repair.of_step((error_record(kept, crypto) for kept in shelf.look(ref.errors_queue)), step)
    found = [one for one in found if execution in {"", one.thread}]
    if record:
        bodies = repair.bodies_of(session, ref, crypto)
        repair.show(session, bodies.shown(repair.chosen(found, [record])[0]))
    elif each:
        repair.list_records(session, found)
    else:
        rows = grouped(found)
        columns = ["count", "step", "name", "message", "last", "id"]
        output.emit(session.output, rows, lambda: repair.table(columns, rows, f"{ref} has no errors."))


@click.command()
@flow_argument
@click.argument("records", nargs=-1, metavar="[ID]...")
@repair.STEP
@click.option("--all", "everything", is_flag=True, help="Every error that is kept.")
@click.option("--from", "start", default="", metavar="STEP", help="Begin again at this earlier step.")
@click.option(
    "--body", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="A JSON file to send instead."
)
@pass_session
def retry(
    session: Session, *, flow: str, records: Sequence[str], step: str, everything: bool, start: str, body: Path | None
) -> None:
    """Give failed messages to their step again, in the version that takes input now.

    A retried message has a new id, the same thread, and a header `retry`. Its error leaves the list once the broker
    has the message, and its dead letter leaves `flow dead`.

    --from gives an earlier step, its mapping included, the input that it had then, out of the message's passthrough;
    the steps on the way put out their messages once more. That is possible from every step but the trigger, unless
    a step on the way has `passthrough: false`. --body then replaces what that step gets.

    \b
    Examples:
      nomadflows flow retry orders-to-warehouse 3f7a12bc
      nomadflows flow retry orders-to-warehouse 3f7a12bc --body mended.json
      nomadflows flow retry orders-to-warehouse --step report --from store
      nomadflows flow retry orders-to-warehouse --step store
    """
    if not (records or step or everything):
        raise InputError("which errors? Give ids, --step or --all", hint=f"nomadflows flow errors {flow}")
    if body and len(records) != 1:
        raise InputError("--body is for one error: give its id")
    ref = session.ref(flow)
    existing(session, ref)
    with repair.shelf_of(session, ref) as shelf:
        crypto = repair.crypto_of(session, ref)
        found = repair.of_step((error_record(kept, crypto) for kept in shelf.look(ref.errors_queue)), step)
        wanted = repair.chosen(found, records) if records else found
        mended = _json(body) if body else AS_IT_WAS
        taker = repair.taker_of(session, ref, crypto)
        dead = (dead_record(kept, crypto, ref) for kept in shelf.look(ref.dead_queue))
        bodies = repair.bodies_of(session, ref, crypto)
        made = repair.possible(paired(wanted, dead), lambda record: bodies.checked(again(taker, record, mended, start)))
        count = repair.give(shelf, taker.version.exchange, made)
    output.emit(session.output, {"retried": count}, lambda: f"{ref}: {repair.messages(count)} retried")


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: not JSON: {error}") from error
