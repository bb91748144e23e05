"""What goes in and what comes out of a step process."""

from __future__ import annotations

import json

import pytest

from nomadflows.broker import wire
from tests.stack.runtime.harness import Harness, until

ECHO = "def process(message, config, snapshot): return message"


def test_a_message_goes_through(harness: Harness):
    # Given a component that answers with a dict
    harness.component("def process(message, config, snapshot): return {'n': message.body['n'] + config['add']}")
    harness.api.step = {"config": {"add": 1}}
    step = harness.start()
    # When a message comes
    parent = harness.send({"n": 1})
    # Then its output has the headers and properties of the contract, and the input is settled
    (out,) = harness.receive("data")
    assert harness.decoded(out) == {"body": {"n": 2}, "headers": {}}
    start, end = out.headers.pop("start"), out.headers.pop("end")
    assert end >= start > 1.6e12
    assert out.headers.pop("messageId") != parent
    assert out.headers == {
        "execId": "flow.v1", "taskId": "flow", "workspaceId": "ws", "containerId": "alloc", "userId": "nomadflows",
        "stepId": "step", "compId": "comp", "function": "act", "threadId": "thread", "parentMessageId": parent,
        "protocolVersion": 2,
    }  # fmt: skip
    assert (out.properties.content_type, out.properties.content_encoding) == ("application/json", "utf8")
    assert out.properties.delivery_mode == 2
    assert harness.stop(step) == 0
    assert harness.depth("step") == 0


@pytest.mark.parametrize("sent", [1, 2])
@pytest.mark.parametrize("made", [1, 2])
def test_both_encodings_in_both_directions(harness: Harness, sent: int, made: int):
    harness.component(ECHO)
    harness.env = {"PROTOCOL_VERSION": str(made), "AMQP_PERSISTENT_MESSAGES": "false"}
    harness.start()
    harness.send({"text": "Grüße 世界"}, protocol=sent)
    (out,) = harness.receive("data")
    assert (out.headers["protocolVersion"], out.properties.delivery_mode) == (made, 1)
    assert harness.decoded(out)["body"] == {"text": "Grüße 世界"}


def test_everything_a_component_may_return(harness: Harness):
    harness.component("""
        from nomadflows.runtime import Message
        def process(message, config, snapshot):
            kind = message.body["kind"]
            if kind == "none": return None
            if kind == "list": return [{"n": 1}, None, {"body": {"n": 2}, "id": "own"}]
            if kind == "message": return Message({"n": 3}, {"h": "1"}, {"a": {"url": "u"}}, "given")
            return (dict(n=n) for n in (4, 5))
    """)
    harness.start()
    for kind in ("none", "list", "message", "generator"):
        harness.send({"kind": kind})
    found = harness.receive("data", 5)
    assert [harness.decoded(message)["body"]["n"] for message in found] == [1, 2, 3, 4, 5]
    ids = [message.headers["messageId"] for message in found]
    assert len(set(ids)) == 5
    assert (ids[1], ids[2]) == ("own", "given")
    third = harness.decoded(found[2])
    assert third == {"id": "given", "body": {"n": 3}, "headers": {"h": "1"}, "attachments": {"a": {"url": "u"}}}


def test_coroutines_and_async_generators(harness: Harness):
    harness.component("""
        import asyncio
        async def process(message, config, snapshot, context):
            await asyncio.sleep(0.01)
            yield {"n": 1}
            await context.emit("data", {"n": 2})
            await context.emit("snapshot", {"n": 3})
            yield {"n": 4}
    """)
    harness.start()
    harness.send({})
    assert harness.bodies("data", 3) == [{"n": 1}, {"n": 2}, {"n": 4}]
    assert json.loads(harness.receive("snapshot")[0].body) == {"n": 3}
    harness.settled()


def test_prefetch_is_the_number_of_messages_in_work_at_once(harness: Harness):
    # Given a component that waits for three companions
    harness.component("""
        import threading
        together = threading.Barrier(3)
        def process(message, config, snapshot):
            together.wait(5)
            return {}
    """)
    harness.env = {"RABBITMQ_PREFETCH_SAILOR": "3"}
    harness.start()
    for _ in range(3):
        harness.send({})
    harness.receive("data", 3)


def test_prefetch_of_coroutines(harness: Harness):
    harness.component("""
        import asyncio
        waiting = []
        async def process(message, config, snapshot):
            waiting.append(1)
            while len(waiting) < 3: await asyncio.sleep(0.01)
            return {}
    """)
    harness.env = {"RABBITMQ_PREFETCH_SAILOR": "3"}
    harness.start()
    for _ in range(3):
        harness.send({})
    harness.receive("data", 3)


def test_a_message_without_message_id_is_settled_like_any_other(harness: Harness):
    harness.component(ECHO)
    step = harness.start()
    harness.send({"n": 1}, drop="messageId")
    harness.send({"n": 2})
    found = harness.receive("data", 2)
    assert "parentMessageId" not in found[0].headers
    assert harness.stop(step) == 0
    assert harness.depth("step") == 0


def test_threads_replies_and_meta_headers_are_inherited(harness: Harness):
    harness.component(ECHO)
    harness.env = {"ADDITIONAL_VARS_FOR_HEADERS": "ELASTICIO_FLOW_VERSION,ELASTICIO_NONE", "FLOW_VERSION": "7"}
    harness.start()
    headers = {"reply_to": "step.reply", "X-EIO-Meta-Trace-Id": "trace", "other": 1}
    harness.send({}, headers=headers, drop="threadId")
    (out,) = harness.receive("data")
    assert (out.headers["reply_to"], out.headers["x-eio-meta-trace-id"]) == ("step.reply", "trace")
    assert out.headers["flowVersion"] == "7"
    assert "other" not in out.headers
    assert harness.decoded(out)["headers"] == {"reply_to": "step.reply"}
    harness.send({}, headers={"x-eio-meta-trace-id": "trace"}, drop="threadId")
    assert harness.receive("data")[0].headers["threadId"] == "trace"


def test_a_message_can_choose_its_routing_key(harness: Harness):
    harness.component("""
        def process(message, config, snapshot):
            return {"body": {"a": 1}, "headers": {"X-EIO-Routing-Key": "step.reply", "x-eio-status-code": 201}}
    """)
    harness.start()
    harness.send({})
    (out,) = harness.receive("reply")
    assert harness.decoded(out)["headers"] == {"x-eio-status-code": 201}
    assert wire.decode_reply(harness.crypto, out.body, out.headers) == wire.Reply(201, {}, {"a": 1})


def test_http_reply(harness: Harness):
    harness.component("""
        from nomadflows.runtime import HttpReply
        def process(message, config, snapshot):
            yield HttpReply({"ok": True}, 202, {"X-A": "1"})
    """)
    harness.start()
    harness.send({}, headers={"reply_to": "step.reply"})
    (out,) = harness.receive("reply")
    assert out.headers["protocolVersion"] == 1
    assert wire.decode_reply(harness.crypto, out.body, out.headers) == wire.Reply(202, {"X-A": "1"}, {"ok": True})
    harness.send({})
    assert "httpReply without reply_to" in harness.error().message


@pytest.mark.parametrize(("own", "expected"), [("true", {"a", "before"}), ("", {"a", "step"})])
def test_passthrough(harness: Harness, own: str, expected: set[str]):
    # Given a component that changes the message it got
    harness.component("""
        def process(message, config, snapshot):
            message.body["changed"] = True
            return message
    """)
    harness.env = {"NO_SELF_PASSTRHOUGH": own}
    harness.api.step = {"is_passthrough": True}
    harness.start()
    harness.send({"n": 1}, headers={"stepId": "before"}, passthrough={"a": {"body": {"n": 0}}}, method="GET")
    out = harness.decoded(harness.receive("data")[0])
    # Then earlier messages are carried on as they were
    assert out["method"] == "GET"
    assert set(out["passthrough"]) == expected
    assert out["passthrough"]["a"] == {"body": {"n": 0}}
    if "before" in expected:
        assert out["passthrough"]["before"]["body"] == {"n": 1}
    else:
        assert out["passthrough"]["step"]["body"] == {"n": 1, "changed": True}


def test_without_passthrough_everything_earlier_ends_here(harness: Harness):
    harness.component(ECHO)
    harness.start()
    harness.send({}, headers={"stepId": "before"}, passthrough={"a": {"body": {}}})
    assert "passthrough" not in harness.decoded(harness.receive("data")[0])


def test_a_trigger_adds_nothing(harness: Harness):
    harness.component(ECHO)
    harness.api.step = {"is_passthrough": True}
    harness.start()
    harness.send({})
    assert "passthrough" not in harness.decoded(harness.receive("data")[0])


def test_snapshots(harness: Harness):
    harness.component("""
        from nomadflows.runtime import Snapshot, SnapshotUpdate
        def process(message, config, snapshot):
            snapshot["not"] = "kept"
            yield {"seen": {k: v for k, v in snapshot.items() if k != "not"}}
            yield Snapshot({"n": 1}) if message.body["replace"] else SnapshotUpdate({"m": 2})
    """)
    harness.api.step = {"snapshot": {"old": 1}}
    harness.start()
    for replace in (False, True, False, True):
        harness.send({"replace": replace})
    # Then a call sees what the one before left, and the platform is told
    assert [body["seen"] for body in harness.bodies("data", 4)] == [
        {"old": 1}, {"old": 1, "m": 2}, {"n": 1}, {"n": 1, "m": 2},
    ]  # fmt: skip
    found = harness.receive("snapshot", 4)
    assert [(json.loads(m.body), m.headers["snapshotEvent"]) for m in found] == [
        ({"m": 2}, "updateSnapshot"), ({"n": 1}, "snapshot"), ({"m": 2}, "updateSnapshot"), ({"n": 1}, "snapshot"),
    ]  # fmt: skip
    assert (found[0].headers["stepId"], found[0].headers["taskId"]) == ("step", "flow")


@pytest.mark.parametrize("bad", ["[1]", "{'$set': {}}"])
def test_what_is_no_snapshot_is_an_error(harness: Harness, bad: str):
    harness.component(f"def process(message, config, snapshot, context): context.emit('updateSnapshot', {bad})")
    harness.start()
    harness.send({})
    assert "SnapshotError" in harness.error().name


def test_renewed_keys_go_to_the_account_of_the_step(harness: Harness):
    harness.component("""
        async def process(message, config, snapshot, context):
            await context.emit("data", {"token": config["token"]})
            await context.emit("updateKeys", {"token": "new"})
            await context.emit("end")
    """)
    harness.api.step = {"config": {"_account": "shop-api", "token": "old"}}
    harness.start()
    harness.send({})
    harness.settled()
    assert harness.api.requests[1:] == [("PUT", "/v1/accounts/shop-api", b'{"keys": {"token": "new"}}')]
    # And what the API refuses is an error of the message
    harness.api.statuses = [404]
    harness.send({})
    assert harness.error().name == "ApiRefusalError"
    # And each message is worked with what the one before it renewed
    assert harness.bodies("data", 2) == [{"token": "old"}, {"token": "new"}]


def test_what_a_component_is_given_is_its_own(harness: Harness):
    harness.component("""
        def process(message, config, snapshot, context):
            config["list"].append(1)
            yield {"config": config, "variables": context.variables, "thread": context.thread_id,
                   "id": context.message_id, "where": [context.flow, context.step]}
    """)
    credential = harness.folder / "credential.json"
    credential.write_text('{"password": "secret"}')
    harness.api.step = {"config": {"list": []}, "variables": {"v": "1"}}
    harness.env = {"MESSAGE_CRYPTO_IV": "0123456789abcdef"}
    import os

    os.environ["NOMADFLOWS_CREDENTIAL_FILE"] = str(credential)
    try:
        harness.start()
    finally:
        del os.environ["NOMADFLOWS_CREDENTIAL_FILE"]
    ids = [harness.send({}) for _ in range(2)]
    for body, sent in zip(harness.bodies("data", 2), ids, strict=True):
        assert body == {
            "config": {"list": [1], "password": "secret"}, "variables": {"v": "1"}, "thread": "thread", "id": sent,
            "where": ["flow", "step"],
        }  # fmt: skip
    assert "secret" not in harness.log()


def test_the_log_is_json_lines_with_the_execution(harness: Harness):
    harness.component("""
        def process(message, config, snapshot, context):
            context.logger.warning("about %s", message)
            print("printed", flush=True)
    """)
    step = harness.start()
    harness.send({"private": "body"})
    harness.settled()
    harness.stop(step)
    lines = harness.log().splitlines()
    assert "printed" in lines
    (line,) = [json.loads(line) for line in lines if '"component"' in line]
    assert {key: line[key] for key in ("level", "flow", "step", "threadId")} == {
        "level": "warning", "flow": "flow", "step": "step", "threadId": "thread",
    }  # fmt: skip
    assert "private" not in harness.log()


def test_an_error_handler_gets_the_error_as_body(harness: Harness):
    harness.component(ECHO)
    harness.env = {"INPUT_FORMAT": "error"}
    harness.start()
    record = wire.error_body(harness.crypto, {"name": "E", "message": "m", "stack": "s"}, {"body": {"a": 1}})
    harness.put(record, {"messageId": "m", "threadId": "t", "stepId": "other"})
    out = harness.decoded(harness.receive("data")[0])
    assert out["body"] == {"error": {"name": "E", "message": "m", "stack": "s"}, "errorInput": {"body": {"a": 1}}}
    assert out["headers"]["stepId"] == "other"


def test_a_long_answer_is_held_back_by_the_broker_not_by_memory(harness: Harness):
    # Given a component with more to say than the window holds
    harness.component("def process(message, config, snapshot): return ({'n': n} for n in range(1500))")
    harness.start()
    harness.send({})
    assert [body["n"] for body in harness.bodies("data", 1500, 60)] == list(range(1500))
    harness.settled()


def test_a_body_that_is_too_large_is_an_error(harness: Harness):
    harness.component("def process(message, config, snapshot): return {'text': 'x' * 2000}")
    harness.env = {"OUTGOING_MESSAGE_SIZE_LIMIT": "1000"}
    harness.start()
    harness.send({})
    assert harness.error().message.endswith("exceeds limit of 1000.")
    until(lambda: harness.depth("dead") == 1, "the dead letter")
