"""What people may ask of a flow, and in which state of it. Pure: each function answers None or the refusal.

A refusal says what is in the way and what to do about it. What a request changes in the wish (`Desired`) is here
too; writing it is the store's part, acting on it the controller's.

Decisions that the sources leave open:

* Start of an active flow is refused, as the platform's 409 is; start of a flow that is still Stopping is a wish
  like any other: the controller ends the stop first.
* Start of a suspended flow is refused in favour of `resume`: one way to do a thing.
* Stop of a stopped flow changes nothing and is no error. A stop without `drain` overrides one with it.
* Resume runs the newest version: what was mended while suspended takes effect. Its steps must be the same ones,
  so publishing another graph over a suspended flow is refused.
* A draft that says what the newest version says makes no version (NothingToPublish), unless forced.
* While a flow is suspended a mapping may be changed or added, not removed: messages may wait for its mapper.
* `scale` and `repair` are settings of the flow, not of one wish: they outlive stop and start. A publish that changes
  the `replicas` of a step ends the step's scale, since its author's word is the newer one.
* A deleted flow can be restored for KEPT. Until then its name is taken: a new flow of that name is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from nomadflows.model.errors import InputError, NotFound, Refused
from nomadflows.model.names import FlowRef
from nomadflows.model.states import (
    Deleted,
    Desired,
    FlowState,
    Kind,
    Meta,
    Status,
    WantedState,
    parse_timestamp,
    timestamp,
)

Json = dict[str, Any]

STRATEGIES: Final = ("replace", "handover")
MOST_REPLICAS: Final = 20
KEPT: Final = timedelta(hours=48)


class NothingToPublish(Refused):
    """The draft says what the newest version says already."""


def digest(definition: Json) -> str:
    """Two definitions with the same digest run alike. The kind is not part of it: it belongs to the flow."""
    content = {key: value for key, value in definition.items() if key != "kind"}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def may_apply(ref: FlowRef, meta: Meta, kind: Kind) -> Refused | None:
    """A flow that exists gets a draft of `kind`."""
    if kind is meta.kind or not meta.latest:
        return None
    verb = "enable-realtime" if kind is Kind.REALTIME else "disable-realtime"
    return Refused(
        f"flow {ref} is {meta.kind}, the definition says kind: {kind}",
        hint=f"`nomadflows flow {verb} {ref.flow}` while it is stopped, or write kind: {meta.kind}",
    )


def may_publish(
    ref: FlowRef, desired: Desired, draft: Json | None, latest: Json | None, current: Json | None, *, forced: bool
) -> Refused | None:
    """`latest`: the newest version's definition; `current`: that of the version a suspended flow held last."""
    if draft is None:
        return Refused(f"flow {ref} has no draft to publish", hint="`nomadflows flow apply FILE` makes one")
    if latest is not None and not forced and digest(draft) == digest(latest):
        return NothingToPublish(f"the draft of flow {ref} is the same as its newest version; nothing to publish")
    if desired.state is WantedState.SUSPENDED and current is not None and (obstacle := _obstacle(current, draft)):
        return Refused(
            f"flow {ref} is suspended: its mappings, credentials and component versions may change; {obstacle}",
            hint=f"`nomadflows flow stop {ref.flow}` (drops its messages) or resume it, then publish",
        )
    return None


def _obstacle(current: Json, draft: Json) -> str:
    """Why messages that wait in a suspended flow could not go on with the draft; "" if they could."""
    from nomadflows.model import graph
    from nomadflows.model.flow import FlowDefinition

    old, new = FlowDefinition.from_json(current), FlowDefinition.from_json(draft)
    if not graph.same_graph(old, new):
        return "its steps and what feeds them may not"
    if lost := graph.lost_mappers(old, new):
        return f"a mapping may not be removed ({', '.join(lost)}), since messages may wait for it"
    return ""


def may_discard(ref: FlowRef, meta: Meta, draft: Json | None) -> Refused | None:
    """The draft is thrown away; what is published stays."""
    if draft is None:
        return NotFound(f"flow {ref} has no draft")
    if meta.latest:
        return None
    return Refused(
        f"flow {ref} consists of its draft alone", hint=f"`nomadflows flow delete {ref.flow}` deletes the flow"
    )


def may_set_snapshot(ref: FlowRef, desired: Desired, status: Status) -> Refused | None:
    """Only while nothing of the flow runs that would write it as well."""
    if desired.state is WantedState.STOPPED and status.state is FlowState.STOPPED:
        return None
    return Refused(
        f"flow {ref} is {_active(desired, status)}; snapshots change only while it is stopped",
        hint=f"`nomadflows flow stop {ref.flow} --wait`, then again",
    )


def may_revert(ref: FlowRef, meta: Meta, number: int, definition: Json | None) -> Refused | None:
    """`definition`: that of version `number`, None if there is no such version."""
    if definition is not None:
        return None
    kept = f"versions 1 to {meta.latest} are published" if meta.latest else "none is published yet"
    return Refused(
        f"flow {ref} has no version {number}: {kept}", hint=f"`nomadflows flow versions {ref.flow}` lists them"
    )


def may_start(ref: FlowRef, meta: Meta, desired: Desired, status: Status) -> Refused | None:
    """Only what is published, and only from a stop: a suspended flow is resumed."""
    if not meta.latest:
        return Refused(
            f"flow {ref} has no published version to start",
            hint=f"`nomadflows flow publish {ref.flow}` makes its draft version 1",
        )
    if desired.state is WantedState.SUSPENDED:
        return Refused(
            f"flow {ref} is suspended", hint=f"`nomadflows flow resume {ref.flow}` goes on with its messages"
        )
    if desired.state is WantedState.RUNNING:
        return Refused(
            f"flow {ref} is already running: version {desired.version}, {status.state}",
            hint=f"a new version is put in its place by `nomadflows flow publish {ref.flow}`",
        )
    return None


def stop_changes(desired: Desired, status: Status, *, drain: bool) -> bool:
    """Whether a stop is anything new: a stopped flow stays stopped, a stop under way may be told not to drain."""
    if desired.state is not WantedState.STOPPED:
        return True
    return status.state is not FlowState.STOPPED and desired.drain and not drain


def may_suspend(ref: FlowRef, desired: Desired) -> Refused | None:
    if desired.state is WantedState.STOPPED:
        return Refused(f"flow {ref} is stopped; a stopped flow cannot be suspended")
    if desired.state is WantedState.SUSPENDED:
        return Refused(f"flow {ref} is already suspended{_by(desired)}")
    return None


def may_resume(ref: FlowRef, desired: Desired) -> Refused | None:
    if desired.state is WantedState.STOPPED:
        return Refused(f"flow {ref} is stopped, not suspended", hint=f"`nomadflows flow start {ref.flow}` starts it")
    if desired.state is WantedState.RUNNING:
        return Refused(f"flow {ref} is not suspended")
    return None


def may_set_kind(ref: FlowRef, meta: Meta, desired: Desired, status: Status, kind: Kind) -> Refused | None:
    """Only while Stopped, and only with a published version."""
    what = "real-time can be enabled" if kind is Kind.REALTIME else "real-time can be disabled"
    if desired.state is not WantedState.STOPPED:
        return Refused(
            f"flow {ref} is {_active(desired, status)}: {what} only while it is stopped",
            hint=f"`nomadflows flow stop {ref.flow} --wait`, then again",
        )
    if status.state is not FlowState.STOPPED:
        return Refused(
            f"flow {ref} is still {status.state}: {what} only when it is stopped",
            hint=f"wait until `nomadflows flow show {ref.flow}` says Stopped, then again",
        )
    if not meta.latest:
        return Refused(
            f"flow {ref} has no published version: {what} only with one",
            hint=f"`nomadflows flow publish {ref.flow}`, then again; or write kind: {kind} in its definition",
        )
    return None


def may_run_now(ref: FlowRef, desired: Desired) -> Refused | None:
    if desired.state is WantedState.SUSPENDED:
        return Refused(f"flow {ref} is suspended", hint=f"`nomadflows flow resume {ref.flow}`, then again")
    if desired.state is WantedState.STOPPED:
        return Refused(f"flow {ref} is stopped", hint=f"`nomadflows flow start {ref.flow}`, then again")
    return None


def may_delete(ref: FlowRef, desired: Desired, status: Status) -> Refused | None:
    if desired.state is WantedState.STOPPED and status.state is FlowState.STOPPED:
        return None
    if desired.state is WantedState.STOPPED:
        return Refused(
            f"flow {ref} is still {status.state}; only a stopped flow can be deleted",
            hint=f"wait until `nomadflows flow show {ref.flow}` says Stopped, then again",
        )
    return Refused(
        f"flow {ref} is {_active(desired, status)}; only a stopped flow can be deleted",
        hint=f"`nomadflows flow stop {ref.flow} --wait`, then again",
    )


def deleted(meta: Meta, *, by: str, now: str, until: datetime) -> Deleted:
    """What stands for a flow from its deletion on."""
    return Deleted(at=now, until=timestamp(until), meta=meta, by=by)


def is_expired(mark: Deleted, now: datetime) -> bool:
    """Whether a deleted flow is to be removed for good."""
    return now >= parse_timestamp(mark.until)


def may_restore(ref: FlowRef, mark: Deleted, now: datetime) -> Refused | None:
    if not is_expired(mark, now):
        return None
    return Refused(f"flow {ref} cannot be restored: it is being removed for good since {mark.until}")


def name_is_taken(ref: FlowRef, mark: Deleted) -> Refused:
    """The refusal of a new flow that is called like a deleted one."""
    return Refused(
        f"flow {ref} was deleted{f' by {mark.by}' if mark.by else ''} at {mark.at} and is kept until {mark.until}",
        hint=f"`nomadflows flow restore {ref.flow}` brings it back, `nomadflows flow delete {ref.flow} --for-good` frees its name",
    )


def may_scale(ref: FlowRef, definition: Json | None, step: str, count: int | None) -> Refused | InputError | None:
    """`definition`: of the version that runs, or that a start would run. `count` None: as the definition says."""
    if definition is None:
        return Refused(
            f"flow {ref} has no published version to scale", hint=f"`nomadflows flow publish {ref.flow}`, then again"
        )
    if count is not None and not 1 <= count <= MOST_REPLICAS:
        return InputError(f"{count} processes of a step; allowed: 1 to {MOST_REPLICAS}")
    steps = [str(known["id"]) for known in definition["steps"]]
    if step not in steps:
        return InputError(f"flow {ref} has no step {step!r}; it has {', '.join(steps)}")
    return None


def scaled(desired: Desired, definition: Json, step: str, count: int | None) -> dict[str, int]:
    """What `Desired.scale` becomes. A step that is as published is not in it; one with `autoscale` is published with no
    number at all, so each number pins it."""
    others = {name: number for name, number in desired.scale.items() if name != step}
    if count is None or _replicas(definition).get(step) == count:
        return others
    return others | {step: count}


def carried_scale(scale: Mapping[str, int], old: Json | None, new: Json) -> dict[str, int]:
    """What is left of the scale when another version takes over: steps that are there still, and whose `replicas`
    the new version does not change."""
    before, after = _replicas(old or {}), _replicas(new)
    return {step: count for step, count in scale.items() if step in after and before.get(step) == after[step] != count}


def _replicas(definition: Json) -> dict[str, int | None]:
    """As published; None where the controller decides."""
    return {
        str(step["id"]): None if step.get("autoscale") else int(step.get("replicas", 1))
        for step in definition.get("steps", ())
    }


def wish(desired: Desired, state: WantedState, *, version: int, by: str, at: str, why: str = "") -> Desired:
    """The next wish: one generation newer; what was said along with the last one holds no longer. But for `drain`: a
    stop under way cannot be taken back, and would drop what it was to finish."""
    return Desired(
        state=state, version=version, generation=desired.generation + 1, by=by, at=at, why=why,
        drain=desired.drain, scale=desired.scale, repair=desired.repair,
    )  # fmt: skip


def adjusted(desired: Desired, *, by: str, at: str, why: str, **settings: Any) -> Desired:
    """The same wish with other settings: one generation newer, so that the controller answers it."""
    return replace(desired, generation=desired.generation + 1, by=by, at=at, why=why, **settings)


def replaced(
    desired: Desired, version: int, strategy: str, *, by: str, at: str, why: str, ready_timeout: float = 0.0
) -> Desired:
    """The wish after a publish over an active flow: the same state, another version."""
    wished = wish(desired, desired.state, version=version, by=by, at=at, why=why)
    return replace(wished, strategy=strategy, ready_timeout=ready_timeout)


def _active(desired: Desired, status: Status) -> str:
    return "suspended" if desired.state is WantedState.SUSPENDED else f"active ({status.state})"


def _by(desired: Desired) -> str:
    return f" by {desired.by}" if desired.by else ""
