"""Ticks by a clock that the test sets."""

from __future__ import annotations

import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from nomadflows.broker.wire import Crypto, decode
from nomadflows.controller.scheduler import Scheduler
from nomadflows.controller.ticks import Plan, first_due, tick_ids
from nomadflows.model.errors import ServerUnreachable
from nomadflows.model.names import FlowRef
from nomadflows.model.states import Status, timestamp, utc_now

REF = FlowRef("default", "orders")
NOON = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
SECRET = SimpleNamespace(crypto_password="p", crypto_iv="0123456789abcdef")


def plan(expression: str = "*/10 * * * *", zone: str = "UTC", **more: Any) -> Plan:
    return Plan(REF.version(1), "orders", expression, zone, 1.0, **more)


class World:
    """A leader's scheduler without its threads; `pass_until` lets time go by. `newest`: of the broker's ticks queue,
    from a world before this one."""

    def __init__(self, status: Status | None = None, newest: dict[str, Any] | None = None, **options: Any) -> None:
        self.now = NOON + timedelta(seconds=1)
        self.sent: list[tuple[datetime, str]] = []
        self.early: list[datetime] = []
        self.waiting = 0
        self.works_s: float | None = None  # how long the trigger's call takes; None: ticks are taken as if by nobody
        self.in_work_since: datetime | None = None
        self.away = False
        self.silent = False  # the broker takes ticks, but its confirms get lost
        self.newest = newest
        self.leads = True
        self.keys_read = 0
        clients: Any = SimpleNamespace(broker=self, vault=self)
        self.scheduler = Scheduler(
            lambda: clients, lambda _ref: self.early.append(self.now), lambda: self.leads, lambda: self.now, **options
        )
        self.scheduler._changed = _NoWait()
        self.status = status or Status()

    def version_secret(self, _version: Any) -> Any:
        self.keys_read += 1
        return SECRET

    def follow(self, wanted: Plan | None) -> None:
        self.scheduler.take(REF, wanted, self.status)

    def work(self) -> None:
        """What a trigger with a prefetch of 1 does until now: it holds one tick, unacknowledged, for as long as it works
        on it. A passive declare tells only of those behind it."""
        if self.works_s is None:
            return
        if self.in_work_since and self.now >= self.in_work_since + timedelta(seconds=self.works_s):
            self.in_work_since = None
        if self.waiting and not self.in_work_since:
            self.waiting -= 1
            self.in_work_since = self.now

    def depths(self, _version: Any, steps: Any) -> Any:
        self.work()
        return dict.fromkeys(steps, SimpleNamespace(ready=self.waiting))

    def publish(self, _workspace: str, _exchange: str, _key: str, body: bytes, headers: Any) -> bool:
        if self.away:
            raise ServerUnreachable("RabbitMQ", "amqp://x", "refused")
        message = decode(Crypto("p", "0123456789abcdef"), body, headers)
        assert message["id"] == headers["messageId"] != headers["threadId"]
        self.sent.append((self.now, headers["messageId"] + headers["threadId"]))
        if self.works_s is not None:
            self.waiting += 1
        if headers.get("BCC") == ["ticked"]:
            self.newest = headers
        if self.silent:
            raise ServerUnreachable("RabbitMQ", "amqp://x", "no answer in 5 s")
        return True

    def peek(self, _workspace: str, queue: str) -> Any:
        assert queue == "orders.ticks"
        if self.away:
            raise ServerUnreachable("RabbitMQ", "amqp://x", "refused")
        return self.newest

    def pass_until(self, end: datetime, step: float = 0.5) -> None:
        while self.now < end:
            self.now += timedelta(seconds=step)
            while (ref := self.scheduler._take()) is not None:
                self.scheduler._fire(ref)

    def times(self) -> list[datetime]:
        return [moment for moment, _ in self.sent]


class _NoWait:
    """A condition that nobody waits for."""

    def __enter__(self) -> None: ...
    def __exit__(self, *_: object) -> None: ...
    def notify(self) -> None: ...
    def notify_all(self) -> None: ...
    def wait(self, _seconds: float) -> None: ...


def minutes(*numbers: float) -> list[datetime]:
    return [NOON + timedelta(minutes=number) for number in numbers]


def test_ticks_come_when_they_are_due_and_a_look_before_each() -> None:
    world = World()
    world.follow(plan())
    world.pass_until(*minutes(31))
    assert world.times() == minutes(10, 20, 30)
    assert [moment for moment in world.early if moment not in world.times()] == [
        moment - timedelta(seconds=2) for moment in minutes(10, 20, 30)
    ]


def test_what_is_told_of_a_schedule_in_another_zone_is_the_moment_of_its_ticks() -> None:
    """In UTC, and marked so: nobody has to know in which zone it was written, or is read."""
    world = World()
    world.follow(plan("0 9 * * *", "Europe/Berlin"))
    told = world.scheduler.times(REF)
    assert (told["next_tick"], told["later_ticks"][0]) == ("2026-03-11T08:00:00.000Z", "2026-03-12T08:00:00.000Z")
    world.pass_until(NOON + timedelta(hours=21), step=60)
    assert world.times() == [datetime(2026, 3, 11, 8, 0, 1, tzinfo=UTC)]


def test_a_tick_is_skipped_while_the_last_one_waits() -> None:
    world = World()
    world.follow(plan())
    world.waiting = 1
    world.pass_until(*minutes(15))
    world.waiting = 0
    world.pass_until(*minutes(21))
    assert world.times() == minutes(20)


def test_a_new_leader_makes_up_one_tick_and_repeats_none() -> None:
    # Given a leader that told of its ticks
    first = World()
    first.follow(plan())
    first.pass_until(*minutes(11))
    told = first.scheduler.times(REF)
    assert told == {
        "last_tick": timestamp(minutes(10)[0]),
        "next_tick": timestamp(minutes(20)[0]),
        "later_ticks": tuple(timestamp(moment) for moment in minutes(30, 40)),
    }
    status = Status(started=timestamp(NOON), **told)
    # When another one leads before the next tick is due, then that is what comes next
    soon = World(status)
    soon.now = minutes(12)[0]
    soon.follow(plan())
    soon.pass_until(*minutes(21))
    assert soon.times() == minutes(20)
    # When nobody led for an hour, then one tick is made up, and the next comes in its time
    late = World(status)
    late.now = minutes(65)[0]
    late.follow(plan())
    late.pass_until(*minutes(71))
    assert late.times() == [minutes(65)[0] + timedelta(seconds=0.5), *minutes(70)]


@pytest.mark.parametrize("told", ["the tick before", "nothing since the start"])
def test_a_tick_that_was_sent_but_not_told_is_not_sent_again(told: str) -> None:
    # Given a leader that sent a tick, and died before it could write that down
    first = World()
    first.follow(plan())
    first.pass_until(*minutes(9 if told == "nothing since the start" else 11))
    status = Status(started=timestamp(NOON), **first.scheduler.times(REF))
    first.pass_until(*minutes(21))
    assert first.times()[-1:] == minutes(20)
    # When another one leads
    second = World(status, first.newest)
    second.now = minutes(20.1)[0]
    second.follow(plan())
    second.pass_until(*minutes(31))
    # Then it goes on behind it, and tells of it
    assert second.times() == minutes(30)
    assert second.scheduler.times(REF)["last_tick"] == timestamp(minutes(30)[0])


def test_a_leader_whose_clock_is_behind_repeats_no_tick() -> None:
    first = World()
    first.follow(plan())
    first.pass_until(*minutes(10))
    behind = World(newest=first.newest)
    behind.now = minutes(9.9)[0]
    behind.follow(plan())
    behind.pass_until(*minutes(21))
    assert behind.times() == minutes(20)


def test_a_leader_whose_clock_was_far_ahead_ends_no_ticks() -> None:
    world = World(newest={"dueAt": timestamp(NOON + timedelta(days=3))})
    world.follow(plan())
    world.pass_until(*minutes(21))
    assert world.times() == minutes(10, 20)


def test_a_tick_whose_confirm_is_lost_is_not_sent_again() -> None:
    world = World()
    world.follow(plan())
    world.silent = True
    world.pass_until(*minutes(10.1))
    world.silent = False
    world.pass_until(*minutes(21))
    assert world.times() == minutes(10, 20)


def test_a_tick_keeps_its_due_and_its_ids_over_an_outage_and_a_change_of_leaders() -> None:
    # Given a leader whose broker is away when a tick is due
    first = World()
    first.follow(plan())
    first.away = True
    first.pass_until(*minutes(12))
    # Then it tells of that tick still
    told = first.scheduler.times(REF)
    assert (told["next_tick"], "last_tick" in told) == (timestamp(minutes(10)[0]), False)
    # When another one leads, during the outage
    second = World(Status(started=timestamp(NOON), **told))
    second.away = True
    second.now = minutes(13)[0]
    second.follow(plan())
    second.pass_until(*minutes(14))
    assert second.sent == []
    # Then that very tick is sent when the broker is back, once
    second.away = False
    second.pass_until(*minutes(21))
    assert [tick_id for _, tick_id in second.sent] == ["".join(tick_ids(REF, due)) for due in minutes(10, 20)]
    # And its follower is due in its time
    assert second.times()[0] <= minutes(14)[0] + timedelta(seconds=1)
    assert second.times()[1:] == minutes(20)


def test_a_publish_during_an_outage_misses_no_tick() -> None:
    world = World()
    world.follow(plan())
    world.away = True
    world.pass_until(*minutes(11))
    world.follow(Plan(REF.version(2), "orders", "*/10 * * * *", "UTC", 1.0))
    world.away = False
    world.pass_until(*minutes(19))
    assert [tick_id for _, tick_id in world.sent] == ["".join(tick_ids(REF, minutes(10)[0]))]


def test_a_look_that_comes_while_a_tick_is_sent_does_not_send_it_again() -> None:
    world = World()
    world.follow(plan())
    publish = world.publish

    def publish_and_look(*args: Any) -> bool:
        sent = publish(*args)
        world.follow(plan(lead_s=4.0 + len(world.sent)))  # the flow was woken more slowly than before
        return sent

    world.publish = publish_and_look  # type: ignore[method-assign]
    world.pass_until(*minutes(11))
    assert world.times() == minutes(10)


@pytest.mark.parametrize(
    ("status", "why"),
    [
        (Status(), "nothing was promised"),
        (Status(next_tick=timestamp(NOON - timedelta(minutes=10)), started=timestamp(NOON - timedelta(minutes=1))), "an earlier start's"),
        (Status(next_tick=timestamp(NOON - timedelta(minutes=7)), started=timestamp(NOON - timedelta(days=1))), "another schedule's"),
    ],
)  # fmt: skip
def test_what_is_not_made_up(status: Status, why: str) -> None:
    assert first_due(plan(), status, NOON + timedelta(seconds=5)) == NOON + timedelta(minutes=10), why


def test_who_does_not_lead_ticks_nothing() -> None:
    world = World()
    world.follow(plan())
    world.leads = False
    world.pass_until(*minutes(21))
    assert world.sent == []


def test_a_tick_the_broker_did_not_take_is_tried_again() -> None:
    world = World()
    world.follow(plan())
    world.away = True
    world.pass_until(NOON + timedelta(minutes=10, seconds=5))
    world.away = False
    world.pass_until(*minutes(12))
    assert len(world.sent) == 1


def test_another_schedule_holds_from_now_and_another_lead_changes_no_tick() -> None:
    world = World()
    world.follow(plan())
    world.pass_until(*minutes(9.9))
    world.follow(plan(lead_s=4.0))
    world.pass_until(*minutes(11))
    world.follow(plan("*/7 * * * *"))
    world.pass_until(*minutes(15))
    world.follow(None)
    world.pass_until(*minutes(40))
    assert world.times() == minutes(10, 14)


def test_real_time_ticks_follow_each_other_at_their_distance() -> None:
    world = World()
    world.works_s = 0.5
    world.follow(plan(""))
    world.pass_until(NOON + timedelta(seconds=6))
    assert world.times() == [NOON + timedelta(seconds=second) for second in range(2, 7)]


def test_while_a_real_time_call_lasts_one_tick_waits_and_no_more() -> None:
    world = World()
    world.works_s = 10.0
    world.follow(plan(""))
    waiting = []
    for second in range(2, 32):
        world.pass_until(NOON + timedelta(seconds=second))
        waiting.append(world.waiting)
    assert max(waiting) == 1
    # And the next one is there as soon as a call has ended: three calls in thirty seconds, and one that waits
    assert len(world.sent) == 4


def test_flows_of_one_minute_are_spread_over_the_jitter() -> None:
    dues = [
        Plan(FlowRef("default", f"f{n}").version(1), "t", "0 * * * *", "UTC", 1.0, jitter_s=30.0).after(NOON) - NOON
        for n in range(300)
    ]
    spread = [(due - timedelta(hours=1)).total_seconds() for due in dues if due >= timedelta(hours=1)]
    spread += [due.total_seconds() for due in dues if due < timedelta(hours=1)]
    assert 0 <= min(spread) < 2
    assert 28 < max(spread) <= 30
    # And a flow's ticks keep their distance
    one = plan("*/10 * * * *", jitter_s=30.0)
    first = one.after(NOON)
    assert one.after(first) - first == timedelta(minutes=10)


def test_a_tick_that_is_spread_is_neither_missed_nor_doubled_by_a_new_leader() -> None:
    # Given a leader whose ticks come up to 30 s late
    spread = plan("*/10 * * * *", jitter_s=30.0)
    first = World()
    first.follow(spread)
    first.pass_until(*minutes(11))
    before, due = first.times()
    assert due - before == timedelta(minutes=10)
    assert NOON + timedelta(minutes=10) <= due <= NOON + timedelta(minutes=10, seconds=30)
    assert [moment for moment in first.early if before < moment < due] == [due - timedelta(seconds=2)]
    status = Status(started=timestamp(NOON), **first.scheduler.times(REF))
    # When another leads just before the next one, then it comes at its time, and once
    soon = World(status)
    soon.now = minutes(20)[0]
    soon.follow(spread)
    soon.pass_until(*minutes(29))
    assert soon.times() == [due + timedelta(minutes=10)]
    # When another leads after it, then it is made up, once
    late = World(status)
    late.now = minutes(25)[0]
    late.follow(spread)
    late.pass_until(*minutes(29))
    assert len(late.times()) == 1


def test_a_local_time_that_does_not_occur_or_occurs_twice_runs_once() -> None:
    berlin = plan("30 2 * * *", "Europe/Berlin")
    spring, autumn = datetime(2026, 3, 28, 12, tzinfo=UTC), datetime(2026, 10, 24, 12, tzinfo=UTC)
    for day in (spring, autumn):
        due, dues = day, []
        while (due := berlin.after(due)) < day + timedelta(days=3):
            dues.append(due)
        assert len(dues) == 3


def test_a_flow_whose_servers_hang_holds_up_no_other_and_keys_are_read_once() -> None:
    # Given real-time flows, one of which Vault does not answer
    sick, well = FlowRef("default", "sick"), [FlowRef("default", f"well-{n}") for n in range(20)]
    answered, sent, asked = threading.Event(), Counter[str](), Counter[str]()

    class Servers:
        def version_secret(self, version: Any) -> Any:
            asked[version.flow] += 1
            if version.ref == sick:
                answered.wait(20)
            return SECRET

        def depths(self, _version: Any, steps: Any) -> Any:
            return dict.fromkeys(steps, SimpleNamespace(ready=0))

        def publish(self, _workspace: str, exchange: str, *_: Any) -> bool:
            sent[exchange.removesuffix(".v1")] += 1
            return True

    clients: Any = SimpleNamespace(broker=Servers(), vault=Servers())
    scheduler = Scheduler(lambda: clients, lambda _ref: None, lambda: True)
    for ref in (sick, *well):
        scheduler.take(ref, Plan(ref.version(1), "t", "", "UTC", 0.1), Status())
    scheduler.start()
    try:
        # Then the others are ticked again and again, each by a key that was asked for once
        deadline = time.monotonic() + 10
        while min(sent[ref.flow] for ref in well) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert min(sent[ref.flow] for ref in well) >= 3
        assert {asked[ref.flow] for ref in (sick, *well)} == {1}
        assert sent["sick"] == 0
    finally:
        answered.set()
        scheduler.close()


def test_a_flow_that_is_not_ticked_any_more_has_its_key_read_again() -> None:
    world = World()
    world.follow(plan())
    world.pass_until(*minutes(21))
    assert world.keys_read == 1
    world.follow(None)  # it may be deleted, and another one made that is called like it
    world.follow(plan())
    world.pass_until(*minutes(31))
    assert (len(world.sent), world.keys_read) == (3, 2)


def test_a_clock_that_fails_once_ticks_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nomadflows.controller.scheduler._RETRY_S", 0.01)
    sent = threading.Event()
    moments = iter([RuntimeError("a mistake")])

    def now() -> datetime:
        if threading.current_thread().name == "scheduler":
            for mistake in moments:
                raise mistake
        return utc_now()

    broker = SimpleNamespace(
        depths=lambda _version, steps: dict.fromkeys(steps, SimpleNamespace(ready=0)),
        publish=lambda *_: sent.set() or True,  # type: ignore[func-returns-value]
    )
    vault = SimpleNamespace(version_secret=lambda _version: SECRET)
    clients: Any = SimpleNamespace(broker=broker, vault=vault)
    scheduler = Scheduler(lambda: clients, lambda _ref: None, lambda: True, now)
    scheduler.take(REF, Plan(REF.version(1), "t", "", "UTC", 0.1), Status())
    scheduler.start()
    try:
        assert sent.wait(10)
    finally:
        scheduler.close()
