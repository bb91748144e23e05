"""What a gateway tells Prometheus."""

from __future__ import annotations

from typing import Final

from prometheus_client import REGISTRY, Counter, Gauge
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

ANSWERS: Final = Counter("nomadflows_webhook_answers", "Answers to webhook requests", ["status", "reason"])
DROPPED: Final = Counter("nomadflows_webhook_replies_dropped", "Flows' answers that nobody waited for (any more)")
WAITING: Final = Gauge("nomadflows_webhook_waiting", "Requests that wait for their flow's answer")


def exposition() -> tuple[bytes, str]:
    """What a scrape gets, and its content type."""
    return generate_latest(REGISTRY), CONTENT_TYPE_LATEST
