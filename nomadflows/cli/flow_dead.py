"""`flow dead`: what was rejected and what found no queue; giving it again, or throwing it away."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

from nomadflows.broker.kept import Shelf
from nomadflows.broker.wire import Crypto
from nomadflows.cli import output, repair
from nomadflows.cli.flow_state import existing
from nomadflows.cli.records import Record, dead_record, error_record, paired, unrouted_record
from nomadflows.cli.replay import again, routed_again
from nomadflows.cli.session import Session, flow_argument, pass_session
from nomadflows.model.errors import InputError
from nomadflows.model.names import UNROUTED, FlowRef


@click.command()
@flow_argument
@click.argument("records", nargs=-1, metavar="[ID]...")
@repair.STEP
@click.option("--unrouted", is_flag=True, help="What was sent under a key that no queue takes, instead.")
@click.option("--replay", is_flag=True, help="Give them to their step again.")
@click.option("--drop", is_flag=True, help="Throw them away.")
@pass_session
def dead(
    session: Session, *, flow: str, records: Sequence[str], step: str, unrouted: bool, replay: bool, drop: bool
) -> None:
    """List rejected messages; show one; replay or drop them.

    Every message that a step failed on is here, and those that no step can read. They are kept until they are
    replayed or dropped, 75,000 or 200 MiB of a flow; beyond that the oldest go. With a message that is replayed its
    error goes too.

    --unrouted: messages that found no queue, such as those that chose a routing key nobody is bound to. The last
    10,000 of a workspace are kept. One for a step is replayed as it was, to the version that takes input now.

    \b
    Examples:
      nomadflows flow dead orders-to-warehouse
      nomadflows flow dead orders-to-warehouse 3f7a12bc
      nomadflows flow dead orders-to-warehouse --step store --replay
      nomadflows flow dead orders-to-warehouse 3f7a12bc --drop
      nomadflows flow dead orders-to-warehouse --unrouted
    """
    if replay and drop:
        raise InputError("--replay or --drop, not both")
    if (replay or drop) and not (records or step):
        raise InputError("which messages? Give ids or --step", hint=f"nomadflows flow dead {flow}")
    ref = session.ref(flow)
    existing(session, ref)
    with repair.shelf_of(session, ref) as shelf:
        crypto = repair.crypto_of(session, ref)
        found = repair.of_step(_unrouted(shelf, crypto, ref) if unrouted else _rejected(shelf, crypto, ref), step)
        wanted = repair.chosen(found, records) if records else found
        if replay:
            count = (_route if unrouted else _replay)(session, ref, shelf, crypto, wanted)
            output.emit(session.output, {"replayed": count}, lambda: f"{ref}: {repair.messages(count)} replayed")
            return
        if drop:
            count = repair.drop(shelf, wanted)
            output.emit(session.output, {"dropped": count}, lambda: f"{ref}: {repair.messages(count)} dropped")
            return
    if len(records) == 1:
        repair.show(session, repair.bodies_of(session, ref, crypto).shown(wanted[0]))
    else:
        repair.list_records(session, wanted)


def _rejected(shelf: Shelf, crypto: Crypto, ref: FlowRef) -> Iterator[Record]:
    return (dead_record(kept, crypto, ref) for kept in shelf.look(ref.dead_queue))


def _unrouted(shelf: Shelf, crypto: Crypto, ref: FlowRef) -> Iterator[Record]:
    return (record for kept in shelf.look(UNROUTED) if (record := unrouted_record(kept, crypto, ref)))


def _replay(session: Session, ref: FlowRef, shelf: Shelf, crypto: Crypto, wanted: Sequence[Record]) -> int:
    """Their errors leave the other list, so that `flow retry` does not give the same again."""
    taker = repair.taker_of(session, ref, crypto)
    errors = (error_record(kept, crypto) for kept in shelf.look(ref.errors_queue))
    bodies = repair.bodies_of(session, ref, crypto)
    made = repair.possible(paired(wanted, errors), lambda record: bodies.checked(again(taker, record)))
    return repair.give(shelf, taker.version.exchange, made)


def _route(session: Session, ref: FlowRef, shelf: Shelf, crypto: Crypto, wanted: Sequence[Record]) -> int:
    taker = repair.taker_of(session, ref, crypto)
    made = repair.possible(wanted, lambda record: routed_again(taker, record))
    return repair.give(shelf, taker.version.exchange, made)
