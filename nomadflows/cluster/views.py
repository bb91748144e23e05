"""What callers see of Nomad's answers: the few members that matter, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

Json = dict[str, Any]

# Task events that say why a task does not run. `Restarting` and `Not Restarting` only say what follows from it.
_TELLING: Final = {
    "Terminated", "Driver Failure", "Failed Artifact Download", "Failed Validation", "Setup Failure", "Template",
    "Task hook failed", "Sibling Task Failed", "Vault", "Disk Resources Exceeded",
}  # fmt: skip
_SIGKILL: Final = "9"
_EXIT_OF_SIGKILL: Final = "137"
_CONSEQUENCE: Final = {"Restarting", "Not Restarting", "Started", "Killing", "Killed", "Alloc Unhealthy"}


@dataclass(frozen=True, slots=True)
class JobView:
    """A registered job. `raw` is Nomad's own document, from which it can be registered again."""

    id: str
    namespace: str
    modify_index: int  # grows with each registration: what `register` can insist on
    stopped: bool
    status: str  # pending | running | dead
    counts: Mapping[str, int]
    memory: Mapping[str, int]  # MiB that the task of each group may use
    meta: Mapping[str, str]
    raw: Json = field(repr=False, compare=False)

    @classmethod
    def from_json(cls, job: Json) -> JobView:
        return cls(
            id=job["ID"],
            namespace=job["Namespace"],
            modify_index=job["JobModifyIndex"],
            stopped=bool(job["Stop"]),
            status=job["Status"],
            counts={group["Name"]: group["Count"] for group in job["TaskGroups"]},
            memory={group["Name"]: group["Tasks"][0]["Resources"]["MemoryMB"] for group in job["TaskGroups"]},
            meta=job["Meta"] or {},
            raw=job,
        )

    def with_counts(self, counts: Mapping[str, int]) -> Json:
        """The job with other group counts, to be registered. KeyError if a group is not named."""
        groups = [
            {**group, "Count": counts[group["Name"]], "Constraints": _asked_for(group.get("Constraints") or [])}
            for group in self.raw["TaskGroups"]
        ]
        return {**self.raw, "Stop": False, "TaskGroups": groups}


@dataclass(frozen=True, slots=True)
class JobStub:
    """A job as a listing has it."""

    id: str
    namespace: str
    modify_index: int
    stopped: bool
    status: str
    meta: Mapping[str, str]

    @classmethod
    def from_json(cls, stub: Json) -> JobStub:
        return cls(
            id=stub["ID"],
            namespace=stub["Namespace"],
            modify_index=stub["JobModifyIndex"],
            stopped=bool(stub["Stop"]),
            status=stub["Status"],
            meta=stub.get("Meta") or {},
        )


@dataclass(frozen=True, slots=True)
class AllocView:
    """One allocation of a group, with its task's newest news."""

    id: str
    namespace: str
    group: str
    client_status: str  # pending | running | complete | failed | lost | unknown
    desired_status: str  # run | stop | evict
    restarts: int
    failed: bool
    message: str  # why it does not run, if it does not; else its newest event
    started: str  # RFC 3339; "": never
    node: str
    created_index: int
    killed: bool = False  # its newest exit was a SIGKILL from outside, which says nothing about the task itself
    out_of_memory: bool = False  # its newest exit was a kill for using all the memory it may

    @classmethod
    def from_json(cls, alloc: Json, task: str) -> AllocView:
        state: Json = (alloc.get("TaskStates") or {}).get(task) or {}
        return cls(
            id=alloc["ID"],
            namespace=alloc["Namespace"],
            group=alloc["TaskGroup"],
            client_status=alloc["ClientStatus"],
            desired_status=alloc["DesiredStatus"],
            restarts=state.get("Restarts", 0),
            failed=alloc["ClientStatus"] == "failed" or bool(state.get("Failed")),
            killed=_was_killed(_newest_exit(state)),
            out_of_memory=_newest_exit(state).get("oom_killed") == "true",
            message=_news(state.get("Events") or []) or alloc.get("ClientDescription", ""),
            started=_time(state.get("StartedAt")),
            node=alloc.get("NodeName", ""),
            created_index=alloc["CreateIndex"],
        )


@dataclass(frozen=True, slots=True)
class ClusterEvent:
    """Something changed. `topic` "Stream" is our own: the stream was away, so look at everything again."""

    topic: str  # Job | Allocation | Evaluation | Deployment | Node | … | Stream
    type: str
    key: str
    namespace: str
    job_id: str  # the job concerned, "" if there is none
    index: int

    @classmethod
    def from_json(cls, event: Json) -> ClusterEvent:
        return cls(
            topic=event["Topic"],
            type=event["Type"],
            key=event["Key"],
            namespace=event.get("Namespace", ""),
            job_id=_job_of(event),
            index=event["Index"],
        )


def _asked_for(constraints: list[Json]) -> list[Json]:
    """Without the one on Nomad's own version: Nomad adds that again at each registration of a job with a workload
    identity, so a job that goes back and forth would gather one with every wake."""
    return [one for one in constraints if one["LTarget"] != "${attr.nomad.version}"]


def _job_of(event: Json) -> str:
    if event["Topic"] == "Job":
        return str(event["Key"])
    subject: Json = (event.get("Payload") or {}).get(event["Topic"]) or {}
    return str(subject.get("JobID", ""))


def _newest_exit(state: Json) -> Json:
    """Details of a task's newest exit; {} if it has none."""
    exits = [event.get("Details") or {} for event in state.get("Events") or [] if event["Type"] == "Terminated"]
    return exits[-1] if exits else {}


def _was_killed(details: Json) -> bool:
    """By a person, a script or the machine; not for its memory."""
    by_signal = details.get("signal") == _SIGKILL or details.get("exit_code") == _EXIT_OF_SIGKILL
    return by_signal and details.get("oom_killed") != "true"


def _news(events: list[Json]) -> str:
    """The newest event; where it only says what follows, with the one that says why before it."""
    if not events:
        return ""
    newest = events[-1]
    text = _text(newest)
    if newest["Type"] in _CONSEQUENCE:
        reasons = [_text(event) for event in events if event["Type"] in _TELLING]
        return f"{reasons[-1]}; {text}" if reasons else text
    return text


def _text(event: Json) -> str:
    return str(event.get("DisplayMessage") or event.get("Message") or event["Type"])


def _time(value: str | None) -> str:
    return "" if value is None or value.startswith("0001-01-01") else value
