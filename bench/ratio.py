"""What a bench of two sides that take turns says at its end."""

from __future__ import annotations

import statistics
from collections.abc import Sequence


def report(bare: str, ours: str, pairs: Sequence[tuple[float, float]]) -> None:
    """Of seconds (bare, ours): median, best and worst of each side; last the ratio of the medians."""
    sides = [bare_s for bare_s, _ in pairs], [ours_s for _, ours_s in pairs]
    for title, seconds in zip((bare, ours), sides, strict=True):
        print(
            f"{title}: median {statistics.median(seconds) * 1000:.0f} ms, "
            f"best {min(seconds) * 1000:.0f}, worst {max(seconds) * 1000:.0f}, of {len(seconds)}"
        )
    print(f"ratio {statistics.median(sides[1]) / statistics.median(sides[0]):.2f}")
