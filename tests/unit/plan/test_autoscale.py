from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nomadflows.model.graph import Scaling
from nomadflows.plan.autoscale import CALM_S, figures, is_calm, wanted_processes

RULE = Scaling(least=1, most=5, target=100)


@pytest.mark.parametrize(
    ("present", "ready", "drained", "calm", "wanted"),
    [
        (1, 0, None, 0.0, 1),
        (1, 100, None, 0.0, 1),  # one process is enough for its target
        (1, 101, None, 0.0, 2),
        (1, 10_000, None, 0.0, 5),  # never more than most
        (1, 300, 150.0, 0.0, 1),  # worked off before another one would be of use
        (1, 300, 50.0, 0.0, 3),
        (1, 300, -20.0, 0.0, 3),  # it grows
        (5, 0, None, CALM_S - 0.1, 5),  # not for long enough yet
        (5, 0, None, CALM_S, 4),  # one by one
        (1, 0, None, 1e6, 1),  # never fewer than least
        (9, 0, None, 0.0, 5),  # a stranger's count comes back into bounds
        (0, 0, None, 0.0, 1),
    ],
)
def test_processes(present: int, ready: int, drained: float | None, calm: float, wanted: int) -> None:
    assert wanted_processes(RULE, present, ready, drained, calm) == wanted


@given(
    st.integers(0, 50), st.integers(0, 10**6), st.one_of(st.none(), st.floats(-1e6, 1e6)), st.floats(0, 1e6),
)  # fmt: skip
def test_always_within_bounds_and_down_by_one_at_most(
    present: int, ready: int, drained: float | None, calm: float
) -> None:
    wanted = wanted_processes(RULE, present, ready, drained, calm)
    assert RULE.least <= wanted <= RULE.most
    if present <= RULE.most:
        assert wanted >= present - 1


def test_calm_is_when_one_process_less_would_do() -> None:
    assert not is_calm(RULE, 1, 0)
    assert is_calm(RULE, 2, 100)
    assert not is_calm(RULE, 2, 101)


@pytest.mark.parametrize(
    ("ready", "drained", "said"),
    [
        (310, None, "310 waiting"),
        (310, 2.54, "310 waiting, 2.5 fewer each second"),
        (310, -12.0, "310 waiting, 12.0 more each second"),
    ],
)
def test_figures_in_words(ready: int, drained: float | None, said: str) -> None:
    assert figures(ready, drained) == said
