"""Publishes of a running flow under about 100 messages a second: lost, doubled, longest time without a message.

For each strategy PUBLISHES times; the gap of each publish is set beside the median time between two messages sent, and
beside the longest gap of a quiet time before and the longest time that the sender itself got no confirm: where all share
two cores, a version that warms up slows everything down. `ratio` is the median gap of a hand-over in message intervals.
"""

from __future__ import annotations

import os
import statistics
import tempfile
from pathlib import Path

from bench.stack import private_stack
from tests.features.test_publish_under_load import publish_under_load
from tests.world import World

PUBLISHES = int(os.environ.get("PUBLISHES", "10"))
RATE = float(os.environ.get("RATE", "100"))
STRATEGIES = os.environ.get("STRATEGIES", "replace handover").split()


def main() -> None:
    ratio = 0.0
    with private_stack() as settings, tempfile.TemporaryDirectory(prefix="nomadflows-publish-") as folder:
        world = World(settings, Path(folder))
        for strategy in STRATEGIES:
            found = publish_under_load(world, Path(folder) / strategy, strategy, PUBLISHES, RATE)
            gaps = sorted(found.gaps_s)
            ratio = statistics.median(gaps) / found.interval_s
            print(
                f"{strategy}: {len(gaps)} publishes, {found.sent} messages, lost {found.lost}, doubled {found.doubled}; "
                f"gap median {statistics.median(gaps):.3f} s, longest {gaps[-1]:.3f} s, "
                f"of the sender itself {statistics.median(found.sender_gaps_s):.3f} s, {max(found.sender_gaps_s):.3f} s "
                f"(without a publish {found.calm_s:.3f} s, between messages {found.interval_s:.3f} s)",
                flush=True,
            )
    print(f"ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
