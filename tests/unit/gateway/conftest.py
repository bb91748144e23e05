"""A gateway's handler for each test of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.gateway.fakes import Gate


@pytest.fixture
def gate() -> Iterator[Gate]:
    found = Gate()
    yield found
    found.directory.close()
