"""What we rely on in Node's library, seen at its queues: the same as test_messages, test_errors, test_life see of ours."""

from __future__ import annotations

import json
import signal

import pytest

from tests.stack.runtime.harness import NodeHarness, until

ECHO = "exports.process = async msg => msg;"
MANY_KINDS = """
    exports.process = async function many(msg) {
        switch (msg.body.kind) {
        case 'error': await this.emit('error', new Error('no')); return { body: { after: true } };
        case 'large': return { body: { text: 'x'.repeat(2000) } };
        case 'rebound': await this.emit('rebound', new Error('not yet')); break;
        case 'snapshot': await this.emit('updateSnapshot', { m: 2 }); break;
        }
    };
"""


def test_headers_members_and_variables_go_on(node: NodeHarness):
    node.component(ECHO)
    node.env = {"ADDITIONAL_VARS_FOR_HEADERS": "ELASTICIO_FLOW_VERSION", "FLOW_VERSION": "7"}
    node.start()
    sent = node.send({"n": 1}, headers={"reply_to": "step.reply", "X-Eio-Meta-A": "1", "other": "x"}, method="GET")
    (out,) = node.receive("data")
    told = {
        "threadId": "thread",
        "parentMessageId": sent,
        "stepId": "step",
        "reply_to": "step.reply",
        "x-eio-meta-a": "1",
    }
    assert (told | {"flowVersion": "7", "protocolVersion": 2}).items() <= out.headers.items()
    assert "other" not in out.headers
    assert out.properties.delivery_mode == 2
    assert node.decoded(out)["method"] == "GET"


def test_passthrough_off_ends_what_a_new_message_had_and_not_what_is_passed_on(node: NodeHarness):
    # Given a component that once makes a new message and once passes on the one it got
    node.component("exports.process = async msg => (msg.body.pass ? msg : { body: { n: 1 } });")
    node.start()
    earlier = {"passthrough": {"a": {"body": {}, "headers": {}}}}
    for passed in (False, True):
        node.send({"pass": passed}, headers={"stepId": "before"}, **earlier)
    new, passed_on = (node.decoded(message) for message in node.receive("data", 2))
    assert "passthrough" not in new
    assert set(passed_on["passthrough"]) == {"a"}


def test_errors_sizes_rebounds_and_snapshots(node: NodeHarness):
    node.component(MANY_KINDS)
    node.env = {"OUTGOING_MESSAGE_SIZE_LIMIT": "1000", "REBOUND_LIMIT": "3", "REBOUND_INITIAL_EXPIRATION": "10"}
    step = node.start()
    # An error rejects, though data follows
    sent = node.send({"kind": "error"})
    assert node.error().input["body"] == {"kind": "error"}
    assert node.receive("dead")[0].headers["messageId"] == sent
    assert node.bodies("data", 1) == [{"after": True}]
    # What is too large is an error
    node.send({"kind": "large"})
    assert node.error().message.endswith("exceeds limit of 1000.")
    node.receive("dead")
    # A rebound is the message as it came; the last one is an error, and acknowledged
    sent = node.send({"kind": "rebound"}, headers={"reboundIteration": 2, "stepId": "before", "unknown": "kept"})
    (back,) = node.receive("rebound")
    assert (back.headers["messageId"], back.headers["stepId"], back.headers["unknown"]) == (sent, "before", "kept")
    assert (back.headers["reboundIteration"], back.headers["reboundReason"]) == (3, "not yet")
    assert back.properties.expiration == "40"
    node.send({"kind": "rebound"}, headers={"reboundIteration": 3})
    assert node.error().message == "Rebound limit exceeded"
    # A snapshot is plain JSON
    node.send({"kind": "snapshot"})
    (snapshot,) = node.receive("snapshot")
    assert (json.loads(snapshot.body), snapshot.headers["snapshotEvent"]) == ({"m": 2}, "updateSnapshot")
    # What cannot be read is rejected without a record
    node.put(b"x" * 32, {"messageId": "m", "protocolVersion": 2})
    assert node.receive("dead")[0].body == b"x" * 32
    assert node.stop(step) == 0
    assert [node.depth(key) for key in ("step", "error", "dead", "data")] == [0, 0, 0, 0]


@pytest.mark.parametrize(("source", "statuses", "queue", "message"), [
    ("throw new Error('broken module');", [], None, "can not be loaded"),
    ("exports.init = async () => { throw new Error('no init'); }; exports.process = async () => {};", [], None, "no init"),
    (ECHO, [404], None, "not now"),
    (ECHO, [], "no-such-queue", "404"),
], ids=["module", "init", "step", "queue"])  # fmt: skip
def test_an_error_at_start_is_told_and_ends_the_process(
    node: NodeHarness, source: str, statuses: list[int], queue: str | None, message: str
):
    node.component(source)
    node.api.statuses = statuses
    if queue:
        node.env = {"LISTEN_MESSAGES_ON": queue}
    step = node.start(ready=False)
    (record,) = node.receive("error")
    assert message in node.error_in(record).message
    assert {"execId", "taskId", "stepId", "messageId"} <= set(record.headers)
    assert step.wait(10) == 1


def test_a_missing_variable_ends_the_process(node: NodeHarness):
    node.component(ECHO)
    node.env = {"FLOW_ID": ""}
    step = node.start(ready=False)
    assert step.wait(10) == 1
    assert "ELASTICIO_FLOW_ID is missing" in node.log()
    assert node.depth("error") == 0


def test_sigterm_waits_for_init_and_for_the_message_in_work(node: NodeHarness):
    node.component("""
        const fs = require('fs');
        const there = async name => {
            fs.writeFileSync(`${name}-begun`, '');
            while (!fs.existsSync(`${name}-go`)) { await new Promise(resolve => setTimeout(resolve, 5)); }
        };
        exports.init = () => there('init');
        exports.process = async msg => { await there(msg.body.n); return msg; };
    """)
    folder = node.directory
    assert folder is not None
    # Told to stop during its init, it waits for that
    step = node.start(ready=False)
    until((folder / "init-begun").exists, "init")
    step.send_signal(signal.SIGTERM)
    (folder / "init-go").touch()
    assert step.wait(10) == 0
    # Told to stop in the middle of a message, it finishes that one and leaves the next
    for n in (1, 2):
        node.send({"n": n})
    step = node.start(ready=False)
    until((folder / "1-begun").exists, "the message to be begun")
    step.send_signal(signal.SIGTERM)
    step.send_signal(signal.SIGTERM)  # a second one changes nothing
    (folder / "1-go").touch()
    assert step.wait(10) == 0
    assert node.bodies("data", 1) == [{"n": 1}]
    assert node.depth("step") == 1
