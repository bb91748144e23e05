"""What `flow errors`, `flow retry` and `flow dead` have in common: choosing, showing and giving again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import click

from nomadflows.broker.address import Address
from nomadflows.broker.kept import Shelf
from nomadflows.broker.wire import Crypto
from nomadflows.cli import output
from nomadflows.cli.bodies import Bodies
from nomadflows.cli.flow_state import existing
from nomadflows.cli.records import Record
from nomadflows.cli.replay import Again, Taker
from nomadflows.cli.session import Session
from nomadflows.model.errors import NotFound, Refused
from nomadflows.model.flow import FlowDefinition
from nomadflows.model.graph import expand
from nomadflows.model.names import FlowRef
from nomadflows.model.states import FlowState
from nomadflows.objects.client import ObjectReader

STEP: Final = click.option("--step", default="", metavar="ID", help="Only of this step.")


@contextmanager
def shelf_of(session: Session, ref: FlowRef) -> Iterator[Shelf]:
    settings = session.settings
    with Shelf(Address.parse(settings.amqp_uri), ref.workspace, settings.timeout) as shelf:
        yield shelf


def crypto_of(session: Session, ref: FlowRef) -> Crypto:
    """Of a flow that is known to exist: its secret is made where there is none."""
    secret = session.vault.flow_secret(ref)
    return Crypto(secret.crypto_password, secret.crypto_iv)


def bodies_of(session: Session, ref: FlowRef, crypto: Crypto) -> Bodies:
    settings = session.settings
    reader = ObjectReader(settings.component_api, session.vault.object_key, settings.timeout)
    return Bodies(reader, ref.workspace, crypto)


def taker_of(session: Session, ref: FlowRef, crypto: Crypto) -> Taker:
    """Refused while nobody would take a message."""
    status = existing(session, ref).status.value
    if not status.input_version:
        how = "resume" if status.state is FlowState.SUSPENDED else "start"
        raise Refused(
            f"{ref} is {status.state}: nobody would take the messages", hint=f"nomadflows flow {how} {ref.flow}"
        )
    version = ref.version(status.input_version)
    document = session.store.version(version)
    if document is None:
        raise NotFound(f"version {version.number} of {ref} is not in Consul")
    return Taker(version, expand(FlowDefinition.from_json(document["definition"])), crypto)


def of_step(records: Iterable[Record], step: str) -> list[Record]:
    return [record for record in records if step in {"", record.step}]


def chosen(found: Sequence[Record], ids: Sequence[str]) -> list[Record]:
    """Those whose ids begin so."""
    wanted: list[Record] = []
    for begin in ids:
        matching = [record for record in found if record.id.startswith(begin)]
        if not matching:
            raise NotFound(f"no failed message has the id {begin}")
        wanted += [record for record in matching if record not in wanted]
    return wanted


def possible(records: Sequence[Record], make: Callable[[Record], Again]) -> list[Again]:
    """Those that can be given again. The others stay, and it is said why; Refused if that is all of them."""
    made: list[Again] = []
    refused: list[Refused] = []
    for record in records:
        try:
            made.append(make(record))
        except Refused as reason:
            refused.append(reason)
    if refused and not made:
        raise refused[0]
    for why in refused:
        click.echo(f"left: {why.message}", err=True)
    return made


def give(shelf: Shelf, exchange: str, messages: Sequence[Again]) -> int:
    """Each is confirmed in its queue before it leaves the list."""
    for one in messages:
        shelf.publish(exchange, one.key, one.message.body, one.message.headers)
        drop(shelf, one.records)
    return len(messages)


def drop(shelf: Shelf, records: Iterable[Record]) -> int:
    """Take records off the lists that they are kept in; how many there were."""
    count = 0
    for record in records:
        if record.kept is not None:
            shelf.drop(record.kept)
            count += 1
    return count


def show(session: Session, record: Record) -> None:
    def text() -> str:
        names = ("id", "step", "version", "at", "thread", "name", "message")
        facts = output.fields([(name, getattr(record, name)) for name in names])
        shown = json.dumps(record.input, indent=2, ensure_ascii=False) if record.input is not None else record.problem
        missing = f"missing: {record.problem}" if record.problem and record.input is not None else ""
        return "\n\n".join(part for part in (facts, record.stack, f"input:\n{shown}", missing) if part)

    output.emit(session.output, record.to_json(), text)


def list_records(session: Session, records: Sequence[Record]) -> None:
    columns = ["id", "step", "version", "at", "name", "message"]
    rows = [record.to_json() for record in records]
    output.emit(session.output, rows, lambda: table(columns, rows, "There are none."))


def table(columns: list[str], rows: list[dict[str, Any]], none: str) -> str:
    shown = [[_short(row[name]) for name in columns] for row in rows]
    return output.table([name.upper() for name in columns], shown, none=none)


_WIDEST: Final = 70


def _short(value: Any) -> Any:
    """One line of a message that may have many."""
    text = value.splitlines()[0] if isinstance(value, str) and value else value
    return text if not isinstance(text, str) or len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"


def messages(count: int) -> str:
    return f"{count} message{'' if count == 1 else 's'}"
