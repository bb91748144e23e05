"""Nomad's event stream, made to last: reconnects for ever and goes on at the last index it saw.

Events are hints. One may come twice after a reconnection, and Nomad keeps only the last hundred in memory (none
over a restart), so a reader is told of each gap and looks at everything again.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Final

import requests

from nomadflows.cluster.frames import SILENCE_S, Closer, frames
from nomadflows.cluster.views import ClusterEvent
from nomadflows.cluster.wire import Wire
from nomadflows.model.errors import ServerRefused, ServerUnreachable

_PAUSES_S: Final = (0.1, 0.2, 0.5, 1.0, 2.0)  # between attempts to connect; the last one repeats
_OURS_TO_MEND: Final = range(400, 500)  # refusals that trying again does not change


class EventStream:
    """One subscription. Not to be shared between threads."""

    def __init__(self, wire: Wire, topics: Mapping[str, str], namespace: str, stop: threading.Event) -> None:
        self._wire = wire
        self._topics = [f"{topic}:{key}" for topic, key in topics.items()]
        self._namespace = namespace
        self._stop = stop
        self._last = 0

    def events(self, index: int) -> Iterator[ClusterEvent]:
        """Until `stop` is set. ServerRefused if Nomad does not let us listen."""
        self._last = index
        lost = False
        with Closer(self._stop) as closer:
            while (response := self._connected()) is not None:
                with closer.guarding(response):
                    if lost:
                        yield ClusterEvent("Stream", "Reconnected", "", "", "", self._last)
                    with suppress(requests.RequestException):  # ended by whatever cause, it is asked for again
                        yield from self._read(response)
                    lost = True

    def _connected(self) -> requests.Response | None:
        """Tries until it works; None if `stop` comes first."""
        attempt = 0
        while not self._stop.is_set():
            try:
                return self._wire.send(
                    self._wire.api.event.stream,
                    stream=True,
                    timeout=(self._wire.timeout, SILENCE_S),
                    topic=self._topics,
                    namespace=self._namespace,
                    index=self._last,
                )
            except ServerUnreachable as error:
                if isinstance(error, ServerRefused) and error.status in _OURS_TO_MEND:
                    raise
                self._stop.wait(_PAUSES_S[min(attempt, len(_PAUSES_S) - 1)])
                attempt += 1
        return None

    def _read(self, response: requests.Response) -> Iterator[ClusterEvent]:
        resumed_at = self._last
        for frame in frames(response):
            if self._stop.is_set():
                return
            index = int(frame.get("Index", 0))
            if index and index != resumed_at:  # Nomad begins with the event we asked to go on from
                self._last = index
                yield from map(ClusterEvent.from_json, frame.get("Events") or [])
