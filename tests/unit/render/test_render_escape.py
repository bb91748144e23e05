"""What may be written into a job spec, and what it looks like there."""

import re
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from jinja2 import StrictUndefined, UndefinedError

from nomadflows.model.errors import InputError
from nomadflows.render.escape import Name, Runtime, Shown, hcl

WHOLE_STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"')
ESCAPE = re.compile(r'\\(?:([nrt"\\])|u([0-9A-F]{4})|U([0-9A-F]{8}))|\$(\$\{)|%(%\{)')
PLAIN = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}


def read_back(literal: str) -> str:
    """What an HCL parser makes of a quoted string."""

    def meant(match: re.Match[str]) -> str:
        short, four, eight, dollar, percent = match.groups()
        return PLAIN[short] if short else dollar or percent or chr(int(four or eight, 16))

    return ESCAPE.sub(meant, literal[1:-1])


text = st.one_of(
    st.text(max_size=60),
    st.lists(
        st.sampled_from(['"', "\\", "${", "%{", "}", "$", "%", "\n", "{{", "EOT", "é", "\u2028", "\x7f"]), max_size=12
    ).map("".join),
)


@given(text)
@example('$${"a"}')
@example("$\\{")
@example("%%{ if true }")
def test_text_shown_to_people_is_one_string_that_reads_back(value):
    if "\0" in value:
        with pytest.raises(InputError, match="NUL"):
            hcl(Shown(value))
        return
    literal = hcl(Shown(value))
    assert WHOLE_STRING.fullmatch(literal)
    assert read_back(literal) == unicodedata.normalize("NFC", value)


@given(text)
@example("${NOMAD_ALLOC_ID}")
@example("a ${attr.kernel.name} b")
def test_other_text_is_kept_to_the_letter_or_refused(value):
    try:
        literal = hcl(value)
    except InputError:
        assert "\0" in value or "${" in value or unicodedata.normalize("NFC", value) != value
        return
    assert read_back(literal) == value


def test_what_nomad_would_replace_is_refused_with_the_reason():
    with pytest.raises(InputError, match="would replace"):
        hcl("path/${NOMAD_SECRETS_DIR}")


def test_half_a_surrogate_pair_is_refused():
    with pytest.raises(InputError, match="surrogate"):
        hcl("\ud800")


def test_plain_values():
    assert [hcl(value) for value in (3, -1, True, False, "", ["a", 'b"'], ())] == [
        "3", "-1", "true", "false", '""', r'["a", "b\""]', "[]",
    ]  # fmt: skip


@pytest.mark.parametrize("value", [None, 1.5, {"a": 1}, b"x", object()])
def test_a_value_of_another_type_is_an_error_of_ours(value):
    with pytest.raises(TypeError):
        hcl(value)


def test_a_number_cannot_smuggle_text():
    class Sly(int):
        def __str__(self) -> str:
            return "1 } job {"

    assert hcl(Sly(7)) == "7"


def test_a_missing_value_is_an_error():
    with pytest.raises(UndefinedError):
        hcl(StrictUndefined(name="counts"))


def test_only_nomads_own_placeholders_are_left_to_nomad():
    assert hcl(Runtime("${NOMAD_SECRETS_DIR}/credential.json")) == '"${NOMAD_SECRETS_DIR}/credential.json"'
    for bad in ('"', "${env.HOME}", "a\nb", "${NOMAD_X", "%{"):
        with pytest.raises(ValueError, match="not a text"):
            Runtime(bad)


def test_names_are_identifiers():
    assert hcl(Name("ELASTICIO_FLOW_ID", 20)) == "ELASTICIO_FLOW_ID   "
    for bad in ("", "a b", "a-b", "1a", 'a" = "b', "ü"):
        with pytest.raises(ValueError, match="not the name"):
            Name(bad)
