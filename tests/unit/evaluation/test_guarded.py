"""Every evaluation ends: in its process, in a child that dies in its place, or with the process."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from nomadflows.evaluation import Guarded
from nomadflows.model.mapping import Expression, MappingError

MANY = list(range(100_000))
# What an expression may do to the process that evaluates it. The engine's own limit is far away here.
BOMBS = {
    "endless recursion": ("($f := function($x) { $f($x + 1) + 1 }; $f(1))", {}),
    "endless tail recursion": ("($f := function($x) { $f($x + 1) }; $f(1))", {}),
    "huge range": ("[1..100000000]", {}),
    "nested ranges": ("$count([1..3000].([1..3000].([1..3000])))", {}),
    "lists of lists": ("$map([1..900000], function($x) { [1..900000] })", {}),
    "string doubling": ("($f := function($s) { $f($s & $s) }; $f('x'))", {}),
    "padding": ("$pad('x', 1000000000)", {}),
    "many long strings": ("[1..900000].$pad('x', 1000000)", {}),
    "regular expression": ("$match(s, /^(a+)+$/)", {"s": "a" * 40 + "!"}),
    "regular expression with alternatives": ("$match(s, /^(a|a)*$/)", {"s": "a" * 40 + "!"}),
    "distinct": ("$distinct(a)", {"a": MANY}),
    "grouping": ("$count(a{$string($): $}.*{$string($): $}) + $count($distinct(a))", {"a": MANY}),
    "sort": ("$sort([1..900000], function($a, $b) { $a < $b })", {}),
    "quadratic append": ("$reduce([1..900000], $append)", {}),
}


def guarded(mapping: object, monkeypatch: pytest.MonkeyPatch, seconds: float = 1) -> Guarded:
    monkeypatch.setenv("NOMADFLOWS_EVALUATION_S", str(seconds))
    return Guarded(mapping)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Expressions that may take a second; their children end with the test."""
    made: list[Guarded] = []

    def make(mapping: object, seconds: float = 1) -> Guarded:
        made.append(guarded(mapping, monkeypatch, seconds))
        return made[-1]

    yield make
    for expression in made:
        expression.close()


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_is_an_error_of_its_message(short: Any, bomb: str):
    source, body = BOMBS[bomb]
    with pytest.raises(MappingError):
        short(source).value(body, passthrough={}, variables={}, again=True)


def test_after_a_death_the_next_message_is_worked_by_another_child(short: Any):
    expression = short("$distinct(a)")
    # Given a message that kills the child it is evaluated in
    with pytest.raises(MappingError, match="did not end within 1 s"):
        expression.value({"a": MANY}, passthrough={}, variables={}, again=True)
    # Then first deliveries are evaluated aside from now on, so another of its kind does no harm
    with pytest.raises(MappingError, match="did not end within 1 s"):
        expression.value({"a": MANY}, passthrough={}, variables={})
    assert expression.value({"a": [1, 2, 1]}, passthrough={}, variables={}) == [1, 2]


def test_a_lack_of_memory_is_told(short: Any):
    with pytest.raises(MappingError, match="more memory"):
        short("$map([1..900000], function($x) { [1..900000] })", 20).value({}, passthrough={}, variables={}, again=True)


@pytest.mark.parametrize("bomb", ["distinct", "regular expression"])
def test_a_first_delivery_ends_the_process(bomb: str):
    code = (
        "import sys, json; from nomadflows.evaluation import Guarded; source, body = json.load(sys.stdin);"
        "Guarded(source).value(body, passthrough={}, variables={})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps(BOMBS[bomb]).encode(),
        env={"NOMADFLOWS_EVALUATION_S": "0.5"},
        check=False,
    )
    assert done.returncode == -signal.SIGALRM


def test_the_same_in_a_child_as_in_the_process(short: Any):
    mapping = {"name": "$uppercase(n)", "sum": "$sum(l.p)", "old": "$getPassthrough().a.body", "gone": "x", "null": None,
               "flow": "$getFlowVariables().v", "at": "$moment('2026-01-31').add(1, 'day').format('YYYY-MM-DD')"}  # fmt: skip
    body = {"n": "ø", "l": [{"p": 0.1}, {"p": 2}]}
    known: dict[str, Any] = {"passthrough": {"a": {"body": {"x": 1}}}, "variables": {"v": "w"}}
    expression = short(mapping)
    here, aside = expression.body(body, **known), expression.body(body, **known, again=True)
    assert aside == here == Expression(mapping).value(body, **known)
    assert [expression.holds(body, **known, again=again) for again in (False, True)] == [True, True]


def test_an_error_in_a_child_says_where(short: Any):
    expression = short({"a": {"b": "$number(n)"}})
    for again in (False, True):
        with pytest.raises(MappingError) as caught:
            expression.body({"n": "x"}, passthrough={}, variables={}, again=again)
        assert caught.value.path == ("a", "b")


def test_what_is_no_json_is_an_error(short: Any):
    with pytest.raises(MappingError):
        short("function($x) { $x }").body({}, passthrough={}, variables={}, again=True)


def test_no_clock_runs_between_messages(short: Any):
    short("a").value({"a": 1}, passthrough={}, variables={})
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
