"""What a controller answers to those who watch it: readiness, and the figures that are scraped."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from prometheus_client import Counter, Gauge, Histogram
from starlette.applications import Starlette

from nomadflows.controller import health, metrics
from nomadflows.controller.run import Controller
from nomadflows.model.names import FlowRef
from nomadflows.model.states import FlowState, Status, StepStatus
from nomadflows.settings import Settings

FLOW = FlowRef("watched", "orders")  # no other test counts this workspace
RUNNING = Status(FlowState.RUNNING, version=1, steps=(StepStatus("read", "trigger", "c@1", ready=3), StepStatus("store", "action", "c@1", unacked=2)))  # fmt: skip
DOCS = Path(__file__).parents[3] / "docs" / "monitoring.md"


@pytest.fixture
def counts() -> Iterator[metrics.FlowCounts]:
    counts = metrics.FlowCounts()
    yield counts
    counts.clear()


def nothing() -> str:
    return ""


def ask(path: str, problem: Callable[[], str] = nothing, crippled: Callable[[], str] = nothing) -> httpx.Response:
    """A controller on standby, without a network."""

    async def asked() -> httpx.Response:
        app = httpx.ASGITransport(Starlette(routes=health.routes(lambda: False, problem, crippled)))
        async with httpx.AsyncClient(transport=app, base_url="http://controller") as client:
            return await client.get(path)

    return asyncio.run(asked())


def scraped() -> str:
    answer = ask("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    return answer.text


def of_flow(ref: FlowRef) -> dict[tuple[str, str], float]:
    """(step, kind) → messages, as a scrape tells them."""
    pattern = re.compile(
        rf'^nomadflows_step_messages{{flow="{ref.flow}",kind="(\w+)",step="(\w+)",workspace="{ref.workspace}"}} (\S+)$', re.MULTILINE
    )  # fmt: skip
    return {(step, kind): float(value) for kind, step, value in pattern.findall(scraped())}


def test_a_scrape_tells_what_the_steps_of_an_active_flow_hold(counts: metrics.FlowCounts) -> None:
    counts.seen(FLOW, RUNNING)
    assert of_flow(FLOW) == {("read", "ready"): 3, ("read", "unacked"): 0, ("store", "ready"): 0, ("store", "unacked"): 2}  # fmt: skip
    assert 'nomadflows_flows{state="Running",workspace="watched"} 1.0' in scraped()


def test_a_step_or_flow_that_is_gone_is_told_no_more(counts: metrics.FlowCounts) -> None:
    counts.seen(FLOW, RUNNING)
    counts.seen(FLOW, replace(RUNNING, steps=RUNNING.steps[:1]))
    assert {step for step, _ in of_flow(FLOW)} == {"read"}
    counts.seen(FLOW, Status(FlowState.STOPPED))
    assert of_flow(FLOW) == {}
    counts.seen(FLOW, RUNNING)
    counts.gone(FLOW)
    assert of_flow(FLOW) == {}


def test_every_metric_is_in_the_docs_and_no_other() -> None:
    told = set(re.findall(r"^\| `(nomadflows_\w+)`", DOCS.read_text(), re.MULTILINE))
    ours = [one for one in vars(metrics).values() if isinstance(one, Counter | Gauge | Histogram)]
    families = [family for one in ours for family in one.collect()]
    assert told == {family.name + ("_total" if family.type == "counter" else "") for family in families}


def test_a_controller_of_which_a_thread_has_ended_is_not_healthy() -> None:
    assert (ask("/healthz").status_code, ask("/healthz").json()) == (200, {"status": "ok", "leader": False})
    answer = ask("/healthz", crippled=lambda: "ended while leading: inbox")
    assert (answer.status_code, answer.json()["reason"]) == (503, "ended while leading: inbox")


def test_a_controller_is_not_ready_while_any_server_is_away_and_says_which() -> None:
    nowhere = Settings(
        consul_addr="http://127.0.0.1:9",
        nomad_addr="http://127.0.0.1:9",
        vault_addr="http://127.0.0.1:9",
        rabbitmq_api="http://127.0.0.1:9",
        timeout=1.0,
    )
    controller = Controller(nowhere, threading.Event())
    answer = ask("/readyz", controller.problem)
    assert answer.status_code == 503
    assert answer.json()["ready"] is False
    for server in ("Consul", "Nomad", "Vault", "RabbitMQ"):
        assert server in answer.json()["reason"]


def test_a_controller_that_all_servers_answer_is_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nomadflows.controller.run._QUESTIONS", (lambda _clients: None,) * 4)
    controller = Controller(Settings(), threading.Event())
    answer = ask("/readyz", controller.problem)
    assert (answer.status_code, answer.json()) == (200, {"ready": True, "leader": False, "reason": ""})
