"""What a mapping makes of a body, and what it says when it cannot."""

import sys
from subprocess import run

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nomadflows.model import mapping
from nomadflows.model.mapping import Expression, MappingError, as_body, is_true

ORDER = {
    "order_id": "SO-1",
    "customer": {"name": "Jo"},
    "note": None,
    "lines": [{"price": 0.1, "quantity": 3}, {"price": 0.2, "quantity": 1}],
}


def problems(what: object) -> list[str]:
    return [str(error) for error in mapping.check(what)]


def mapped(made, given, **known):
    return as_body(made.value(given, **known))


def test_each_field_has_its_expression():
    made = Expression(
        {"id": "order_id", "customer": "$uppercase(customer.name)", "total": "$sum(lines.(price * quantity))"}
    )

    assert mapped(made, ORDER) == {"id": "SO-1", "customer": "JO", "total": 0.5}


def test_nested_fields_and_values_that_are_no_text():
    made = Expression({"a": {"b": ["order_id", "customer.name", 7], "c": True, "d": None}, "e": 1.5})

    assert mapped(made, ORDER) == {"a": {"b": ["SO-1", "Jo", 7], "c": True, "d": None}, "e": 1.5}


def test_what_is_missing_is_left_out_and_null_stays_null():
    assert mapped(Expression({"x": "nothing", "y": "note", "z": "order_id"}), ORDER) == {"y": None, "z": "SO-1"}


def test_one_expression_for_the_whole_body():
    assert mapped(Expression('{"id": order_id, "first": lines[0].price}'), ORDER) == {"id": "SO-1", "first": 0.1}


def test_the_body_itself_is_not_copied_through_the_engine():
    body = {"big": 2**60 + 1}

    assert mapped(Expression("$"), body) is body


def test_passthrough_and_variables():
    made = Expression(
        {"a": "$getPassthrough().orders.body.id", "b": "$getFlowVariables().region", "c": "$getPassthrough().none"}
    )

    assert mapped(made, {}, passthrough={"orders": {"body": {"id": 7}}}, variables={"region": "eu"}) == {
        "a": 7,
        "b": "eu",
    }
    assert mapped(made, {}) == {}


@pytest.mark.parametrize(
    ("condition", "expected"),
    [("$count(lines) > 1", True), ("$count(lines) > 2", False), ("nothing", False), ("note", False), ("''", False),
     ("'x'", True), ("[]", False), ("0", False), ("customer", True), ("$", True)],
)  # fmt: skip
def test_conditions_hold_by_jsonata_s_rules(condition: str, expected: bool):
    assert is_true(Expression(condition).value(ORDER)) is expected


def test_variables_of_one_field_are_not_seen_by_another():
    assert mapped(Expression({"a": "($x := 1; $x)", "b": "($x := 2; $x)"}), {}) == {"a": 1, "b": 2}
    assert problems({"a": "($x := 1; $x)", "b": "$x"}) == ["b: $x is not defined (column 1)"]


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("$uppercase(name", 'Expected ")" before end of expression (column 16)'),
        ("a b", 'Syntax error: "b" (column 3)'),
        ("a.\n  b c", 'Syntax error: "c" (line 2, column 5)'),
        ("  ", "the expression is empty; an empty text is written '\"\"'"),
        ("$uppercas(a)", "$uppercas is not defined; did you mean $uppercase? (column 1)"),
        ("$getPassthroug().x", "$getPassthroug is not defined; did you mean $getPassthrough? (column 1)"),
        ("a; b", 'Syntax error: ";" (column 2)'),
        ("a /* open", "Comment has no closing tag (column 3)"),
        ("(" * 5000, "The expression is nested too deeply (the limit is 1000 levels) (column 1001)"),
    ],
)
def test_what_does_not_parse(source: str, problem: str):
    assert problems(source) == [problem]
    with pytest.raises(MappingError):
        Expression(source)


def test_every_wrong_field_is_named():
    assert problems({"a": {"b": "x +"}, "ok": "y", "l": ["z", "$qqq()"]}) == [
        "a.b: Unexpected end of expression (column 4)",
        "l[1]: $qqq is not defined (column 1)",
    ]


@pytest.mark.parametrize("smuggled", ['x)}, {"a": (y', "x) & (y", "x} {", "x)}/*", "x\n)"])
def test_no_field_can_reach_out_of_its_parenthesis(smuggled: str):
    assert problems({"a": smuggled})


def test_a_failure_names_the_field_and_the_column():
    with pytest.raises(MappingError) as caught:
        mapped(Expression({"id": "order_id", "deep": {"up": "$uppercase(lines)"}}), ORDER)

    assert (
        str(caught.value) == 'deep.up: Argument 1 of function "uppercase" does not match function signature (column 12)'
    )
    assert caught.value.path == ("deep", "up")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("order_id", "the mapping gives a text; a message body is an object"),
        ("lines", "the mapping gives an array; a message body is an object"),
        ("nothing", "the mapping gives nothing; a message body is an object"),
        ("1", "the mapping gives a number; a message body is an object"),
        ("true", "the mapping gives a boolean; a message body is an object"),
    ],
)
def test_a_body_is_an_object(source: str, message: str):
    with pytest.raises(MappingError) as caught:
        mapped(Expression(source), ORDER)
    assert caught.value.message == message


@pytest.mark.parametrize(
    "runaway",
    ["($f := function($n) { $f($n + 1) }; $f(0))", "($f := function($n) { 1 + $f($n + 1) }; $f(0))", "[1..9000000]",
     "$join([1..900000].$pad('x', 1000))"],
)  # fmt: skip
def test_a_runaway_is_ended(runaway: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(mapping.LIMITS, "timeout", 0.2)

    with pytest.raises(MappingError):
        mapped(Expression({"x": runaway}), {})


names = st.text(alphabet="abcxyz", min_size=1, max_size=4)
scalars = st.none() | st.booleans() | st.integers(-(2**50), 2**50) | st.text(max_size=10)


@given(st.dictionaries(names, scalars, max_size=5), st.text(max_size=8))
def test_renaming_fields_keeps_their_values(body: dict, prefix: str):
    renamed = {prefix + name: name for name in body}

    assert mapped(Expression(renamed or "$"), body) == {prefix + name: value for name, value in body.items()}


@given(st.text(max_size=40))
def test_any_text_is_an_expression_or_told_why_not(source: str):
    found = list(mapping.check({"a": source}))

    if not found:
        Expression({"a": source})
    assert all(error.path == ("a",) for error in found)


def test_a_step_process_pays_for_nothing_but_the_engine():
    code = "import sys; import nomadflows.model.mapping; print({'pydantic', 'yaml', 'cronsim', 'difflib'} & set(sys.modules))"

    assert run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
