"""How things are called in Nomad, Consul, RabbitMQ and Vault. One place, so that a name can be read back.

Flow and workspace names hold no dot, so `<flow>.v<n>.<step>` splits without doubt; step ids hold no dot
either (a dot separates words of a topic routing key). Mapper ids hold colons, which users' ids may not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

WORKSPACE: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
FLOW: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
STEP: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,62})")
CREDENTIAL: Final = FLOW
COMPONENT: Final = FLOW
WORKSPACE_RULE: Final = "lower-case letters, digits and dashes, 40 at most, no dash at either end"
FLOW_RULE: Final = "lower-case letters, digits and dashes, 63 at most, no dash at either end"
CREDENTIAL_RULE: Final = FLOW_RULE
COMPONENT_RULE: Final = FLOW_RULE
VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")  # what JSONata reads as one name
_JOB: Final = re.compile(r"(?P<flow>[a-z0-9-]+)\.v(?P<version>[1-9][0-9]*)")

VHOST_PREFIX: Final = "nomadflows."
WAKE_QUEUE: Final = "nomadflows.wake"
SNAPSHOT_QUEUE: Final = "nomadflows.snapshots"
UNROUTED: Final = "nomadflows.unrouted"  # alternate exchange and its queue
SINK_QUEUE: Final = "nomadflows.sink"  # max-length 0: output of last steps, which nobody reads
FORGOTTEN: Final = "nomadflows.forgotten"  # exchange into the sink: delayed messages of flows that were stopped
REBOUND: Final = "nomadflows.rebound"  # exchange that sorts rebounds by iteration into queues of one delay each
REBOUND_LATE: Final = "nomadflows.rebound.late"  # its alternate: iterations without a delay of their own
REBOUNDED: Final = "nomadflows.rebounded"  # exchange to which a rebound goes when its delay is over

REPLIES: Final = "nomadflows.replies"  # exchange of all answers to waiting callers, from any version
REPLY_PATTERN: Final = "gateway.*.reply"  # three words: no step's key has so many


def reply_key(gateway: str) -> str:
    """Where a gateway wants answers to its requests. `gateway`: a word of its own."""
    return f"gateway.{gateway}.reply"


def vhost(workspace: str) -> str:
    """The RabbitMQ virtual host of a workspace."""
    return VHOST_PREFIX + workspace


def rebound_queue(seconds: int) -> str:
    """Where the rebounds of all flows of a workspace wait so long."""
    return f"{REBOUND}.{seconds}s"


def mapper_id(source: str, target: str) -> str:
    """The id of the hidden step that evaluates the mapping on the edge source → target."""
    return f"mapper:{source}:{target}"


@dataclass(frozen=True, order=True, slots=True)
class FlowRef:
    """A flow in its workspace."""

    workspace: str
    flow: str

    def __str__(self) -> str:
        return f"{self.workspace}/{self.flow}"

    @classmethod
    def parse(cls, text: str) -> FlowRef:
        """`ws/flow` → FlowRef. ValueError if it is not of that form."""
        workspace, slash, flow = text.partition("/")
        if not slash or not WORKSPACE.fullmatch(workspace) or not FLOW.fullmatch(flow):
            raise ValueError(f"not <workspace>/<flow>: {text!r}")
        return cls(workspace, flow)

    def version(self, number: int) -> VersionRef:
        return VersionRef(self.workspace, self.flow, number)

    @property
    def dead_queue(self) -> str:
        """Queue of rejected messages, shared by the versions of the flow."""
        return f"{self.flow}.dead"

    @property
    def errors_queue(self) -> str:
        """Queue of error records, shared by the versions of the flow."""
        return f"{self.flow}.errors"

    @property
    def ticks_queue(self) -> str:
        """Holds the newest scheduled tick, so that it is known which one that was."""
        return f"{self.flow}.ticks"

    @property
    def returns_exchange(self) -> str:
        """Where rebounds of all versions of the flow arrive; brings each back to its step."""
        return f"{self.flow}.returns"

    @property
    def homeless_exchange(self) -> str:
        """Its alternate: rebounds whose step is gone."""
        return f"{self.flow}.homeless"

    @property
    def aside_queue(self) -> str:
        """Where rebounds wait that return to a flow whose queues are full."""
        return f"{self.flow}.aside"

    @property
    def rebound_pattern(self) -> str:
        """Matches the rebound keys of all versions of this flow, and of no other flow."""
        return f"{self.flow}.*.*.rebound"

    @property
    def secret_path(self) -> str:
        """Path below the KV mount of what the versions of a flow share (message key)."""
        return f"{self.workspace}/_flows/{self.flow}"


@dataclass(frozen=True, order=True, slots=True)
class VersionRef:
    """One published version of a flow."""

    workspace: str
    flow: str
    number: int

    def __str__(self) -> str:
        return f"{self.workspace}/{self.job_id}"

    @classmethod
    def parse_job(cls, workspace: str, job_id: str) -> VersionRef | None:
        """The version a Nomad job stands for, or None for a job that is not ours."""
        match = _JOB.fullmatch(job_id)
        return cls(workspace, match["flow"], int(match["version"])) if match else None

    @property
    def ref(self) -> FlowRef:
        return FlowRef(self.workspace, self.flow)

    @property
    def job_id(self) -> str:
        """`<flow>.v<n>`: the Nomad job, the broker exchange, the prefix of its queues."""
        return f"{self.flow}.v{self.number}"

    @property
    def shutdown_job(self) -> str:
        """The Nomad job of the shutdown hook."""
        return f"{self.job_id}.shutdown"

    @property
    def exchange(self) -> str:
        return self.job_id

    @property
    def rebound_pattern(self) -> str:
        """Matches the rebound keys of this version's steps, and no other's."""
        return f"{self.job_id}.*.rebound"

    @property
    def rebounds_queue(self) -> str:
        """A copy of each rebound, for as long as it is delayed: its depth is how many there are. The dot keeps it
        apart from a step's queue."""
        return f"{self.job_id}.rebounds.waiting"

    def queue(self, step: str) -> str:
        """The input queue of a step."""
        return f"{self.job_id}.{step}"

    @property
    def broker_user(self) -> str:
        """RabbitMQ user, Vault role and policy share one name shape: nothing in it is ambiguous."""
        return f"{self.workspace}.{self.job_id}"

    @property
    def vault_role(self) -> str:
        return f"nomadflows.{self.workspace}.{self.job_id}"

    @property
    def secret_path(self) -> str:
        """Path below the KV mount of what the step processes of this version need."""
        return f"{self.workspace}/_versions/{self.job_id}"

    @property
    def api_user(self) -> str:
        """HTTP Basic user of the component API."""
        return f"{self.workspace}.{self.job_id}"


def parse_api_user(text: str) -> VersionRef | None:
    """Inverse of `VersionRef.api_user`."""
    workspace, _, job = text.partition(".")
    return VersionRef.parse_job(workspace, job)


def credential_path(workspace: str, credential: str) -> str:
    """Path below the KV mount of a credential."""
    return f"{workspace}/{credential}"


def input_key(step: str) -> str:
    return f"{step}.input"


def data_key(step: str) -> str:
    return f"{step}.data"


def error_key(step: str) -> str:
    return f"{step}.error"


def rebound_key(version: VersionRef, step: str) -> str:
    """Unlike the others it names the version, since the delays are shared by all flows of a workspace."""
    return f"{version.job_id}.{step}.rebound"


def parse_rebound_key(workspace: str, key: str) -> tuple[VersionRef, str] | None:
    """Inverse of `rebound_key`: the version and the step."""
    job, _, rest = key.removesuffix(".rebound").rpartition(".")
    version = VersionRef.parse_job(workspace, job)
    return (version, rest) if version and rest and key.endswith(".rebound") else None


def snapshot_key(step: str) -> str:
    return f"{step}.snapshot"
