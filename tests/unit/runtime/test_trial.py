"""The SDK without servers: what a component gives, and what the platform adds to it."""

from __future__ import annotations

import json
import sys
import textwrap
import threading

import pytest

from nomadflows.runtime.platform_api import PlatformApi
from nomadflows.runtime.settings import Settings
from nomadflows.runtime.trial import Emitted, Trial
from tests.stack.runtime.harness import Api
from tests.unit.runtime.test_settings import WHOLE


@pytest.fixture
def trial(tmp_path, monkeypatch):
    """`trial(source, config=…)`: a component of that source."""
    monkeypatch.setattr(sys, "path", list(sys.path))

    def make(source, **known):
        (tmp_path / "tried.py").write_text(textwrap.dedent(source))
        (tmp_path / "component.json").write_text(json.dumps({"actions": {"act": {"main": "tried.py"}}}))
        sys.modules.pop("tried", None)
        return Trial(str(tmp_path), "act", **known)

    yield make
    sys.modules.pop("tried", None)


def test_data_snapshots_and_errors_come_in_their_order(trial):
    one = trial("""
        from nomadflows.runtime import Snapshot, SnapshotUpdate
        def process(message, config, snapshot):
            yield {"n": snapshot.get("n", 0)}
            yield Snapshot({"n": message.body["n"]})
            yield SnapshotUpdate({"m": 1})
            raise LookupError("no such order")
    """)
    outcome = one.give({"body": {"n": 5}})
    assert [event for event, _ in outcome.emitted] == ["data", "snapshot", "updateSnapshot", "error"]
    assert outcome.rejected
    assert outcome.of("data") == [{"body": {"n": 0}, "headers": {}}]
    (error,) = outcome.of("error")
    assert (error["name"], error["message"]) == ("LookupError", "no such order")
    assert "tried.py" in error["stack"]
    # And the next message finds the state that the first left
    assert one.snapshot == {"n": 5, "m": 1}
    assert one.give({"body": {"n": 6}}).of("data")[0]["body"] == {"n": 5}


def test_more_than_the_window_holds_is_collected(trial):
    outcome = trial("def process(m, c, s): return ({'n': n} for n in range(1000))").give({"body": {}})
    assert [message["body"]["n"] for message in outcome.of("data")] == list(range(1000))


def test_a_rebound_is_no_error(trial):
    outcome = trial("""
        from nomadflows.runtime import Rebound
        def process(message, config, snapshot): raise Rebound("busy")
    """).give({"body": {}})
    assert outcome == ([Emitted("rebound", {"reason": "busy"})], False)


def test_somebody_waits_for_a_reply(trial):
    outcome = trial("""
        from nomadflows.runtime import HttpReply
        def process(message, config, snapshot):
            yield message
            yield HttpReply({"a": 1}, 202)
            yield {"body": "b", "headers": {"X-EIO-Routing-Key": message.headers["reply_to"], "x-eio-status-code": 201}}
            yield {"body": {}, "headers": {"X-EIO-Routing-Key": "elsewhere"}}
    """).give({"body": {"n": 1}})
    assert outcome.of("data")[0]["headers"] == {}
    assert [(reply["status"], reply["body"]) for reply in outcome.of("reply")] == [(202, {"a": 1}), (201, "b")]
    assert outcome.of("data")[1]["headers"] == {"x-eio-routing-key": "elsewhere"}


def test_coroutines_hooks_and_what_a_call_is_told(trial):
    one = trial(
        """
        seen = []
        def init(config): seen.append(config)
        async def process(message, config, snapshot, context):
            await context.emit("data", {"seen": seen, "variables": context.variables, "from": context.previous_step})
            await context.emit("snapshot", {"a": 1})
            await context.emit("end")
        """,
        config={"path": "in"}, credential={"token": "t"}, variables={"region": "eu"},
    )  # fmt: skip
    told = {"path": "in", "token": "t", "_account": "credential"}
    (data,) = one.give({"body": {}}, previous_step="before").of("data")
    assert data["body"] == {"seen": [told], "variables": {"region": "eu"}, "from": "before"}
    assert data["passthrough"]["before"]["body"] == {}


UPDATE = """
    def process(message, config, snapshot, context):
        context.emit("updateKeys", message.body["keys"])
        return {}
"""


def test_update_keys_tells_names_and_no_values(trial):
    outcome = trial(UPDATE, credential={"token": "old"}).give({"body": {"keys": {"token": "new", "expires": 1}}})
    assert outcome.emitted[0] == Emitted("updateKeys", ["expires", "token"])
    assert not outcome.rejected


def test_a_token_that_was_renewed_is_what_later_messages_are_worked_with(trial):
    """A process that lives for long would go on with the token of its start, which has ended, now and then."""
    one = trial(
        """
        def process(message, config, snapshot, context):
            yield {"token": config["token"], "path": config["path"]}
            if "keys" in message.body:
                context.emit("updateKeys", message.body["keys"])
        """,
        config={"path": "in"}, credential={"token": "first", "client": "c"},
    )  # fmt: skip

    def worked_with(body):
        return one.give({"body": body}).of("data")[0]["body"]

    assert worked_with({"keys": {"token": "second"}}) == {"token": "first", "path": "in"}
    assert worked_with({"keys": "none"}) == {"token": "second", "path": "in"}
    assert worked_with({}) == {"token": "second", "path": "in"}


@pytest.mark.parametrize(("credential", "keys"), [(None, {"token": "new"}), ({"token": "old"}, "new")])
def test_keys_that_cannot_be_kept_are_an_error_of_the_message(trial, credential, keys):
    outcome = trial(UPDATE, credential=credential).give({"body": {"keys": keys}})
    assert outcome.rejected
    assert [event for event, _ in outcome.emitted] == ["error", "data"]


def test_keys_go_to_the_account_of_the_step():
    server = Api({})
    try:
        environ = {"API_URI": server.uri, "API_USERNAME": "user", "API_KEY": "key"}
        settings = Settings(WHOLE | {f"ELASTICIO_{name}": value for name, value in environ.items()})
        api = PlatformApi(settings, threading.Event())
        api.update_account("shop-api", {"token": "new"})
        assert server.requests == [("PUT", "/v1/accounts/shop-api", b'{"keys": {"token": "new"}}')]
        with pytest.raises(ValueError, match="without a credential"):
            api.update_account("", {"token": "new"})
    finally:
        server.shutdown()
        server.server_close()
