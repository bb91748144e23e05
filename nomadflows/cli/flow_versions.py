"""`flow diff|revert`: versions compared, and gone back to."""

from __future__ import annotations

import difflib
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from nomadflows.cli import output
from nomadflows.cli.flow_define import publish_options, report_published
from nomadflows.cli.flow_state import existing
from nomadflows.cli.session import Session, flow_argument, pass_session
from nomadflows.cli.wait import wait_options
from nomadflows.model.errors import InputError, Refused

if TYPE_CHECKING:
    from nomadflows.model.difference import Change
    from nomadflows.store import FlowRecord

Json = dict[str, Any]

_COLOURS = {"+": "green", "-": "red", "~": "yellow"}


@click.command()
@flow_argument
@click.argument("one", metavar="[A]", default="")
@click.argument("other", metavar="[B]", default="")
@pass_session
def diff(session: Session, *, flow: str, one: str, other: str) -> None:
    """Show how two definitions of a flow differ: the latest version and the draft, or A and B.

    A and B are version numbers, `latest` or `draft`; B is the draft, or the latest version where there is none.

    \b
    Examples:
      nomadflows flow diff orders-to-warehouse
      nomadflows flow diff orders-to-warehouse 3
      nomadflows flow diff orders-to-warehouse 3 5 -o json
    """
    from nomadflows.model.difference import changes

    record = existing(session, session.ref(flow))
    one, other = one or "latest", other or ("draft" if record.has_draft else "latest")
    old, new = (definition_of(session, record, which) for which in (one, other))
    found = changes(old, new)
    names = [_name(record, which) for which in (one, other)]
    output.emit(
        session.output,
        {"flow": record.ref.flow, "from": names[0], "to": names[1], "changes": [asdict(change) for change in found]},
        lambda: _diff_text(f"{record.ref}: {names[0]} → {names[1]}", found),
    )


def definition_of(session: Session, record: FlowRecord, which: str) -> Json:
    """As stored, with the kind the flow has now: a version may be older than that."""
    if which == "draft":
        draft = session.store.draft(record.ref)
        if draft is None:
            raise Refused(f"{record.ref} has no draft", hint="nomadflows flow apply FILE")
        found: Json = draft.value["definition"]
        return found
    number = _number(record, which)
    version = session.store.version(record.ref.version(number)) if number else None
    if version is None:
        latest = record.meta.value.latest
        what = f"no version {number}: its versions are 1 to {latest}" if latest and number else "no published version"
        raise Refused(f"{record.ref} has {what}", hint=f"nomadflows flow versions {record.ref.flow}")
    return {**version["definition"], "kind": record.meta.value.kind.value}


def _number(record: FlowRecord, which: str) -> int:
    if which == "latest":
        return record.meta.value.latest
    if not which.isdecimal() or not int(which):
        raise InputError(f"{which!r} names no version; allowed: a number, latest, draft")
    return int(which)


def _name(record: FlowRecord, which: str) -> str:
    return "draft" if which == "draft" else f"version {_number(record, which)}"


def _diff_text(title: str, found: list[Change]) -> str:
    if not found:
        return f"{title}\n  no difference"
    width = max(len(change.path) for change in found)
    return "\n".join([title, *(_change_text(change, width) for change in found)])


def _change_text(change: Change, width: int) -> str:
    def line(text: str) -> str:
        return click.style(f"  {change.sign} {change.path.ljust(width)}  {text}".rstrip(), fg=_COLOURS[change.sign])

    if change.sign == "+":
        return _block(line, change.new, "+")
    if change.sign == "-":
        return _block(line, change.old, "-")
    if isinstance(change.old, str) and isinstance(change.new, str) and "\n" in change.old + change.new:
        lines = list(difflib.unified_diff(change.old.splitlines(), change.new.splitlines(), n=1, lineterm=""))[2:]
        return "\n".join([line(""), *(_styled(f"      {text}", text[:1]) for text in lines)])
    return line(f"{_short(change.old)} → {_short(change.new)}")


def _block(line: Any, value: object, sign: str) -> str:
    """A value beside its path, or below it where it takes several lines."""
    if isinstance(value, str) and "\n" in value:
        return "\n".join([line(""), *(_styled(f"      {sign}{text}", sign) for text in value.splitlines())])
    return str(line(_short(value)))


def _styled(text: str, sign: str) -> str:
    return click.style(text, fg=_COLOURS[sign]) if sign in _COLOURS else text


def _short(value: object) -> str:
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)


@click.command()
@flow_argument
@click.argument("version", type=click.IntRange(min=1))
@publish_options
@wait_options
@pass_session
def revert(
    session: Session,
    *,
    flow: str,
    version: int,
    strategy: str,
    ready_timeout: float | None,
    note: str,
    force: bool,
    wait: bool,
    wait_timeout: float,
) -> None:
    """Go back: publish what an old version says as the next version. A draft stays as it is.

    Components that the definition does not pin run in their newest version, as after any publish.

    \b
    Examples:
      nomadflows flow revert orders-to-warehouse 3
      nomadflows flow revert orders-to-warehouse 3 --strategy handover --wait
    """
    from nomadflows.store import requests

    ref = session.ref(flow)
    number = requests.revert(
        session.store,
        ref,
        version,
        by=session.user,
        strategy=strategy,
        note=note,
        force=force,
        ready_timeout=ready_timeout or 0.0,
    )
    said = f"{ref}: version {number} is published, as version {version} was"
    report_published(session, ref, number, said, wait=wait, wait_timeout=wait_timeout)
