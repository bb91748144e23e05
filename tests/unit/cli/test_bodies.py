"""Failed messages whose bodies lie in the object store."""

from __future__ import annotations

from typing import Any

import pytest

from nomadflows.broker.wire import OBJECT_HEADER, Crypto, Outgoing, encrypt_json
from nomadflows.cli.bodies import Bodies
from nomadflows.cli.records import Record
from nomadflows.cli.replay import Again
from nomadflows.model.errors import Refused
from nomadflows.objects.signature import Object

CRYPTO = Crypto("secret", "0123456789abcdef")


class Store:
    def __init__(self, **kept: Any) -> None:
        self.kept = {Object("default", name): encrypt_json(CRYPTO, body) for name, body in kept.items()}

    def get(self, named: Object) -> bytes | None:
        return self.kept.get(named)

    def exists(self, named: Object) -> bool:
        return named in self.kept


def light(name: str, **more: Any) -> dict[str, Any]:
    return {"body": {}, "headers": {OBJECT_HEADER: name}, **more}


def record(content: dict[str, Any] | None, problem: str = "") -> Record:
    return Record("r1", "store", "1", "", "t", "Error", "no", input=content, problem=problem)


def test_bodies_are_shown_wherever_they_lie() -> None:
    content = light("one", passthrough={"far": light("two"), "near": {"body": 3}})
    shown = Bodies(Store(one={"n": 1}, two=[2]), "default", CRYPTO).shown(record(content))
    assert shown.input is not None
    assert shown.input["body"] == {"n": 1}
    assert {step: one["body"] for step, one in shown.input["passthrough"].items()} == {"far": [2], "near": 3}
    assert shown.problem == ""
    # And the record is as it was
    assert content == light("one", passthrough={"far": light("two"), "near": {"body": 3}})


def test_what_is_gone_or_cannot_be_read_is_said() -> None:
    store = Store(two=[2])
    store.kept[Object("default", "two")] = b"rubbish"
    shown = Bodies(store, "default", CRYPTO).shown(record(light("one", passthrough={"far": light("two")})))
    assert shown.problem.startswith("the body: not in the object store any more; the body of far: ")
    assert Bodies(store, "default", CRYPTO).shown(record(None, "unreadable")).problem == "unreadable"


def test_a_message_without_its_body_is_not_given_again() -> None:
    bodies = Bodies(Store(one=1), "default", CRYPTO)

    def again(content: dict[str, Any]) -> Again:
        return Again((record(None),), "store.input", Outgoing(b"", {}), content)

    for content in ({"body": 1}, light("one"), {"body": {}, "headers": {}}):
        assert bodies.checked(again(content)).content == content
    with pytest.raises(Refused, match="r1: the body is not in the object store any more"):
        bodies.checked(again(light("gone")))
    with pytest.raises(Refused, match="the body of far"):
        bodies.checked(again(light("one", passthrough={"far": light("gone")})))
    with pytest.raises(Refused):
        Bodies(Store(one=1), "other", CRYPTO).checked(again(light("one")))
