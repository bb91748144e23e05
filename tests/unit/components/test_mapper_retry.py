"""A mapper that is given a message again by a retry from an earlier step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nomadflows.broker.kept import Kept
from nomadflows.broker.wire import Crypto, decode, error_body
from nomadflows.cli.records import error_record
from nomadflows.cli.replay import Taker, again
from nomadflows.model.flow import FlowDefinition
from nomadflows.model.graph import expand
from nomadflows.model.names import FlowRef

CRYPTO = Crypto("secret", "0123456789abcdef")
MAPPED = {"first": "$getPassthrough().receive.body.n", "before": "$getPassthrough().enrich.body.n", "own": "n"}
STEPS = expand(
    FlowDefinition.from_json(
        {
            "flow": "orders",
            "steps": [
                {"id": "receive", "use": "probe:receive"},
                {"id": "enrich", "use": "probe:relay"},
                {"id": "store", "use": "probe:relay", "map": MAPPED},
                {"id": "report", "use": "probe:relay"},
            ],
        }
    )
)


def test_a_mapper_has_the_passthrough_on_a_retry_from_an_earlier_step(run: Callable[..., Any]) -> None:
    # Given a message that a step far behind the mapper failed on
    known = {"receive": {"body": {"n": 1}}, "enrich": {"body": {"n": 2}}, "store": {"body": {"n": 3}}}
    body = error_body(CRYPTO, {"message": "no"}, {"body": {"n": 9}, "passthrough": known})
    record = error_record(Kept(1, "orders.v1", "report.error", {"stepId": "report"}, body), CRYPTO)
    # When it is given again to the step that the mapper feeds
    made = again(Taker(FlowRef("default", "orders").version(1), STEPS, CRYPTO), record, step="store")
    assert made.key == "mapper:enrich:store.input"
    content = decode(CRYPTO, made.message.body, made.message.headers)
    # Then the mapper maps what it mapped then, out of all that came before it
    mapper = run("mapper", "map", **next(step.config for step in STEPS if step.id == "mapper:enrich:store"))
    mapper.context.previous_step = made.message.headers["stepId"]
    assert mapper(content["body"], passthrough=content["passthrough"]) == [{"first": 1, "before": 2, "own": 2}]
