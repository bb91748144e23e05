"""Giving failed messages again: nothing leaves its list before the broker has what replaces it."""

from types import SimpleNamespace

import pytest

from nomadflows.broker.kept import Kept
from nomadflows.broker.wire import Outgoing
from nomadflows.cli.records import Record
from nomadflows.cli.repair import chosen, give, possible
from nomadflows.cli.replay import Again
from nomadflows.cli.root import run
from nomadflows.cli.session import Session
from nomadflows.model.errors import NotFound, Refused


class Shelf:
    """Writes down what it is told. `full`: keys whose queue is full."""

    def __init__(self, *full):
        self.done = []
        self.full = full

    def publish(self, _exchange, key, _body, _headers):
        if key in self.full:
            raise Refused(f"the queue for {key} is full")
        self.done.append(key)

    def drop(self, message):
        self.done.append(message.tag)


def record(tag, identity="1"):
    return Record(identity, "store", "1", "", "t", "", "", kept=Kept(tag, "", "", {}, b""))


def message(key, *tags):
    return Again(tuple(record(tag) for tag in tags), key, Outgoing(b"", {}), {})


def test_an_error_and_its_dead_letter_leave_once_the_broker_has_the_message():
    shelf = Shelf()
    assert give(shelf, "orders.v1", [message("a.input", 1, 2), message("b.input", 3)]) == 2
    assert shelf.done == ["a.input", 1, 2, "b.input", 3]


def test_what_a_full_queue_refuses_stays_with_all_that_follow():
    shelf = Shelf("b.input")
    with pytest.raises(Refused, match="full"):
        give(shelf, "orders.v1", [message("a.input", 1, 2), message("b.input", 3, 4), message("a.input", 5)])
    assert shelf.done == ["a.input", 1, 2]


def test_what_cannot_be_given_again_is_told_and_stays(capsys):
    def make(one):
        if one.id == "bad":
            raise Refused("bad: no message")
        return message("a.input", one.kept.tag)

    made = possible([record(1), record(2, "bad"), record(3)], make)
    assert [one.records[0].kept.tag for one in made] == [1, 3]
    assert capsys.readouterr().err == "left: bad: no message\n"
    with pytest.raises(Refused, match="bad: no message"):
        possible([record(2, "bad")], make)
    assert possible([], make) == []


def test_ids_may_be_shortened():
    found = [record(1, "abc1"), record(2, "abd2")]
    assert chosen(found, ["abc", "ab"]) == found
    with pytest.raises(NotFound):
        chosen(found, ["x"])


@pytest.mark.parametrize("command", [["errors"], ["retry", "--all"], ["dead"], ["dead", "--step", "store", "--replay"]])
def test_a_flow_that_there_is_not_gets_no_secret(command, capsys):
    session = Session()
    session.store = SimpleNamespace(flow=lambda _ref: None, deleted_flow=lambda _ref: None)
    session.vault = None
    assert run(["flow", command[0], "odrers", *command[1:]], session) == 1
    assert "there is no flow default/odrers" in capsys.readouterr().err
