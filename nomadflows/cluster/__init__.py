"""Nomad's HTTP API: jobs, allocations, logs, events. Knows nothing of flows; a job is whatever it is given."""

from nomadflows.cluster.client import Nomad
from nomadflows.cluster.views import AllocView, ClusterEvent, JobStub, JobView

__all__ = ["AllocView", "ClusterEvent", "JobStub", "JobView", "Nomad"]
