"""One request of somebody about one flow: the flow as it is, and a transaction that also tells the leader."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from nomadflows.model.errors import Conflict, NotFound
from nomadflows.model.names import FlowRef
from nomadflows.model.states import Desired, timestamp, utc_now
from nomadflows.store import inbox
from nomadflows.store.documents import FlowRecord
from nomadflows.store.keys import DESIRED
from nomadflows.store.store import Store
from nomadflows.store.transaction import Change, Fence, LostLeadership, Set

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    """Who asks what flow when."""

    store: Store
    ref: FlowRef
    by: str
    now: datetime = field(default_factory=utc_now)

    @property
    def at(self) -> str:
        return timestamp(self.now)

    def commit(self, changes: Sequence[Change], *, tell: str = inbox.CHANGED, fence: Fence | None = None) -> None:
        """The changes and the notice to the leader, or nothing."""
        notice = inbox.notice(self.store.keys, self.ref, tell, by=self.by, at=self.now)
        try:
            self.store.transact([*changes, notice], fence)
        except LostLeadership:
            raise
        except Conflict as conflict:
            raise Conflict(
                f"flow {self.ref} was changed at the same time{self._who()}; nothing was done",
                hint=f"look at it (`nomadflows flow show {self.ref.flow}`), then repeat the command",
            ) from conflict

    def _who(self) -> str:
        """Who was first, as far as the flow tells."""
        record = self.store.flow(self.ref)
        if record is None:
            return ": it was deleted"
        desired = record.desired.value
        return f" by {desired.by}: {desired.why or desired.state}" if desired.by and desired.by != self.by else ""


def existing(store: Store, ref: FlowRef) -> FlowRecord:
    """The flow. NotFound says how to get at it, if that is possible."""
    record = store.flow(ref)
    if record is not None:
        return record
    mark = store.deleted_flow(ref)
    if mark is None:
        raise NotFound(f"there is no flow {ref}", hint=f"nomadflows flow list -w {ref.workspace}")
    raise NotFound(
        f"flow {ref} was deleted at {mark.value.at}",
        hint=f"`nomadflows flow restore {ref.flow}` brings it back, until {mark.value.until}",
    )


def definition_of(store: Store, ref: FlowRef, number: int) -> Json | None:
    """What a version consists of; None if there is no such version."""
    version = store.version(ref.version(number)) if number else None
    return None if version is None else version.get("definition")


def insist(refusal: Exception | None) -> None:
    if refusal is not None:
        raise refusal


def wish(store: Store, record: FlowRecord, wished: Desired) -> Set:
    """The change that makes `wished` what is wanted, if nobody else wished meanwhile."""
    return Set(store.keys.flow(record.ref, DESIRED), wished.to_json(), record.desired.index)
