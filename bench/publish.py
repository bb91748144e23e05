"""Publishes of a running flow under a steady load: lost, doubled, longest time without a message.

For each strategy and rate, PUBLISHES times. The gap of each publish is set beside the median time between two messages
sent, the longest time that a message waited, and the longest gaps of a quiet time before and of the sender itself: where
all share two cores, a version that warms up slows everything down. `ratio` is the median gap of the last hand-overs in
message intervals; two are aimed at.
"""

from __future__ import annotations

import itertools
import os
import statistics
import tempfile
from pathlib import Path

from bench.stack import private_stack
from tests.features.test_publish_under_load import Published, publish_under_load
from tests.world import World

PUBLISHES = int(os.environ.get("PUBLISHES", "10"))
RATES = [float(rate) for rate in os.environ.get("RATES", "20 50 100").split()]
STRATEGIES = os.environ.get("STRATEGIES", "replace handover").split()
HEADER = (
    "| strategy | messages a second | messages | lost | doubled | gap: median, longest (s) | publishes within two intervals "
    "| longest wait of a message (s) | the sender's own gap: median, longest (s) | gap without a publish (s) |\n"
    "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
)


def row(strategy: str, rate: float, found: Published) -> str:
    within = sum(gap <= 2 / rate for gap in found.gaps_s)
    return (
        f"| {strategy} | {rate:.0f} | {found.sent} | {found.lost} | {found.doubled} "
        f"| {statistics.median(found.gaps_s):.3f}, {max(found.gaps_s):.3f} | {within} of {len(found.gaps_s)} "
        f"| {max(found.waits_s):.3f} | {statistics.median(found.sender_gaps_s):.3f}, {max(found.sender_gaps_s):.3f} "
        f"| {found.calm_s:.3f} |"
    )


def main() -> None:
    ratio = 0.0
    with private_stack() as settings, tempfile.TemporaryDirectory(prefix="nomadflows-publish-") as folder:
        world = World(settings, Path(folder))
        print(HEADER, flush=True)
        for strategy, rate in itertools.product(STRATEGIES, RATES):
            out = Path(folder) / f"{strategy}-{rate:.0f}"
            found = publish_under_load(world, out, strategy, PUBLISHES, rate)
            ratio = statistics.median(found.gaps_s) * rate
            print(row(strategy, rate, found), flush=True)
    print(f"ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
