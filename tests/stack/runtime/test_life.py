"""A step process is killed, stopped, cut off, held back: no message is lost."""

from __future__ import annotations

import signal
import time

from nomadflows.broker import wire
from tests.stack.runtime.harness import Harness, until

# a component that tells by files what it does and waits for one to go on
WAITS = """
    import os, time
    from pathlib import Path
    folder = Path({folder!r})
    def process(message, config, snapshot):
        n = message.body["n"]
        with (folder / "begun").open("a") as file: file.write(f"{{n}}\\n")
        while not (folder / f"go-{{n}}").exists(): time.sleep(0.005)
        return {{"n": n}}
"""


def begun(harness: Harness) -> list[int]:
    path = harness.folder / "begun"
    return [int(line) for line in path.read_text().splitlines()] if path.exists() else []


def go(harness: Harness, *numbers: int) -> None:
    for n in numbers:
        (harness.folder / f"go-{n}").touch()


def waiting_component(harness: Harness) -> None:
    harness.component(WAITS.format(folder=str(harness.folder)))


def test_kill_9_in_the_middle_of_a_message(harness: Harness):
    # Given a step at work on a message
    waiting_component(harness)
    step = harness.start()
    harness.send({"n": 1})
    until(lambda: begun(harness) == [1], "the message to be begun")
    # When it is killed
    step.kill()
    step.wait()
    # Then the next process works the message
    go(harness, 1)
    harness.start()
    assert harness.bodies("data", 1) == [{"n": 1}]
    harness.settled()


def test_the_input_is_settled_after_the_output_is_confirmed(harness: Harness):
    # Given a queue for the output that takes nothing
    harness.component("def process(message, config, snapshot): return message")
    harness.channel.queue_delete(f"{harness.name}.data")
    arguments = {"x-max-length": 0, "x-overflow": "reject-publish"}
    harness.channel.queue_declare(f"{harness.name}.data", arguments=arguments)
    harness.channel.queue_bind(f"{harness.name}.data", harness.name, "step.data")
    harness.env = {"AMQP_PUBLISH_RETRY_DELAY": "20"}
    step = harness.start()
    # When a message comes
    harness.send({"n": 1})
    harness.send({"n": 2})
    until(lambda: harness.log().count("a queue is full") >= 3, "some attempts")
    # Then it stays unacknowledged, and with a prefetch of 1 no other is taken: back-pressure
    assert harness.depth("step") == 1
    pauses = [float(line.split(" in ")[1].split(" s")[0]) for line in harness.log().splitlines() if "is full" in line]
    assert pauses[:2] == sorted(pauses[:2])
    # When there is room again
    harness.channel.queue_delete(f"{harness.name}.data")
    harness.channel.queue_declare(f"{harness.name}.data")
    harness.channel.queue_bind(f"{harness.name}.data", harness.name, "step.data")
    # Then everything goes through
    found = harness.receive("data", 2, 20)
    assert [harness.decoded(message)["body"]["n"] for message in found] == [1, 2]
    assert found[0].headers["retry"] >= 3
    assert harness.stop(step) == 0
    assert harness.depth("step") == 0


def test_sigterm_finishes_the_message_in_work_and_leaves_the_others(harness: Harness):
    waiting_component(harness)
    harness.env = {"RABBITMQ_PREFETCH_SAILOR": "1"}
    step = harness.start()
    for n in (1, 2):
        harness.send({"n": n})
    until(lambda: begun(harness) == [1], "the message to be begun")
    step.send_signal(signal.SIGTERM)
    until(lambda: "Told to stop" in harness.log(), "the signal to be seen")
    step.send_signal(signal.SIGTERM)  # a second one changes nothing
    assert step.poll() is None
    go(harness, 1, 2)
    assert step.wait(10) == 0
    assert harness.bodies("data", 1) == [{"n": 1}]
    assert (begun(harness), harness.depth("step")) == ([1], 1)


def test_sigterm_gives_back_what_was_taken_but_not_begun(harness: Harness):
    # Given a thread that is busy, so that what was taken after it waits
    harness.component("""
        import time
        def process(message, config, snapshot):
            print("begun", flush=True)
            end = time.process_time() + 1
            while time.process_time() < end: pass
            return message
    """)
    harness.env = {"RABBITMQ_PREFETCH_SAILOR": "10"}
    for n in range(10):
        harness.send({"n": n})
    step = harness.start()
    until(lambda: harness.depth("step") == 0 and "begun" in harness.log(), "the messages to be taken")
    assert harness.stop(step, 30) == 0
    done = harness.depth("data")
    assert 1 <= done < 10
    assert harness.depth("step") == 10 - done


def test_sigterm_when_idle_is_quick(harness: Harness):
    harness.component("def process(message, config, snapshot): return message")
    step = harness.start()
    since = time.monotonic()
    assert harness.stop(step) == 0
    assert time.monotonic() - since < 1


def test_sigterm_during_init_waits_for_it(harness: Harness):
    harness.component("""
        import time
        def init(config):
            print("init begins", flush=True); time.sleep(0.5); print("init ends", flush=True)
        def process(message, config, snapshot): return message
    """)
    step = harness.start(ready=False)
    until(lambda: "init begins" in harness.log(), "init")
    assert harness.stop(step) == 0
    assert "init ends" in harness.log()


def test_sigterm_while_the_api_is_away(harness: Harness):
    harness.component("def process(message, config, snapshot): return message")
    harness.api.statuses = [503] * 1000
    step = harness.start(ready=False)
    until(lambda: "is away" in harness.log(), "an attempt")
    assert harness.stop(step) == 0


def test_a_connection_closed_by_force_when_idle(harness: Harness):
    harness.component("def process(message, config, snapshot): return message")
    step = harness.start()
    harness.cut()
    harness.send({"n": 1})
    assert harness.bodies("data", 1, 20) == [{"n": 1}]
    assert harness.stop(step) == 0
    assert harness.depth("step") == 0


def test_a_connection_closed_by_force_in_the_middle_of_a_message(harness: Harness):
    # Given a message in work, and another waiting
    waiting_component(harness)
    step = harness.start()
    first, second = harness.send({"n": 1}), harness.send({"n": 2})
    until(lambda: begun(harness) == [1], "the message to be begun")
    # When the connection goes, and the component ends after it came back
    harness.cut()
    until(lambda: "Connected to the broker again" in harness.log() and harness.consumers() == 1, "the reconnect", 20)
    go(harness, 1, 2)
    # Then the first is worked twice, since its delivery was lost, and nothing is stuck
    found = harness.receive("data", 3, 20)
    assert [message.headers["parentMessageId"] for message in found] == [first, first, second]
    assert found[0].headers["messageId"] != found[1].headers["messageId"]
    assert harness.stop(step) == 0
    assert harness.depth("step") == 0


def test_a_message_that_ends_while_the_connection_is_away(harness: Harness):
    waiting_component(harness)
    step = harness.start()
    sent = harness.send({"n": 1})
    until(lambda: begun(harness) == [1], "the message to be begun")
    harness.cut()
    go(harness, 1)
    found = harness.receive("data", 2, 20)
    assert {message.headers["parentMessageId"] for message in found} == {sent}
    assert harness.stop(step) == 0
    assert harness.depth("step") == 0


def test_two_cuts_under_load_lose_nothing(harness: Harness):
    # Given many messages, of which several are in work at once
    harness.component("""
        import time
        def process(message, config, snapshot):
            time.sleep(0.002)
            return message
    """)
    harness.env = {"RABBITMQ_PREFETCH_SAILOR": "20"}
    step = harness.start()
    for n in range(2000):
        harness.send({"n": n})
    for share in (200, 800):
        until(lambda share=share: harness.depth("data") > share, f"{share} outputs", 30)
        harness.cut()
    harness.settled(60)
    assert harness.stop(step) == 0
    count = harness.depth("data")
    assert {body["n"] for body in harness.bodies("data", count, 30)} == set(range(2000))
    assert count < 2200


def test_a_state_never_overtakes_the_messages_it_speaks_of(harness: Harness):
    # Given a full queue behind a trigger that remembers what it has emitted
    harness.component("""
        from nomadflows.runtime import Snapshot
        def process(message, config, snapshot):
            yield {"n": snapshot.get("n", 0)}
            yield Snapshot({"n": snapshot.get("n", 0) + 1})
    """)
    harness.channel.queue_delete(f"{harness.name}.data")
    full = {"x-max-length": 0, "x-overflow": "reject-publish"}
    harness.channel.queue_declare(f"{harness.name}.data", arguments=full)
    harness.channel.queue_bind(f"{harness.name}.data", harness.name, "step.data")
    step = harness.start()
    harness.send({})
    until(lambda: "a queue is full" in harness.log(), "an attempt")
    # When it is killed before the message is safe
    step.kill()
    step.wait()
    # Then the platform was told of no state, and the next process emits the message again
    assert harness.depth("snapshot") == 0
    harness.channel.queue_delete(f"{harness.name}.data")
    harness.channel.queue_declare(f"{harness.name}.data")
    harness.channel.queue_bind(f"{harness.name}.data", harness.name, "step.data")
    harness.start()
    assert harness.bodies("data", 1) == [{"n": 0}]
    harness.receive("snapshot")


def test_a_deleted_queue_is_waited_for(harness: Harness):
    harness.component("def process(message, config, snapshot): return message")
    step = harness.start()
    harness.channel.queue_delete(harness.queue)
    until(lambda: "cancelled the consumer" in harness.log(), "the step to notice")
    harness.declare_input()
    harness.send({"n": 1})
    assert harness.bodies("data", 1, 20) == [{"n": 1}]
    assert harness.stop(step) == 0


def test_a_busy_component_does_not_cost_the_heartbeat(harness: Harness):
    # Given a heartbeat of a second and a component that computes for five
    harness.component("""
        import time
        def process(message, config, snapshot):
            end = time.monotonic() + 5
            while time.monotonic() < end: sum(range(1000))
            return message
    """)
    harness.env = {"AMQP_URI": harness.amqp_uri + "?heartbeat=1&frameMax=131072"}
    harness.start()
    sent = harness.send({"n": 1})
    (out,) = harness.receive("data", 1, 30)
    assert out.headers["parentMessageId"] == sent
    assert "lost" not in harness.log()
    assert harness.depth("step") == 0


def test_a_broker_that_is_away_at_start_is_waited_for(harness: Harness):
    harness.component("def process(message, config, snapshot): return message")
    harness.env = {"AMQP_URI": "amqp://guest:guest@127.0.0.1:1/%2F"}
    step = harness.start(ready=False)
    until(lambda: harness.log().count("cannot be reached") >= 2, "two attempts")
    assert harness.stop(step) == 0


def test_headers_may_be_long(harness: Harness):
    harness.component("""
        from nomadflows.runtime import Rebound
        def process(message, config, snapshot): raise Rebound("x" * 9000)
    """)
    harness.start()
    harness.send({})
    assert len(harness.receive("rebound")[0].headers["reboundReason"]) == 9000


def test_large_messages(harness: Harness):
    harness.component("def process(message, config, snapshot): return message")
    harness.start()
    harness.send({"text": "x" * 5_000_000})
    (out,) = harness.receive("data", 1, 30)
    assert len(wire.decode(harness.crypto, out.body, out.headers)["body"]["text"]) == 5_000_000
