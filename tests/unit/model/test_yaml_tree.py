"""YAML as people mean it: JSON's types, lines kept, nothing that runs away."""

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from nomadflows.model import yamltree
from nomadflows.model.yamltree import YamlError, parse_yaml


def test_words_are_what_yaml_1_2_says():
    text = "a: [yes, no, on, 12:30, 2026-01-02, true, 1, -2.5, 1e3, 0x1f, ~, '1', 1_000, ., .nan, 08]"

    assert parse_yaml(text).value == {
        "a": ["yes", "no", "on", "12:30", "2026-01-02", True, 1, -2.5, 1000.0, 31, None, "1", "1_000", ".", ".nan", 8]
    }


def test_keys_are_text_as_written():
    assert parse_yaml("no: 1\n2: 3\ntrue: 4").value == {"no": 1, "2": 3, "true": 4}


def test_lines_of_keys_items_and_of_what_is_missing():
    tree = parse_yaml("a: 1\nb:\n  - x\n  - y:\n      z: 1\n")

    assert tree.line_of(("b", 1, "y", "z")) == 5
    assert tree.line_of(("b", 0)) == 3
    assert tree.line_of(("b", 1, "missing", "more")) == 4
    assert tree.line_of(("missing",)) == 1
    assert tree.find(("b", 9)) is None


def test_an_alias_is_followed():
    tree = parse_yaml("a: &x {k: 1}\nb: *x\n")

    assert tree.value == {"a": {"k": 1}, "b": {"k": 1}}


BOMB = (
    "a: &a ["
    + ",".join("x" * 9)
    + "]\n"
    + "".join(f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefg", "bcdefgh", strict=True))
)
LADDER = "a0: &a0 [1]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 100))


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (BOMB, 5, "the file holds more than 50,000 values (aliases counted each time)"),
        (LADDER, 39, "nested more than 40 deep"),
        ("a: &x [*x]", 1, "*x refers to nothing that ended before it"),
        ("a:\n  - *nobody", 2, "*nobody refers to nothing that ended before it"),
        ("[" * 100_000, 1, "nested more than 40 deep"),
        ("a: 1\nb: 2\na: 3", 3, "'a' is written twice (first in line 1)"),
        ("? [1, 2]\n: 3", 1, "a key must be plain text"),
        (
            "a: !!binary aGk=",
            1,
            "the tag tag:yaml.org,2002:binary is not allowed; allowed: plain values, lists and mappings",
        ),
        ("a: !secret x", 1, "the tag !secret is not allowed; allowed: plain values, lists and mappings"),
    ],
)
def test_what_is_refused(text: str, line: int, message: str):
    with pytest.raises(YamlError) as caught:
        parse_yaml(text)
    assert (caught.value.line, caught.value.message) == (line, message)


@pytest.mark.parametrize(
    ("text", "line"),
    [("a: [1,\n2", 2), ("a: b: c", 1), ("ok: 1\nx\0: 2", 2), ("a: \ud800", 1), ("%YAML 9.0\n---\na", 1)],
)
@pytest.mark.parametrize("loader", ["CSafeLoader", "SafeLoader"])
def test_what_is_no_yaml_says_where(text: str, line: int, loader: str, monkeypatch: pytest.MonkeyPatch):
    if not hasattr(yaml, loader):
        pytest.skip("PyYAML without libyaml")
    monkeypatch.setattr(yamltree, "_LOADER", getattr(yaml, loader))

    with pytest.raises(YamlError) as caught:
        parse_yaml(text)

    assert caught.value.message.startswith("not YAML: ")
    assert caught.value.line in {line, 1}


numbers = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)


words = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), max_size=10)


@given(
    st.recursive(
        st.none() | st.booleans() | numbers | words,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4),
        max_leaves=15,
    )
)
def test_json_is_read_as_json(data: object):
    assert parse_yaml(json.dumps(data, ensure_ascii=False)).value == data
