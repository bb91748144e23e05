"""Commands against real servers, below a prefix of Consul and in a workspace of their own: no controller sees them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from nomadflows.cli.root import run
from nomadflows.cli.session import Session
from nomadflows.model.component import ComponentVersion
from nomadflows.settings import Settings
from nomadflows.store import Store

COMPONENTS = (
    ComponentVersion(
        "source", "1.0.0", "python", {"triggers": {"poll": {"title": "Poll", "type": "polling"}}}, {"path": "/none"}
    ),
    ComponentVersion(
        "target",
        "1.0.0",
        "python",
        {"credentials": {"fields": {"url": {"label": "URL"}}}, "actions": {"put": {"title": "Put"}}},
        {"path": "/none"},
    ),
    ComponentVersion("mapper", "1.0.0", "python", {"actions": {"map": {"title": "Map"}}}, {"path": "/none"}),
)
FLOW = """\
flow: orders
schedule: "*/3 * * * *"
steps:
  - id: orders
    use: source:poll
  - id: store
    use: target:put
    credential: warehouse
    map: {id: order_id}
"""


@dataclass
class Done:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class Cli:
    """Runs command lines as `nomadflows` would, with one stack's settings."""

    settings: Settings
    capsys: pytest.CaptureFixture[str]

    def __call__(self, *arguments: str) -> Done:
        session = Session()
        session.settings = self.settings  # type: ignore[misc]
        self.capsys.readouterr()
        code = run(arguments, session)
        captured = self.capsys.readouterr()
        return Done(code, captured.out, captured.err)

    def ok(self, *arguments: str) -> Done:
        done = self(*arguments)
        assert done.code == 0, done.err
        return done


@pytest.fixture
def settings(stack: Settings) -> Settings:
    unique = uuid.uuid4().hex[:8]
    return replace(stack, kv_prefix=f"test-{unique}", workspace=f"cli-{unique}")


@pytest.fixture
def store(settings: Settings) -> Store:
    made = Store(settings.consul_addr, settings.consul_token, prefix=settings.kv_prefix)
    for component in COMPONENTS:
        made.put_component(component)
    return made


@pytest.fixture
def cli(settings: Settings, store: Store, capsys: pytest.CaptureFixture[str]) -> Cli:
    return Cli(settings, capsys)


@pytest.fixture
def flow_file(tmp_path: Path) -> Callable[[str], str]:
    """Writes a flow file; gives its path."""

    def write(text: str = FLOW) -> str:
        path = tmp_path / "orders.yaml"
        path.write_text(text)
        return str(path)

    return write


@pytest.fixture
def published(cli: Cli, flow_file: Callable[..., str]) -> str:
    """The name of a flow with version 1, stopped."""
    cli.ok("flow", "apply", flow_file())
    cli.ok("flow", "publish", "orders")
    return "orders"
