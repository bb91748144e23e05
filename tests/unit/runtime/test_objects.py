"""Large bodies in the Python runtime: what a component sees, and what goes out, when they lie in the object store."""

from __future__ import annotations

import asyncio
import json
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nomadflows.broker import wire
from nomadflows.runtime import objects
from nomadflows.runtime.amqp import BasicProperties
from nomadflows.runtime.call import Step
from nomadflows.runtime.component import load
from nomadflows.runtime.configuration import Configuration
from nomadflows.runtime.envelope import Envelope
from nomadflows.runtime.objects import Objects
from nomadflows.runtime.settings import Settings
from nomadflows.runtime.snapshot import SnapshotStore
from nomadflows.runtime.work import Finished, Output, Verdict, Work
from nomadflows.runtime.worker import Worker
from tests.unit.runtime.objectserver import ObjectServer

Json = dict[str, Any]

CRYPTO = wire.Crypto("password", "0123456789abcdef")
ID = wire.OBJECT_HEADER
LARGE = {"text": "x" * 2_000}
NAMES = (
    "FLOW_ID", "EXEC_ID", "STEP_ID", "CONTAINER_ID", "WORKSPACE_ID", "USER_ID", "COMP_ID", "API_URI", "API_USERNAME",
    "API_KEY", "AMQP_URI", "LISTEN_MESSAGES_ON", "PUBLISH_MESSAGES_TO",
)  # fmt: skip
KEYS = ("data", "error", "rebound", "snapshot")


class Bench:
    """A component, and an object store that is real enough. Bodies over 1,000 bytes are large."""

    def __init__(
        self, folder: Path, server: ObjectServer, source: str, *, passthrough: bool = True, **env: str
    ) -> None:
        self.server = server
        environ = dict.fromkeys(NAMES, "own") | {f"{key.upper()}_ROUTING_KEY": key for key in KEYS}
        environ |= {"FUNCTION": "act", "MESSAGE_CRYPTO_PASSWORD": "password", "MESSAGE_CRYPTO_IV": "0123456789abcdef"}
        environ |= {"OBJECT_STORAGE_URI": server.uri, "OBJECT_STORAGE_TOKEN": "token", "NO_SELF_PASSTRHOUGH": "true"}
        environ |= {"OBJECT_STORAGE_SIZE_THRESHOLD": "1000", "EMIT_LIGHTWEIGHT_MESSAGE": "true", **env}
        settings = Settings({f"ELASTICIO_{name}": value for name, value in environ.items()})
        entry = {"main": f"main_{folder.name}", "autoResolveObjectReferences": source.startswith("def")}
        (folder / "component.json").write_text(json.dumps({"actions": {"act": entry}}))
        (folder / f"main_{folder.name}.py").write_text(textwrap.dedent(source))
        self.component = load(str(folder), "act")
        step = Step(
            settings, CRYPTO, Envelope(settings), SnapshotStore({}), passthrough, {}, self._post, print,
            Objects(settings, CRYPTO),
        )  # fmt: skip
        self._worker = Worker(self.component, Configuration({}, print), step, self._finish)
        self.out: list[Json] = []
        self.errors: list[tuple[Json, Json | None]] = []
        self.verdict = Verdict.ACK

    def keep(self, body: Any) -> str:
        """A body that lies in the store."""
        made = wire.new_id()
        self.server.kept[made] = CRYPTO.encrypt(wire.to_json(body))
        return made

    def kept(self, message: Json) -> Any:
        return wire.decrypt_json(CRYPTO, self.server.kept[message["headers"][ID]])

    def give(self, content: Json, previous: str = "before", **more: str) -> None:
        headers = {"messageId": "m", "threadId": "t", "protocolVersion": 2, "stepId": previous, **more}
        work = Work(None, 0, BasicProperties(headers=headers), wire.encode(CRYPTO, content))
        if self.component.is_async:
            asyncio.run(self._worker.run_async(work))
        else:
            self._worker.run(work)

    def _finish(self, finished: Finished) -> None:
        self.verdict = finished.verdict

    def _post(self, output: Output) -> None:
        output.work.on_confirm(len(output.body))  # type: ignore[union-attr]
        headers = BasicProperties().decode(b"".join(output.properties.encode())).headers
        if output.routing_key == "error":
            self.errors.append(wire.decode_error_members(CRYPTO, output.body))
        else:
            self.out.append(wire.decode(CRYPTO, output.body, headers))


@pytest.fixture
def server() -> Iterator[ObjectServer]:
    served = ObjectServer("token")
    yield served
    served.shutdown()
    served.server_close()


@pytest.fixture
def bench(tmp_path: Path, server: ObjectServer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(objects, "FIRST_PAUSE_S", 0.001)

    def make(source: str, **more: Any) -> Bench:
        folder = tmp_path / wire.new_id().replace("-", "_")
        folder.mkdir()
        return Bench(folder, server, source, **more)

    return make


ECHO = "def process(message, config, snapshot): return message"
SEEN = """def process(message, config, snapshot):
    return {"body": message.body, "earlier": message.passthrough, "given": message.headers}
"""
SIZES = """def process(message, config, snapshot):
    return {"sizes": [len(str(message.body)), *(len(str(one["body"])) for one in message.passthrough.values())],
            "headers": message.headers}
"""


def test_a_component_sees_bodies_wherever_they_lie(bench):
    one = bench(SIZES)
    first, second = one.keep(LARGE), one.keep([1, 2])
    one.give(
        {"body": {}, "headers": {ID: first, "kind": "a"}, "passthrough": {
            "far": {"body": {}, "headers": {ID: second}}, "near": {"body": {"n": 1}, "headers": {}},
        }}
    )  # fmt: skip
    (out,) = one.out
    assert out["body"] == {"sizes": [len(str(LARGE)), len("[1, 2]"), len("{'n': 1}")], "headers": {"kind": "a"}}
    # And what it carries on is as small as it came
    before = {"body": {}, "headers": {ID: first, "kind": "a"}}
    assert out["passthrough"]["before"] == before
    assert out["passthrough"]["far"] == {"body": {}, "headers": {ID: second}}
    assert [method for method, _ in one.server.requests] == ["GET", "GET"]


def test_a_large_body_goes_out_through_the_store(bench):
    one = bench(ECHO)
    one.give({"body": LARGE, "headers": {"kind": "a"}, "attachments": {"a": {"url": "u"}}}, previous="")
    (out,) = one.out
    assert (out["body"], out["headers"]["kind"], out["attachments"]) == ({}, "a", {"a": {"url": "u"}})
    assert one.kept(out) == LARGE
    # And is not put there again by who passes it on
    other = bench(ECHO)
    other.give({**out, "passthrough": {"old": {"body": {}, "headers": {ID: other.keep(LARGE)}}}})
    (passed,) = other.out
    assert passed["headers"][ID] != out["headers"][ID]
    assert other.kept(passed) == other.kept(passed["passthrough"]["old"]) == LARGE
    assert [method for method, _ in one.server.requests] == ["POST", "GET", "GET", "POST"]


def test_bodies_that_are_large_together_go_too_and_once_a_call(bench):
    one = bench("def process(message, config, snapshot): return [{'part': part, 'text': 'y' * 600} for part in (1, 2)]")
    one.give({"body": {"text": "x" * 600}, "headers": {}, "passthrough": {"old": {"body": {"n": 1}, "headers": {}}}})
    first, second = one.out
    assert one.kept(first) == {"part": 1, "text": "y" * 600}
    for out in one.out:
        assert one.kept(out["passthrough"]["before"]) == {"text": "x" * 600}
        assert one.kept(out["passthrough"]["old"]) == {"n": 1}
    # The second one is small, since what it carries lies in the store already
    assert second["body"] == {"part": 2, "text": "y" * 600}
    assert len(one.server.requests) == 3
    # And what is small stays what it was
    one = bench(ECHO)
    one.give({"body": {"text": "x" * 300}, "headers": {}, "passthrough": {"old": {"body": {"n": 1}, "headers": {}}}})
    assert one.out[0]["body"] == one.out[0]["passthrough"]["before"]["body"] == {"text": "x" * 300}


def test_a_message_large_by_its_attachments_names_stays(bench):
    one = bench(ECHO)
    one.give({"body": {"n": 1}, "headers": {}, "attachments": {"a": {"url": "u" * 2_000}}})
    assert one.out[0]["body"] == {"n": 1}
    assert one.server.requests == []


def test_what_a_component_holds_is_not_changed_under_it(bench):
    one = bench("""def process(message, config, snapshot):
        for _ in range(2):
            yield message
            assert len(message.body["text"]) == len(message.passthrough["old"]["body"]["text"]) == 2000
    """)  # fmt: skip
    one.give({"body": LARGE, "headers": {}, "passthrough": {"old": {"body": LARGE, "headers": {}}}})
    assert one.verdict is Verdict.ACK
    assert [one.kept(out["passthrough"]["old"]) for out in one.out] == [LARGE, LARGE]


def test_a_body_that_is_gone_is_an_error_of_the_message(bench):
    one = bench(SEEN)
    light = {"body": {}, "headers": {ID: "gone"}}
    one.give(light)
    assert one.verdict is Verdict.REJECT
    ((error, failed_input),) = one.errors
    assert error["message"] == "Failed to get message body with id=gone"
    assert failed_input == light
    assert one.out == []


def test_a_store_that_refuses_a_body_makes_an_error(bench):
    one = bench(ECHO, OBJECT_STORAGE_TOKEN="wrong")
    one.give({"body": LARGE, "headers": {}})
    assert (one.out, one.verdict) == ([], Verdict.REJECT)
    assert one.errors[0][0]["message"] == "Lightweight message/passthrough body upload error"


def test_a_store_that_is_away_is_waited_for(bench):
    one = bench(ECHO)
    one.server.statuses = [503, 500, 507]
    one.give({"body": LARGE, "headers": {}})
    assert one.kept(one.out[0]) == LARGE
    one.server.statuses = [502]
    other = bench(SIZES)
    other.give(one.out[0])
    assert other.out[0]["body"]["sizes"][0] == len(str(LARGE))


def test_a_function_that_resolves_nothing_sees_the_reference(bench):
    one = bench('"""Resolves what it wants itself."""\n' + SEEN)
    one.give({"body": {}, "headers": {ID: "somewhere"}})
    assert one.out[0]["given"] == {ID: "somewhere"}
    assert one.server.requests == []


def test_without_lightweight_messages_all_bodies_travel(bench):
    one = bench(ECHO, EMIT_LIGHTWEIGHT_MESSAGE="")
    one.give({"body": {}, "headers": {ID: one.keep(LARGE)}})
    (out,) = one.out
    assert out["body"] == out["passthrough"]["before"]["body"] == LARGE


def test_a_large_answer_goes_through_the_store(bench):
    one = bench("""from nomadflows.runtime import HttpReply
def process(message, config, snapshot):
    yield HttpReply({"text": "x" * int(message.body["size"])}, 201, {"x-mine": "1"})
    """)
    for size in (10, 2_000):
        one.give({"body": {"size": size}, "headers": {}}, reply_to="reply")
    small, large = one.out
    assert small == {"statusCode": 201, "body": {"text": "x" * 10}, "headers": {"x-mine": "1"}}
    assert one.kept(large) == {"text": "x" * 2_000}
    assert (large["statusCode"], large["body"], large["headers"]["x-mine"]) == (201, {}, "1")


def test_attachments_are_at_hand_in_the_context(bench):
    one = bench("""def process(message, config, snapshot, context):
        with context.attachments.open(message.attachments["in"]) as file:
            content = file.read()
        return {"body": {}, "attachments": {"out": context.attachments.keep(content.upper(), "text/plain")}}
    """)
    one.server.kept["given"] = b"abc"
    one.give({"body": {}, "attachments": {"in": {"url": f"{one.server.uri}/objects/given?signed"}}})
    (out,) = one.out
    assert (out["attachments"]["out"]["size"], list(one.server.kept.values())) == (3, [b"abc", b"ABC"])


ASYNC = """
import asyncio
turns = []
async def turn():
    while True:
        turns.append(1)
        await asyncio.sleep(0.001)
async def process(message, config, snapshot, context):
    task = asyncio.create_task(turn())
    await asyncio.sleep(0)
    before = len(turns)
    await context.emit("data", message)
    assert len(turns) > before + 2, "the loop stood still"
    task.cancel()
    yield {"n": len(message.body["text"]), "text": "z" * 2000}
"""


def test_a_coroutine_does_not_hold_up_its_loop(bench):
    one = bench("def nothing(): pass" + ASYNC)
    one.server.statuses = [None] + [503] * 5
    one.give({"body": {}, "headers": {ID: one.keep(LARGE)}})
    assert one.errors == []
    assert [one.kept(out).get("n", 0) for out in one.out] == [0, 2000]
    assert [method for method, _ in one.server.requests] == ["GET", *["POST"] * 7]
