"""RabbitMQ as the controller, the CLI and the gateway use it: vhosts, accounts, topologies, depths, messages.

A `Broker` belongs to the thread that first uses it; each thread makes its own (`pika` demands it, and so does the
HTTP session). Connections are opened at the first call, kept, and reopened when they are found lost. Every call
ends within the time-out or goes on making progress; what cannot be told is raised, never guessed.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self, TypeVar

from nomadflows.broker import accounts, methods
from nomadflows.broker.address import Address
from nomadflows.broker.difference import Difference, Listed, difference
from nomadflows.broker.faults import NOT_ALLOWED, ConnectionLost, NoAnswer
from nomadflows.broker.link import Command, Link, Question
from nomadflows.broker.management import Management, QueueTotals
from nomadflows.broker.mover import Mover, Route, Target
from nomadflows.broker.publishing import Confirms, message_properties
from nomadflows.broker.standing import standing
from nomadflows.broker.topology import (
    Binding,
    Topology,
    aside_binding,
    aside_queue,
    flow_queues,
    returns_binding,
    set_aside,
    wake_bindings,
    wake_return_binding,
    workspace_topology,
)
from nomadflows.broker.totals import Totals, totals_of, unprocessed
from nomadflows.model.errors import NotFound, ServerRefused
from nomadflows.model.names import FlowRef, VersionRef, parse_rebound_key, vhost

T = TypeVar("T")
_SHARED: Final = workspace_topology()
MOVING_HEARTBEAT_S: Final = 30
PREDECESSORS: Final = 10  # versions whose rebounds still find the present one; more are not published in 600 s


@dataclass(frozen=True, slots=True)
class Depth:
    """A queue as it is this moment: messages ready for delivery, and consumers."""

    ready: int
    consumers: int


@dataclass(slots=True)
class _Workspace:
    link: Link
    confirms: Confirms


class Broker:
    """`amqp_uri` is an administrator's, without vhost; it is the account of the management API too."""

    def __init__(self, amqp_uri: str, api_url: str, timeout: float = 5.0, cacert: str = "") -> None:
        self.address = Address.parse(amqp_uri, cacert)
        self.management = Management(api_url, self.address.user, self.address.password, timeout, cacert)
        self.timeout = timeout
        self._workspaces: dict[str, _Workspace] = {}
        self._thread = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for workspace in self._workspaces.values():
            workspace.link.close()
        self._workspaces.clear()
        self.management.close()

    # ── vhosts, accounts, topologies ──────────────────────────────────────────────────────────────────────────

    def ensure_vhost(self, workspace: str, shared: Topology = _SHARED) -> None:
        """The vhost of a workspace and what its flows share in it. Asks the management API only if it is missing."""
        try:
            self._declare(workspace, shared)
        except ServerRefused as error:
            if error.status != NOT_ALLOWED:
                raise
            self._make_vhost(workspace)
            self._declare(workspace, shared)

    def _make_vhost(self, workspace: str) -> None:
        name = vhost(workspace)
        self.management.put_vhost(name, f"nomadflows workspace {workspace}")
        self.management.put_permissions(name, self.address.user, configure=".*", write=".*", read=".*")

    def ensure_user(self, version: VersionRef, password: str, steps: Collection[str]) -> None:
        """The version's own account: declares nothing, writes its exchange, reads its step queues. Written only where
        it differs; the broker gets a salted hash of the password."""
        user = version.broker_user
        known = self.management.user(user)
        if known is None or known.get("tags") or not accounts.is_hash_of(password, known["password_hash"]):
            self.management.put_user(user, accounts.password_hash(password))
        if not self.has_rights(version, steps):
            wanted = accounts.permissions(version, steps)
            self.management.put_permissions(vhost(version.workspace), user, **wanted)

    def has_rights(self, version: VersionRef, steps: Collection[str]) -> bool:
        """Whether the version's account may do what it should, and no more."""
        present = self.management.permissions(vhost(version.workspace), version.broker_user) or {}
        wanted = accounts.permissions(version, steps)
        return all(present.get(kind) == pattern for kind, pattern in wanted.items())

    def delete_user(self, version: VersionRef) -> None:
        """The account and whatever is still connected with it."""
        self.management.delete_user(version.broker_user)
        self.management.close_connections(version.broker_user)

    def declare(self, version: VersionRef, topology: Topology) -> None:
        """Make what is missing; nothing changes where all is there. Refused if something has other properties."""
        aside = self._depth(version.workspace, version.ref.aside_queue) is not None
        self._declare(version.workspace, set_aside(topology, version.ref) if aside else topology)

    def _declare(self, workspace: str, wanted: Topology) -> None:
        exchanges: list[Command] = [
            functools.partial(methods.declare_exchange, exchange=e) for e in wanted.all_exchanges
        ]
        queues: list[Command] = [
            functools.partial(methods.declare_queue, name=q.name, arguments=dict(q.arguments)) for q in wanted.queues
        ]
        bindings: list[Command] = [functools.partial(methods.bind, binding=b) for b in wanted.bindings]
        self._on(workspace, lambda link: link.batch(exchanges, queues, bindings))

    def drift(self, version: VersionRef, topology: Topology) -> Difference:
        """What of a topology is missing or altered, by the management API; for people who plan and for full rounds, not
        for each look."""
        name, ref = vhost(version.workspace), version.ref
        queues = self.management.queues(name, f"{version.flow}.")
        if any(queue["name"] == ref.aside_queue for queue in queues):
            topology, returns = set_aside(topology, ref), self.management.bindings_to_queue(name, ref.aside_queue)
        else:
            returns = self.management.bindings_to_exchange(name, ref.returns_exchange)
        exchanges = [found for e in topology.all_exchanges if (found := self.management.exchange(name, e.name))]
        bindings = [binding for found in exchanges for binding in self.management.bindings_from(name, found["name"])]
        return difference(topology, Listed.from_api(exchanges, queues, [*bindings, *returns]))

    def standing(self, workspace: str, queues: Collection[str]) -> set[int]:
        """Marks of all that the workspace's versions need and have; `queues`: the names of its queues."""
        return standing(self.management, vhost(workspace), queues)

    # ── what is in the queues ─────────────────────────────────────────────────────────────────────────────────

    def depths(self, version: VersionRef, steps: Collection[str]) -> dict[str, Depth | None]:
        """Of each step's queue, live; None where the queue does not exist."""
        return {step: self._depth(version.workspace, version.queue(step)) for step in steps}

    def waiting(self, workspace: str, queue: str) -> int:
        """Messages ready in a queue, live; 0 if it does not exist. One being worked on does not count."""
        depth = self._depth(workspace, queue)
        return depth.ready if depth else 0

    def peek(self, workspace: str, queue: str) -> Mapping[str, Any] | None:
        """Headers of the oldest message of a queue, which stays where it is; None if there is none, or no queue."""
        try:
            found: Mapping[str, Any] | None = self._on(workspace, lambda link: link.peek(queue))
        except NotFound:
            return None
        return found

    def _depth(self, workspace: str, queue: str) -> Depth | None:
        try:
            frame = self._on(workspace, lambda link: link.ask(functools.partial(methods.look, queue=queue)))
        except NotFound:
            return None
        return Depth(frame.method.message_count, frame.method.consumer_count)

    def totals(self, version: VersionRef, steps: Collection[str] | None = None) -> Totals:
        """Ready and unacknowledged messages of each step queue that exists (of `steps`, if given), and how many
        rebound. A search through the names of all queues of the vhost: see `management`."""
        found = self.management.queue_totals(vhost(version.workspace), f"{version.flow}.")
        return totals_of(version, found, steps)

    def unprocessed(self, versions: Sequence[VersionRef]) -> int:
        """How many messages would be dropped if these versions of a flow ended now, without those in work."""
        names = vhost(versions[0].workspace), f"{versions[0].flow}."
        return unprocessed(versions, self.management.queue_totals(*names))

    def workspace_totals(self, workspace: str) -> dict[str, QueueTotals]:
        """All queues of a workspace by name, in one request; `totals_of` picks a version's."""
        return self.management.queue_totals(vhost(workspace))

    def published(self, version: VersionRef) -> int:
        """How many messages ever came into the version's exchange since the broker started. Up to 10 s old; only
        a change of it means something."""
        exchange = self.management.exchange(vhost(version.workspace), version.exchange) or {}
        return int((exchange.get("message_stats") or {}).get("publish_in", 0))

    # ── park and wake ─────────────────────────────────────────────────────────────────────────────────────────

    def feed_wake(self, version: VersionRef) -> None:
        """From now on each message for this version is also told to the controller."""
        commands: list[Command] = [
            functools.partial(methods.bind, binding=binding) for binding in wake_bindings(version)
        ]
        self._on(version.workspace, lambda link: link.batch(commands))

    def unfeed_wake(self, version: VersionRef) -> None:
        self._unbind(version.workspace, wake_bindings(version))

    # ── messages ──────────────────────────────────────────────────────────────────────────────────────────────

    def publish(self, workspace: str, exchange: str, key: str, body: bytes, headers: dict[str, Any]) -> bool:
        """Put a persistent message in and wait for the confirm. False: a queue is full. Raised: no such exchange, no
        queue for the key (an exchange with an alternate has one always), or unknown whether the broker has it."""
        found = self._at(workspace)
        return found.confirms.send_one(exchange, key, body, message_properties(headers))

    def move(self, workspace: str, source: str, exchange: str, key: str) -> int:
        """Move what a queue holds to an exchange, confirmed before acknowledged; how many. 0 if there is no queue."""
        return self._move(workspace, source, lambda _key: Target(exchange, key))

    def move_rebounds(self, old: VersionRef, new: VersionRef) -> int:
        """Messages of `old` and its predecessors that wait for another try will return to the same step of `new`; to
        the dead queue if it has none. They stay where they are, only their way changes; about how many there are.
        Call this before moving the step queues: what returns meanwhile lands in them."""
        names = vhost(new.workspace), new.ref.returns_exchange
        bound = [(str(b["destination"]), str(b["routing_key"])) for b in self.management.bindings_from(*names)]
        taken = {queue for queue, _ in bound}
        before: list[Binding] = []
        after: list[Command] = []
        for queue, key in bound:
            parsed = parse_rebound_key(new.workspace, key)
            if parsed is None or queue != old.queue(parsed[1]):
                continue
            before.append(Binding(names[1], queue, key))
            successor = new.queue(parsed[1])
            if successor in taken and old.number - parsed[0].number < PREDECESSORS:
                after.append(functools.partial(methods.bind, binding=Binding(names[1], successor, key)))
        # Bound twice for a moment rather than not at all: a message may come twice, but none is lost.
        self._on(new.workspace, lambda link: link.batch(after))
        self._unbind(new.workspace, before)
        return self._move(old.workspace, old.rebounds_queue, lambda _key: Target("", new.rebounds_queue))

    def set_aside(self, ref: FlowRef) -> None:
        """From now on rebounds of a flow return into a queue of their own. For a flow whose queues are full: what
        they refuse is held in the delays, which are shared, and there it is in the way of other flows' rebounds."""
        queue = aside_queue(ref)
        declare: Command = functools.partial(methods.declare_queue, name=queue.name, arguments=dict(queue.arguments))
        self._on(
            ref.workspace,
            lambda link: link.batch([declare], [functools.partial(methods.bind, binding=aside_binding(ref))]),
        )
        self._unbind(ref.workspace, [returns_binding(ref)])

    def has_aside(self, ref: FlowRef) -> bool:
        """Whether rebounds of the flow are set aside."""
        return self._depth(ref.workspace, ref.aside_queue) is not None

    def bring_back(self, version: VersionRef) -> int:
        """Give the steps what was set aside, and let rebounds return directly again; how many there were. Refused
        when a step's queue is still full: the rest stays aside. Nothing happens if none was set aside."""
        ref = version.ref
        if self._depth(ref.workspace, ref.aside_queue) is None:
            return 0
        moved = self._bring_back(version)
        self._on(
            ref.workspace, lambda link: link.batch([functools.partial(methods.bind, binding=returns_binding(ref))])
        )
        self._unbind(ref.workspace, [aside_binding(ref)])
        moved += self._bring_back(version)  # what came while the ways changed
        self._count(ref.workspace, [functools.partial(methods.delete, queue=ref.aside_queue)])
        return moved

    def _bring_back(self, version: VersionRef) -> int:
        bindings = self.management.bindings_from(vhost(version.workspace), version.ref.returns_exchange)
        present = {str(binding["destination"]) for binding in bindings}

        def route(key: str) -> Target:
            parsed = parse_rebound_key(version.workspace, key)
            queue = version.queue(parsed[1]) if parsed else ""
            return Target("", queue if queue in present else version.ref.dead_queue)

        return self._move(version.workspace, version.ref.aside_queue, route)

    def _move(self, workspace: str, source: str, route: Route) -> int:
        """By a connection of its own: what a mover holds is out of everybody's reach until the broker notices its end."""
        if not self.waiting(workspace, source):
            return 0
        link = Link(self.address, vhost(workspace), self.timeout, MOVING_HEARTBEAT_S)
        try:
            return Mover(link, Confirms(link)).move(source, route)
        finally:
            link.close()

    def purge(self, version: VersionRef, steps: Collection[str]) -> int:
        """Drop what is ready or was set aside; how many. Queues stay. What a consumer holds is not touched, nor what
        is delayed, since that lies among the messages of other flows: it comes back."""
        queues = [*(version.queue(step) for step in steps), version.ref.aside_queue]
        present = [queue for queue in queues if self._depth(version.workspace, queue) is not None]
        return self._count(version.workspace, [functools.partial(methods.purge, queue=queue) for queue in present])

    def close_input(self, version: VersionRef) -> None:
        """From now on nothing can be published to the version: whoever tries is refused, and may look for its
        successor. What its queues hold stays."""
        if self._has_vhost(version.workspace):
            self._delete_exchanges(version.workspace, [version.exchange])

    def delete_version(self, version: VersionRef, topology: Topology) -> int:
        """Delete a version's exchanges, queues and account; how many ready messages went with them. What is not
        there is deleted already. Its processes must be gone: what they hold is not counted."""
        dropped = 0
        if self._has_vhost(version.workspace):
            dropped = self._delete_topology(version, topology)
        self.delete_user(version)
        return dropped

    def _delete_topology(self, version: VersionRef, topology: Topology) -> int:
        """The exchange first, so that nothing comes in. With the last version's queues the way back of rebounds goes
        too, and what is still delayed is forgotten when it is due."""
        ref = version.ref
        self._delete_exchanges(version.workspace, [e.name for e in topology.exchanges])
        if self._has_exchange(version.workspace, ref.returns_exchange):
            self._unbind(version.workspace, [wake_return_binding(version)])
        gone = [queue.name for queue in (*topology.rebound_queues, *topology.step_queues)]
        dropped = self._count(version.workspace, [functools.partial(methods.delete, queue=name) for name in gone])
        if not self._has_exchange(version.workspace, ref.returns_exchange):
            dropped += self._count(version.workspace, [functools.partial(methods.delete, queue=ref.aside_queue)])
        return dropped

    def _has_exchange(self, workspace: str, name: str) -> bool:
        try:
            self._on(workspace, lambda link: link.ask(functools.partial(methods.look_for_exchange, name=name)))
        except NotFound:
            return False
        return True

    def _delete_exchanges(self, workspace: str, names: Sequence[str]) -> None:
        questions: list[Question] = [functools.partial(methods.delete_exchange, name=name) for name in names]
        self._on(workspace, lambda link: link.ask_all(questions))

    def _unbind(self, workspace: str, bindings: Sequence[Binding]) -> None:
        questions: list[Question] = [functools.partial(methods.unbind, binding=binding) for binding in bindings]
        self._on(workspace, lambda link: link.ask_all(questions))

    def delete_flow(self, ref: FlowRef) -> int:
        """Delete what outlives versions: errors, dead messages, the newest tick. How many messages went with them."""
        if not self._has_vhost(ref.workspace):
            return 0
        self._count(ref.workspace, [functools.partial(methods.delete, queue=ref.ticks_queue)])  # copies: not counted
        return self._count(ref.workspace, [functools.partial(methods.delete, queue=q.name) for q in flow_queues(ref)])

    # ── connections ───────────────────────────────────────────────────────────────────────────────────────────

    def _count(self, workspace: str, questions: Sequence[Question]) -> int:
        frames = self._on(workspace, lambda link: link.ask_all(questions))
        return sum(frame.method.message_count for frame in frames)

    def _has_vhost(self, workspace: str) -> bool:
        try:
            self._on(workspace, lambda link: link.ensure_open())
        except ServerRefused as error:
            if error.status == NOT_ALLOWED and self.management.vhost(vhost(workspace)) is None:
                return False
            raise
        return True

    def _on(self, workspace: str, work: Callable[[Link], T]) -> T:
        """Do what may be repeated; it is, once, when a kept connection turns out to be lost."""
        link = self._at(workspace).link
        before = link.opened
        try:
            return work(link)
        except NoAnswer:
            raise
        except ConnectionLost:
            if link.opened > before:
                raise
            return work(link)

    def _at(self, workspace: str) -> _Workspace:
        self._check_thread()
        found = self._workspaces.get(workspace)
        if found is None:
            link = Link(self.address, vhost(workspace), self.timeout)
            found = self._workspaces[workspace] = _Workspace(link, Confirms(link))
        return found

    def _check_thread(self) -> None:
        current = threading.get_ident()
        self._thread = self._thread or current
        if self._thread != current:
            raise RuntimeError("a Broker belongs to the thread that first used it; make one for each thread")
