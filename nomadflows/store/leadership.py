"""One leader among several controllers, by a Consul session that holds the lock on one key.

The leader renews its session at a third of the TTL. It counts itself deposed when a whole TTL has passed since
the start of the last renewal that Consul confirmed, which is before Consul may give the lock to another (Consul
waits one to two TTLs). That is for stopping early; what makes it safe is the fence: every write checks in its
own transaction that this session holds the lock.

Hence the short lock-delay of 1 s instead of Consul's 15: nothing depends on it. It only gives what the fence does
not reach (queue declarations under way, all of them repeatable) a moment to end after a leader is lost. A
clean release does not wait for it.

The lock also says which process holds it. A candidate on the same machine that sees that this process has ended ends its
session, so that a controller that was killed and started again leads after a second, not after one to two TTLs.

::

    standby ── key free, lock acquired ──▶ leader ── release() ──▶ ended
       ▲                                     │
       └── session gone · key gone · a TTL without Consul
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Final

import structlog

from nomadflows.model.errors import NomadflowsError, NotFound, ServerUnreachable
from nomadflows.model.states import timestamp, utc_now
from nomadflows.store.consul_client import ConsulClient, Entry
from nomadflows.store.documents import Unreadable, decode, encode
from nomadflows.store.process import Process
from nomadflows.store.store import Store
from nomadflows.store.transaction import Delete, Held, LostLeadership, commit

LOCK_DELAY_S: Final = 1
SHORTEST_TTL_S: Final = 10.0  # Consul's minimum
_STANDBY_LOOK_S: Final = 30.0  # a blocking query that returns the moment the leader's key changes
_NEIGHBOUR_LOOK_S: Final = 1.0  # where the leader runs on this machine, and may have been killed
_JUST_LOST_S: Final = 0.1
_RETRY_S: Final = 0.5  # while Consul is away, or the lock-delay runs

__all__ = ["Leadership", "LostLeadership"]

log = structlog.get_logger(__name__)


def _nothing() -> None:
    pass


class Leadership:
    """A candidate for the lock, and its `Fence`. `gained` and `lost` are called from the campaign's thread."""

    def __init__(
        self,
        store: Store,
        who: str,
        *,
        ttl_s: float = SHORTEST_TTL_S,
        gained: Callable[[], None] = _nothing,
        lost: Callable[[], None] = _nothing,
    ) -> None:
        self.who = who
        self._client: ConsulClient = store.client
        self._key = store.keys.leader
        self._ttl_s = max(ttl_s, SHORTEST_TTL_S)
        self._gained, self._lost = gained, lost
        self._lock = threading.Lock()
        self._session = ""
        self._good_until = 0.0  # monotonic
        self._leading = threading.Event()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def is_leader(self) -> bool:
        """Whether the lock is held as far as this process can know without asking."""
        return bool(self._session) and time.monotonic() < self._good_until

    def held(self) -> Held:
        """The lock, for the fence of a transaction. LostLeadership if it is known to be lost."""
        session = self._session
        if not session or not self.is_leader:
            raise LostLeadership("this controller does not lead; nothing was changed")
        return Held(self._key, session)

    def campaign(self) -> None:
        """Compete for the lock in a thread of its own until `release`. To be called once."""
        self._thread = threading.Thread(target=self._run, name="leadership", daemon=True)
        self._thread.start()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Block until this process leads; False if that has not happened in time or the campaign has ended."""
        if self._leading.wait(timeout_s) and not self.is_leader:
            self._ended.wait(_JUST_LOST_S)  # the campaign is about to notice; a caller's loop must not spin till then
        return self.is_leader

    def release(self) -> None:
        """End the campaign; a held lock is given up at once, so that a successor need not wait for the TTL."""
        self._ended.set()
        with self._lock:
            session, self._session = self._session, ""
        if session:
            try:
                self._give_up(session)
            except NomadflowsError as error:  # it ends by itself within twice its TTL
                log.warning("lock not given up", key=self._key, error=error.message)
        self._leading.set()  # lets `wait` return

    def _give_up(self, session: str) -> None:
        """Deleting the key (instead of the session first) starts no lock-delay."""
        try:
            commit(self._client, [Delete(self._key)], _Session(self._key, session))
        except LostLeadership:
            log.info("lock was lost before it was given up", key=self._key)
        self._client.destroy_session(session)

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                self._stand_by()
                if self._session:
                    self._lead()
            except NomadflowsError as error:
                log.warning("leader election waits for Consul", error=error.message)
                self._ended.wait(_RETRY_S)
            except Exception:
                log.exception("leader election goes on after an unexpected error")
                self._ended.wait(_RETRY_S)

    def _stand_by(self) -> None:
        """Return when the lock is held or the campaign ends. No session is kept while another leads."""
        index, told, wait_s = 0, False, _STANDBY_LOOK_S
        while not self._ended.is_set() and not self._session:
            holder, index = self._client.watch(self._key, index, wait_s)
            if holder is not None and holder.session:
                if not told:
                    log.info("standing by", who=self.who, key=self._key)
                told = True
                wait_s = self._bury(holder)
            if (holder is None or not holder.session) and not self._ended.is_set() and not self._try():
                index = 0
                self._ended.wait(_RETRY_S)

    def _bury(self, holder: Entry) -> float:
        """End the session of a leader whose process has ended without giving the lock up. How many seconds until the next look,
        if the key does not change before."""
        leader = _process(holder)
        if leader is None or not leader.is_neighbour():
            return _STANDBY_LOOK_S
        if leader.has_ended():
            log.info("the leader's process has ended", key=self._key, pid=leader.pid)
            self._destroy(holder.session)
        return _NEIGHBOUR_LOOK_S

    def _try(self) -> bool:
        asked = time.monotonic()
        session = self._client.create_session(f"nomadflows leader: {self.who}", self._ttl_s, LOCK_DELAY_S)
        try:
            acquired = self._client.acquire(self._key, self._value(utc_now()), session)
        except NomadflowsError:
            self._destroy(session)
            raise
        with self._lock:
            if acquired and not self._ended.is_set():
                self._session, self._good_until = session, asked + self._ttl_s
                return True
        if acquired:  # released while the answer was under way
            self._give_up(session)
        else:
            self._destroy(session)
        return False

    def _lead(self) -> None:
        log.info("leading", who=self.who, key=self._key)
        why = "failed to begin"
        try:
            self._leading.set()
            self._gained()
            why = self._hold()
        finally:
            with self._lock:
                session, self._session = self._session, ""
            if not self._ended.is_set():
                self._leading.clear()
            log.info("not leading any more", who=self.who, key=self._key, reason=why)
            self._lost()
        if session:
            self._destroy(session)

    def _hold(self) -> str:
        """Renew until the lock is gone; answers with the reason. Between renewals the key itself is watched, so a
        lock that is taken away is noticed at once, not at the next renewal."""
        index, renew_at = 0, time.monotonic() + self._ttl_s / 3
        while session := self._session:
            now = time.monotonic()
            if now >= self._good_until:
                return f"Consul did not confirm the session for {self._ttl_s:.0f} s"
            try:
                if now >= renew_at:
                    self._client.renew_session(session)
                    self._good_until, renew_at = now + self._ttl_s, now + self._ttl_s / 3
                holder, index = self._client.watch(self._key, index, max(renew_at - time.monotonic(), 0.1))
            except NotFound:
                return "the session is gone"
            except ServerUnreachable as error:
                log.warning("leader cannot reach Consul", error=error.message)
                index, renew_at = 0, 0.0
                self._ended.wait(min(_RETRY_S, max(self._good_until - time.monotonic(), 0.0)))
                continue
            if holder is None or holder.session != session:
                return "released" if self._ended.is_set() else "the lock is gone"
        return "released"

    def _destroy(self, session: str) -> None:
        """So that no session of ours lies about; one that cannot be destroyed now ends by its TTL."""
        try:
            self._client.destroy_session(session)
        except NomadflowsError as error:
            log.info("session left to its TTL", session=session, error=error.message)

    def _value(self, since: datetime) -> str:
        process = Process.this()
        value = {"who": self.who, "since": timestamp(since)} | ({"process": str(process)} if process else {})
        return encode(value, self._key).decode()


def _process(holder: Entry) -> Process | None:
    """The one that wrote the leader's key; None if the key does not say."""
    try:
        return Process.parse(str(decode(holder).get("process", "")))
    except Unreadable:
        return None


class _Session:
    """The fence of a session that is already given up locally."""

    def __init__(self, key: str, session: str) -> None:
        self._held = Held(key, session)

    def held(self) -> Held:
        return self._held
