"""The Nomad client: one method for each thing that is asked of the cluster.

Every call names its namespace, so a NOMAD_NAMESPACE in somebody's shell changes nothing. Nothing is retried:
callers look again anyway, and a registration that insists on an index is safe to repeat.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from typing import Any, Final

from nomadflows.cluster.logs import log_lines
from nomadflows.cluster.stream import EventStream
from nomadflows.cluster.views import AllocView, ClusterEvent, JobStub, JobView, Json
from nomadflows.cluster.wire import SERVER, Wire
from nomadflows.model.errors import NotFound, ServerUnreachable

ANY_NAMESPACE: Final = "*"
DEFAULT_NAMESPACE: Final = "default"  # there from the beginning
TASK: Final = "step"  # the one task of each group


class Nomad:
    """A cluster. Thread-safe; nothing is sent before the first call."""

    def __init__(self, addr: str, token: str = "", cacert: str = "", timeout: float = 5.0) -> None:
        self._wire = Wire(addr.rstrip("/"), token, cacert, timeout)
        self._api = self._wire.api
        self._namespaces = {DEFAULT_NAMESPACE}

    # ── the cluster ───────────────────────────────────────────────────────────────────────────────────────

    def ping(self) -> None:
        """ServerUnreachable unless there is a leader."""
        if not self._wire.get(self._api.status.leader):
            raise ServerUnreachable(SERVER, self._wire.addr, "the servers have no leader yet")

    def version(self) -> str:
        """Of the agent that answers."""
        return str(self._wire.get(self._api.agent, "self")["config"]["Version"]["Version"])

    def ensure_namespace(self, namespace: str, description: str = "") -> None:
        """Create it unless it is there. Asks once for each name."""
        if namespace in self._namespaces:
            return
        try:
            self._wire.get(self._api.namespace, namespace)
        except NotFound:
            wanted = {"Name": namespace, "Description": description or f"nomadflows workspace {namespace}"}
            self._wire.send(self._api.namespace, method="post", json=wanted)
        self._namespaces.add(namespace)

    # ── jobs ──────────────────────────────────────────────────────────────────────────────────────────────

    def parse(self, hcl: str) -> Json:
        """HCL as the document Nomad makes of it. ServerRefused with the parser's words if it cannot."""
        answer: Json = self._wire.get(
            self._api.jobs, "parse", method="post", json={"JobHCL": hcl, "Canonicalize": False}
        )
        return answer

    def register(self, job: Json, enforce_index: int | None = None, *, source: str = "") -> int:
        """Register a parsed job; its new modify index.

        `enforce_index`: Conflict unless the job has this modify index (0: unless there is none).
        `source`: the HCL, comments included, that Nomad's UI shows as the job's definition.
        """
        body: Json = {"Job": job}
        if enforce_index is not None:
            body |= {"EnforceIndex": True, "JobModifyIndex": enforce_index}
        if source:
            body["Submission"] = {"Source": source, "Format": "hcl2"}
        namespace = job.get("Namespace") or DEFAULT_NAMESPACE
        answer = self._wire.get(self._api.jobs, method="post", json=body, namespace=namespace)
        index = int(answer["JobModifyIndex"])
        if index == answer["EvalCreateIndex"]:
            return index
        # Nothing differed. Nomad kept the job, and answers with an index that is not the one it compares with.
        present = None if enforce_index else self.job(namespace, job["ID"])
        return present.modify_index if present else enforce_index or index

    def register_counts(self, job: JobView, counts: Mapping[str, int]) -> int:
        """The same job with other group counts, all in one request. Conflict if it was changed meanwhile."""
        return self.register(job.with_counts(counts), job.modify_index)

    def plan(self, job: Json) -> Json:
        """What registering would change: Nomad's own dry run, with `Diff` and `Annotations`."""
        namespace = job.get("Namespace") or DEFAULT_NAMESPACE
        body = {"Job": job, "Diff": True, "PolicyOverride": False}
        answer: Json = self._wire.get(self._api.job, job["ID"], "plan", method="post", json=body, namespace=namespace)
        return answer

    def job(self, namespace: str, job_id: str) -> JobView | None:
        try:
            return JobView.from_json(self._wire.get(self._api.job, job_id, namespace=namespace))
        except NotFound:
            return None

    def jobs(self, namespace: str = ANY_NAMESPACE, prefix: str = "") -> list[JobStub]:
        stubs = self._wire.get(self._api.jobs, namespace=namespace, prefix=prefix or None, meta=True)
        return [JobStub.from_json(stub) for stub in stubs]

    def deregister(self, namespace: str, job_id: str, *, purge: bool) -> None:
        """Stop a job; `purge` also forgets it. A job that is not there is as good as stopped."""
        try:
            self._wire.send(self._api.job, job_id, method="delete", namespace=namespace, purge=purge)
        except NotFound:
            return

    # ── allocations ───────────────────────────────────────────────────────────────────────────────────────

    def allocations(self, namespace: str, job_id: str) -> list[AllocView]:
        """Of all versions of the job, newest first. None as soon as the job is purged, though processes may be ending."""
        return self._views(self._wire.get(self._api.job, job_id, "allocations", namespace=namespace, all=True))

    def stop_alloc(self, namespace: str, alloc_id: str) -> None:
        """Stop one allocation; Nomad starts another in its place."""
        self._wire.send(self._api.allocation, alloc_id, "stop", method="post", namespace=namespace)

    def logs(
        self,
        namespace: str,
        alloc_id: str,
        stream: str = "stdout",
        *,
        follow: bool = False,
        tail_bytes: int | None = None,
    ) -> Iterator[str]:
        """Lines a step has written to "stdout" or "stderr", from the beginning or from the last `tail_bytes` on."""
        origin: dict[str, Any] = {"origin": "start"} if tail_bytes is None else {"origin": "end", "offset": tail_bytes}
        params = {"task": TASK, "type": stream, "follow": follow, "plain": False, "namespace": namespace, **origin}
        return log_lines(self._wire, alloc_id, params, follow=follow)

    # ── events ────────────────────────────────────────────────────────────────────────────────────────────

    def events(
        self, topics: Mapping[str, str] | None, index: int, stop: threading.Event, *, namespace: str = ANY_NAMESPACE
    ) -> Iterator[ClusterEvent]:
        """What happens, from `index` on (0: from the last hundred or so events on), until `stop` is set.

        `topics`: topic → key or "*". A connection that is lost is made again, without end, and the stream goes
        on where it was; an event of topic "Stream" says that it was away, since Nomad may have forgotten some.
        """
        return EventStream(self._wire, topics or {"*": "*"}, namespace, stop).events(index)

    @staticmethod
    def _views(allocations: list[Json]) -> list[AllocView]:
        views = [AllocView.from_json(alloc, TASK) for alloc in allocations]
        return sorted(views, key=lambda view: view.created_index, reverse=True)
