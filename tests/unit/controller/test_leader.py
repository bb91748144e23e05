"""The beginning and the end of a leader, without a server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nomadflows.controller.leader import Leader
from nomadflows.model.errors import ServerRefused, ServerUnreachable
from nomadflows.settings import Settings
from tests.unit.controller.fakes import FakeFence


@pytest.fixture
def leader(tmp_path: Path) -> Any:
    """Of servers that nobody serves."""
    nobody = "http://127.0.0.1:9"
    settings = Settings(
        consul_addr=nobody, nomad_addr=nobody, vault_addr=nobody, rabbitmq_api=nobody, amqp_uri="amqp://a:b@127.0.0.1:9",
        artifact_dir=str(tmp_path),
    )  # fmt: skip
    return Leader(settings, FakeFence())  # type: ignore[arg-type]


def test_a_leader_that_could_not_begin_can_be_closed(leader: Leader) -> None:
    with pytest.raises(ServerUnreachable):
        leader.start()
    leader.close()


def test_a_workspace_that_is_not_whole_is_listened_to(leader: Leader, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(_workspace: str) -> None:
        raise ServerRefused("RabbitMQ", "memory", "no", status=403)

    monkeypatch.setattr(leader._clients().broker, "ensure_vhost", refuses)
    with pytest.raises(ServerRefused):
        leader._workspace("orders")
    assert leader._known_workspaces() == ["orders"]
    assert set(leader._wakes._threads) == set(leader._snapshots._threads) == {"orders"}
