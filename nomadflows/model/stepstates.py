"""The state of one step of an active flow, from what is seen of it.

::

                processes are wanted             its queue has a consumer
  Sleeping ─────────────────────────▶ Starting ───────────────────────────▶ Running
   │    ▲                              ▲    ▲      no consumer any more       │  │
   │    │                              │    └─────────────────────────────────┘  │
   │    │ no consumer any more         │                                         │ the flow parks, is
   │    └─────────── Shutting Down ◀───┼─────────────────────────────────────────┘ suspended or stopped
   │                                   │ the flow is resumed
   └──────────────────────────────▶ Suspended
      the flow is suspended: no step of it consumes any more

A step that never had a consumer goes from Starting to Sleeping when its flow ends so. The steps of a flow that waits for the
version before it to leave are Starting: processes are wanted, though there is no job yet.
"""

from __future__ import annotations

from nomadflows.model.states import FlowState, StepState


def step_state(flow: FlowState, *, parking: bool, wanted: bool, consumed: bool) -> StepState:
    """`parking`: the flow's steps are being taken down for want of work; `wanted`: its job asks for processes of this
    step; `consumed`: its queue has a consumer. The flow's state comes first: a job may differ from it for a moment."""
    if flow in {FlowState.SUSPENDING, FlowState.STOPPING} or (flow is FlowState.RUNNING and parking):
        return StepState.SHUTTING_DOWN if consumed else StepState.SLEEPING
    if flow is FlowState.SUSPENDED:
        return StepState.SUSPENDED
    if flow in {FlowState.SLEEPING, FlowState.STOPPED}:
        return StepState.SLEEPING
    if consumed:
        return StepState.RUNNING
    return StepState.STARTING if wanted or flow is FlowState.STARTING else StepState.SLEEPING
