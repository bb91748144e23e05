"""One look at one flow after the other: see, decide, act, until there is nothing to do but wait."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import structlog

from nomadflows.clients import Clients
from nomadflows.controller.acts import Acts
from nomadflows.controller.deployment import Deployment
from nomadflows.controller.hooks import HookActs
from nomadflows.controller.memory import Memory
from nomadflows.controller.observe import FULL, Look, look
from nomadflows.controller.scheduler import Scheduler
from nomadflows.controller.versions import Versions
from nomadflows.controller.workqueue import Hints
from nomadflows.controller.writer import Writer
from nomadflows.model.errors import Conflict, NomadflowsError, NotFound
from nomadflows.model.names import FlowRef, VersionRef
from nomadflows.plan.decide import decide, next_look_s
from nomadflows.plan.decision import FIRST_LOOK_S, Act, Decision
from nomadflows.plan.seen import Rules
from nomadflows.render.site import Site
from nomadflows.store.leadership import Leadership
from nomadflows.store.transaction import LostLeadership

log = structlog.get_logger()

_MOST_ACTS: Final = 20  # in one turn; a flow that wants more makes room for others first
_AGAIN_S: Final = 0.05
_STARTS_PROCESSES: Final = {Act.BRING_UP, Act.WAKE}


class Reconciler:
    """Shared by the worker threads of a leader."""

    def __init__(
        self,
        clients: Callable[[], Clients],
        fence: Leadership,
        scheduler: Scheduler,
        site: Site,
        wake_fed: Callable[[VersionRef, bool], None],
        rules: Rules | None = None,
        versions: Versions | None = None,
    ) -> None:
        self._rules = rules or Rules()
        self._clients = clients
        self._fence = fence
        self._scheduler = scheduler
        self._versions = versions or Versions()
        self._memory = Memory()
        self._writer = Writer(clients, fence, self._memory)
        self._aside = ThreadPoolExecutor(max_workers=4, thread_name_prefix="aside")
        hooks = HookActs(self._versions, self._leading, site)
        self._wake_fed = wake_fed
        deployment = Deployment(self._versions, site, self._aside, self._leading)
        self._acts = Acts(self._versions, self._writer, deployment, hooks, self._feed, self._leading)

    def work(self, ref: FlowRef, hints: Hints) -> float | None:
        """Bring a flow as far as it will go now; seconds until it wants to be looked at again, None: when signalled.

        Raises what a server said if it could not be done; the flow is then looked at again later.
        """
        for _ in range(_MOST_ACTS):
            if not self._fence.is_leader:
                raise LostLeadership("another controller leads")
            seen = self._look(ref, hints)
            if seen is None:
                self._memory.forget(ref)
                self._versions.forget(ref)
                self._writer.counts.gone(ref)
                self._scheduler.forget(ref)
                return None
            decision = decide(seen.seen)
            if decision.act is Act.WAIT:
                self._scheduler.follow(seen)
                self._writer.observe(seen, decision, self._scheduler.times(ref))
                return next_look_s(seen.seen, decision)
            log.debug("act", flow=str(ref), act=decision.act.value, reason=decision.reason)
            self._do(seen, decision)
            if decision.act is Act.RESTART:
                self._memory.restarted(ref)
            hints = hints - _answered(decision)
            if decision.act in _STARTS_PROCESSES and not hints:
                return FIRST_LOOK_S
        return _AGAIN_S

    def _do(self, seen: Look, decision: Decision) -> None:
        try:
            self._acts.do(seen, decision)
        except Conflict:
            raise  # somebody was quicker, or leads by now; the next look, here or there, sees what they did
        except NomadflowsError as error:
            self._writer.blocked(seen, error.message)
            raise
        except Exception as error:
            self._writer.blocked(seen, f"the controller failed at this ({type(error).__name__}); its log tells more")
            raise

    def _leading(self) -> Clients:
        """The clients of the calling thread, for one call of a leader."""
        self._fence.held()
        return self._clients()

    def _feed(self, version: VersionRef, fed: bool) -> None:
        self._fence.held()
        self._wake_fed(version, fed)

    def _look(self, ref: FlowRef, hints: Hints) -> Look | None:
        tick = self._scheduler.next_in(ref)
        lead = self._scheduler.lead(ref)
        return look(ref, hints, self._clients(), self._versions, self._memory, tick, lead, self._rules)

    def close(self) -> None:
        self._aside.shutdown(wait=False, cancel_futures=True)
        self._writer.counts.clear()


def _answered(decision: Decision) -> Hints:
    """Hints that an act has dealt with: a message stays said until the flow was woken by it."""
    return {Act.WAKE: frozenset({"message"}), Act.BRING_UP: frozenset({FULL}), Act.PARK: frozenset({FULL})}.get(
        decision.act, frozenset()
    )


EXPECTED: Final = (Conflict, NotFound)
