"""Errors, rebounds, rejects, and errors at start."""

from __future__ import annotations

import json
import re

import pytest

from nomadflows.broker import wire
from tests.stack.runtime.harness import Harness, until

FAILS = """
    def process(message, config, snapshot):
        yield {"before": True}
        message.body.clear()
        raise KeyError("lost")
"""


def test_an_error_is_a_record_and_a_dead_letter(harness: Harness):
    harness.component(FAILS)
    harness.start()
    sent = harness.send({"n": 1}, passthrough={"a": {}})
    (record,) = harness.receive("error")
    error = harness.error_in(record)
    assert (error.name, error.message) == ("KeyError", "'lost'")
    assert "under_test.py" in error.stack
    # the input as it came, not as the component left it
    assert error.input == {"id": sent, "body": {"n": 1}, "headers": {}, "passthrough": {"a": {}}}
    assert (record.headers["parentMessageId"], record.headers["threadId"]) == (sent, "thread")
    assert record.headers["messageId"] != sent
    assert "protocolVersion" not in record.headers
    assert harness.bodies("data", 1) == [{"before": True}]
    assert harness.receive("dead")[0].headers["messageId"] == sent
    # and the log does not quote the message
    assert "lost" not in harness.log()


def test_a_waiting_caller_is_told_of_an_error(harness: Harness):
    harness.component(FAILS)
    step = harness.start()
    harness.send({}, headers={"reply_to": "step.reply"})
    (reply,) = harness.receive("reply")
    assert reply.headers["x-eio-error-response"] is True
    assert wire.decode_reply(harness.crypto, reply.body, reply.headers).body == {"error": "'lost'"}
    harness.stop(step)
    # unless that is switched off
    harness.env = {"NO_ERROR_REPLIES": "true"}
    harness.start()
    harness.send({}, headers={"reply_to": "step.reply"})
    harness.receive("dead", 2)
    assert harness.depth("reply") == 0


def test_an_emitted_error_rejects_even_if_data_follows(harness: Harness):
    harness.component("""
        def process(message, config, snapshot, context):
            context.emit("error", "only a text")
            yield {"after": True}
    """)
    harness.start()
    harness.send({})
    error = harness.error()
    assert (error.name, error.message, error.stack) == ("Error", "only a text", "Not Available")
    assert harness.bodies("data", 1) == [{"after": True}]
    harness.receive("dead")


@pytest.mark.parametrize("source", [
    "import sys\ndef process(message, config, snapshot): sys.exit(3)",
    "def process(message, config, snapshot): return 5",
    "def process(message, config, snapshot): return [5]",
    "def process(message, config, snapshot): return {'a': {1}}",
    "def process(message, config, snapshot): return {'a': float('nan')}",
    "def process(message, config, snapshot, context): context.emit('dta', {})",
    "async def process(message, config, snapshot): raise OSError('x')",
], ids=["exit", "number", "list", "set", "nan", "event", "coroutine"])  # fmt: skip
def test_whatever_a_component_does_wrong_the_next_message_is_worked(harness: Harness, source: str):
    harness.component(source)
    harness.start()
    for _ in range(2):
        harness.send({})
    harness.receive("error", 2)
    harness.receive("dead", 2)


@pytest.mark.parametrize(("body", "headers"), [
    (b"nonsense", {"messageId": "m"}), (b"x" * 32, {"messageId": "m", "protocolVersion": 2}), (b"", {}), (b"a", None),
], ids=["text", "cipher", "empty", "no headers"])  # fmt: skip
def test_what_cannot_be_read_is_a_dead_letter_without_a_record(harness: Harness, body: bytes, headers: dict | None):
    harness.component("def process(message, config, snapshot): return message")
    harness.start()
    harness.put(body, headers)
    harness.send({"n": 1})
    assert harness.bodies("data", 1) == [{"n": 1}]
    assert harness.receive("dead")[0].body == body
    assert harness.depth("error") == 0


def test_a_rebound_is_the_same_message_with_a_delay(harness: Harness):
    harness.component("""
        from nomadflows.runtime import Rebound
        def process(message, config, snapshot): raise Rebound("not yet")
    """)
    step = harness.start()
    headers = {"messageId": "m", "threadId": "t", "stepId": "before", "unknown": "kept", "reboundIteration": 2}
    body = wire.encode(harness.crypto, {"body": {"n": 1}}, 1)
    harness.put(body, headers)
    (back,) = harness.receive("rebound")
    assert back.body == body
    assert back.headers.pop("end") > 1.6e12
    assert back.headers == {**headers, "reboundIteration": 3, "reboundReason": "not yet"}
    assert back.properties.expiration == "60000"
    assert back.properties.content_type == "application/json"
    assert harness.stop(step) == 0
    assert (harness.depth("step"), harness.depth("dead")) == (0, 0)


def test_rebounds_have_an_end(harness: Harness):
    harness.component("def process(message, config, snapshot, context): context.emit('rebound', 'again')")
    harness.env = {"REBOUND_LIMIT": "3", "REBOUND_INITIAL_EXPIRATION": "10"}
    step = harness.start()
    harness.send({}, headers={"reboundIteration": 2})
    assert harness.receive("rebound")[0].properties.expiration == "40"
    harness.send({}, headers={"reboundIteration": 3})
    assert harness.error().message == "Rebound limit exceeded"
    assert harness.stop(step) == 0
    assert (harness.depth("step"), harness.depth("dead")) == (0, 0)  # acknowledged, as the contract has it


@pytest.mark.parametrize(("source", "message"), [
    ("raise RuntimeError('broken module')", "broken module"),
    ("def init(config): raise RuntimeError('no init')\ndef process(message, config, snapshot): ...", "no init"),
    ("async def init(config): raise RuntimeError('no init')\ndef process(message, config, snapshot): ...", "no init"),
    ("x = 1", "has no function 'process'"),
    ("import not_installed_anywhere", "not_installed_anywhere"),
])  # fmt: skip
def test_an_error_at_start_is_told_and_ends_the_process(harness: Harness, source: str, message: str):
    harness.component(source)
    step = harness.start(ready=False)
    (record,) = harness.receive("error")
    assert message in harness.error_in(record).message
    assert set(record.headers) == {
        "execId", "taskId", "workspaceId", "containerId", "userId", "stepId", "compId", "function", "messageId",
    }  # fmt: skip
    assert step.wait(10) == 1


def test_a_refused_step_request_is_an_error_at_start(harness: Harness):
    harness.component("def process(message, config, snapshot): ...")
    harness.api.statuses = [404]
    step = harness.start(ready=False)
    assert json.loads(harness.error().message) == {"error": "not now"}
    assert step.wait(10) == 1


def test_an_api_that_is_away_is_waited_for(harness: Harness):
    harness.component("def process(message, config, snapshot): return message")
    harness.api.statuses = [503, 500, 502]
    harness.start()
    harness.send({"n": 1})
    assert harness.bodies("data", 1) == [{"n": 1}]
    assert len(harness.api.requests) == 4


def test_a_missing_queue_at_start_is_an_error(harness: Harness):
    harness.component("def process(message, config, snapshot): ...")
    harness.env = {"LISTEN_MESSAGES_ON": "no-such-queue"}
    step = harness.start(ready=False)
    assert "404" in harness.error().message
    assert step.wait(10) == 1


def test_a_wrong_password_ends_the_process(harness: Harness):
    harness.component("def process(message, config, snapshot): ...")
    harness.env = {"AMQP_URI": re.sub(r"://([^:/]+):[^@]+@", r"://\1:wrong@", harness.amqp_uri)}
    step = harness.start(ready=False)
    assert step.wait(10) == 1
    assert "refuses this step" in harness.log()
    assert "wrong" not in harness.log()


@pytest.mark.parametrize("name", ["FLOW_ID", "AMQP_URI", "MESSAGE_CRYPTO_PASSWORD"])
def test_a_missing_variable_ends_the_process(harness: Harness, name: str):
    harness.env = {name: ""}
    step = harness.start(ready=False)
    assert step.wait(10) == 1
    assert f"ELASTICIO_{name} is missing" in harness.log()


HOOKS = """
    import json, os
    def startup(config): return {"made": config["a"]}
    def init(config): print("init", config)
    def shutdown(config, state): print("shutdown", config["a"], json.dumps(state))
    def process(message, config, snapshot): return message
"""


def test_start_up_and_shutdown_hooks(harness: Harness):
    harness.component(HOOKS)
    harness.api.step = {"config": {"a": 1}}
    harness.env = {"STARTUP_REQUIRED": "true"}
    harness.api.hook_state = b'{"left": "over"}'  # 409: is replaced
    step = harness.start()
    assert json.loads(harness.api.hook_state) == {"made": 1}
    assert harness.stop(step) == 0
    # the other way the component is started: only to undo what startup did
    harness.env = {"HOOK_SHUTDOWN": "1", "AMQP_URI": ""}
    step = harness.start(ready=False)
    assert step.wait(10) == 0
    assert 'shutdown 1 {"made": 1}' in harness.log()
    assert harness.api.hook_state is None


def test_no_exchange_is_waited_for(harness: Harness):
    # Given an exchange that is away
    harness.component("def process(message, config, snapshot): return message")
    harness.start()
    harness.channel.exchange_delete(harness.name)
    properties = __import__("pika").BasicProperties(headers={"messageId": "m", "protocolVersion": 2})
    harness.channel.basic_publish("", harness.queue, wire.encode(harness.crypto, {"body": {"n": 1}}), properties)
    until(lambda: "NOT_FOUND" in harness.log(), "the publish to fail")
    # When it comes back
    harness.channel.exchange_declare(harness.name, "topic")
    harness.channel.queue_bind(f"{harness.name}.data", harness.name, "step.data")
    # Then the output goes out
    (out,) = harness.receive("data")
    assert out.headers["retry"] >= 1
    harness.settled()
