"""What a controller says of itself over HTTP."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

from nomadflows.controller.health import routes
from nomadflows.controller.leader import Leader
from nomadflows.controller.run import Controller
from nomadflows.settings import Settings


def healthz(crippled: Callable[[], str]) -> tuple[int, Any]:
    (route,) = (route for route in routes(lambda: True, lambda: "", crippled) if route.path == "/healthz")
    answer = route.endpoint(None)
    return answer.status_code, json.loads(answer.body)


def test_a_leader_one_of_whose_threads_has_ended_is_not_healthy() -> None:
    controller = Controller(Settings(), threading.Event())
    assert healthz(controller.crippled) == (200, {"status": "ok", "leader": True})
    # Given a leader none of whose threads runs
    leader = controller._leader = Leader(controller._settings, controller._leadership)
    assert {"inbox", "resync", "sweep", "nomad-events", "scheduler", "ticks-0", "worker-0"} <= set(
        leader.ended_threads()
    )
    # Then it says so
    status, answer = healthz(controller.crippled)
    assert status == 503
    assert answer["reason"].startswith("ended while leading: resync, inbox")
    # And not when they run
    for thread in (*(source.thread for source in leader._sources), *leader._scheduler.threads, *leader._workers):
        thread.is_alive = lambda: True  # type: ignore[method-assign]
    assert healthz(controller.crippled)[0] == 200
