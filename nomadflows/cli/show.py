"""What `flow show` and `flow list` say of a flow: the documents of Consul turned into results. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nomadflows.cli import output
from nomadflows.model.states import Desired, Meta, Status

if TYPE_CHECKING:
    from nomadflows.store import FlowRecord

Json = dict[str, Any]


def show_json(record: FlowRecord) -> Json:
    """The shape programs rely on. What is not known yet is null, never absent."""
    meta, desired, status = record.meta.value, record.desired.value, record.status.value
    return {
        "workspace": record.ref.workspace,
        "flow": record.ref.flow,
        "kind": meta.kind.value,
        "desired": {"state": desired.state.value, "version": desired.version, "generation": desired.generation},
        "status": {
            "state": status.state.value,
            "since": status.since or None,
            "version": status.version,
            "observed_generation": status.observed_generation,
            "conditions": [
                {"type": c.type, "status": c.status, "reason": c.reason, "message": c.message, "at": c.at or None}
                for c in status.conditions
            ],
            "steps": [_step_json(step.to_json()) for step in status.steps],
        },
        "draft": record.has_draft,
        "scale": desired.scale,
        "repair": desired.repair,
        "next_tick": status.next_tick or None,
        "later_ticks": list(status.later_ticks),
        "warm_up_s": status.warm_up_s,
        "last_wake_s": status.last_wake_s,
    }


_STEP_FIELDS = (
    "id", "kind", "component", "state", "replicas", "consumers", "ready", "unacked", "restarts", "ready_s",
    "memory_mib", "memory_peak_mib",
)  # fmt: skip


def _step_json(step: Json) -> Json:
    return {name: step[name] for name in _STEP_FIELDS}


def show_text(record: FlowRecord) -> str:
    """One flow for people: its state, why, then its steps."""
    meta, desired, status = record.meta.value, record.desired.value, record.status.value
    facts = output.fields(
        [
            ("flow", str(record.ref)),
            ("kind", meta.kind.value),
            ("state", status.state.value),
            ("since", f"{status.since} ({output.ago(status.since)} ago)" if status.since else ""),
            ("version", _version(status, meta)),
            ("wanted", _wanted(desired, status)),
            ("draft", "yes, not published" if record.has_draft else ""),
            ("scaled", ", ".join(f"{step} {count}" for step, count in sorted(desired.scale.items()))),
            ("repair", "" if desired.repair else "paused: what others change is left as it is"),
            ("next tick", ", then ".join([status.next_tick, *status.later_ticks])),
            ("warm-up", f"{status.warm_up_s:.2f} s from start to all steps ready" if status.warm_up_s else ""),
            ("last wake", f"{status.last_wake_s:.2f} s" if status.last_wake_s else ""),
            *((c.type, f"{c.status}: {c.reason}: {c.message}") for c in status.conditions),
        ]
    )
    steps = output.table(
        ["STEP", "KIND", "COMPONENT", "STATE", "REPLICAS", "CONSUMERS", "READY", "UNACKED", "RESTARTS", "NOTE"],
        [
            [
                s.id,
                s.kind,
                s.component,
                s.state.value,
                s.replicas,
                s.consumers,
                s.ready,
                s.unacked,
                s.restarts,
                s.message,
            ]
            for s in status.steps
        ],
    )
    return f"{facts}\n\n{steps}" if steps else facts


def _version(status: Status, meta: Meta) -> str:
    if not meta.latest:
        return "none published"
    if not status.version:
        return f"none active; latest is {meta.latest}"
    if status.version != meta.latest:
        return f"{status.version}; latest is {meta.latest}"
    return str(status.version)


def _wanted(desired: Desired, status: Status) -> str:
    """What somebody asked for and when; told while it is not yet taken up, and with its author."""
    if not desired.generation:
        return ""
    pending = "" if status.observed_generation >= desired.generation else ", not taken up by a controller yet"
    version = f" version {desired.version}" if desired.version else ""
    return f"{desired.state.value}{version}, by {desired.by or 'somebody'} at {desired.at}{pending}"


def list_json(record: FlowRecord) -> Json:
    meta, desired, status = record.meta.value, record.desired.value, record.status.value
    return {
        "workspace": record.ref.workspace, "flow": record.ref.flow, "kind": meta.kind.value,
        "state": status.state.value, "since": status.since or None, "version": status.version, "latest": meta.latest,
        "desired": desired.state.value, "draft": record.has_draft, "next_tick": status.next_tick or None,
        "ready": sum(step.ready for step in status.steps), "problem": record.problem or None,
    }  # fmt: skip


def list_text(rows: list[Json]) -> str:
    listed = output.table(
        ["WORKSPACE", "FLOW", "KIND", "STATE", "FOR", "VERSION", "LATEST", "DRAFT", "NEXT TICK"],
        [
            [
                row["workspace"], row["flow"], row["kind"], row["state"], output.ago(row["since"]),
                row["version"] or None, row["latest"] or None, "yes" if row["draft"] else "", row["next_tick"],
            ]
            for row in rows
        ],
        none="No flows. `nomadflows flow apply FILE` stores one.",
    )  # fmt: skip
    return "\n".join([listed, *(f"{row['flow']}: {row['problem']}" for row in rows if row["problem"])])
