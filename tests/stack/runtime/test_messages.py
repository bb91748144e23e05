"""What goes in and what comes out of a step process."""

from __future__ import annotations

from tests.stack.runtime.harness import Harness


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
    harness.settled()
    assert harness.stop(step) == 0
