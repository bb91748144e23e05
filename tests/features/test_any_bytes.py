"""Ten thousand requests that are mostly none: no 500, no crash, no message without an answer, nothing held."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.gateway import anybytes


@pytest.mark.slow
def test_ten_thousand_requests_of_any_bytes() -> None:
    with anybytes.hurried() as served:

        @settings(max_examples=1000)
        @given(batch=st.lists(anybytes.requests(), min_size=10, max_size=10))
        def ask(batch: list[bytes]) -> None:
            anybytes.all_at_once(served, batch)

        ask()
