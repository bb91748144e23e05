"""How two definitions differ."""

from hypothesis import given
from hypothesis import strategies as st

from nomadflows.model.difference import Change, changes

A = {"id": "a", "use": "timer:tick"}
B = {"id": "b", "use": "sql:upsert", "with": {"table": "t"}, "map": {"x": "y", "z": "1"}}
C = {"id": "c", "use": "log:write"}


def flow(*steps: dict, **settings: object) -> dict:
    return {"flow": "orders", "kind": "ordinary", **settings, "steps": list(steps)}


def test_the_same_differs_in_nothing():
    assert changes(flow(A, B), flow(A, B)) == []


def test_settings_first_then_steps_in_the_order_of_the_file():
    mended = B | {"map": {"x": "y * 2", "w": "0"}, "replicas": 2}

    assert changes(flow(A, B, schedule="0 * * * *", description="d"), flow(A, mended, C, schedule="5 * * * *")) == [
        Change("~", "schedule", "0 * * * *", "5 * * * *"),
        Change("-", "description", "d"),
        Change("~", "steps.b.map.x", "y", "y * 2"),
        Change("-", "steps.b.map.z", "1"),
        Change("+", "steps.b.map.w", new="0"),
        Change("+", "steps.b.replicas", new=2),
        Change("+", "steps.c", new=C),
    ]


def test_a_step_that_is_gone_and_a_step_that_moved():
    assert changes(flow(A, B, C), flow(A, C)) == [Change("-", "steps.b", B)]
    assert changes(flow(A, B, C), flow(A, C, B)) == [Change("~", "order of steps", ["a", "b", "c"], ["a", "c", "b"])]


def test_a_mapping_that_became_one_text():
    assert changes(flow(A, B), flow(A, B | {"map": "$"})) == [Change("~", "steps.b.map", B["map"], "$")]


def test_true_is_not_one():
    assert changes(flow(A | {"with": {"x": 1}}), flow(A | {"with": {"x": True}})) == [
        Change("~", "steps.a.with.x", 1, True)
    ]


values = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2) | st.text("ab", max_size=2),
    lambda inner: st.dictionaries(st.text("xyz", max_size=1), inner, max_size=3),
)
flows = (
    st.lists(st.sampled_from("abcd"), unique=True, max_size=4)
    .flatmap(
        lambda ids: st.tuples(
            *(st.builds(lambda name, with_: {"id": name, "with": {"v": with_}}, st.just(name), values) for name in ids)
        )
    )
    .map(lambda steps: flow(*steps))
)


@given(flows, flows)
def test_nothing_is_told_only_of_equals_and_the_way_back_is_the_mirror(old: dict, new: dict):
    there, back = changes(old, new), changes(new, old)

    assert (there == []) is (repr(sorted_keys(old)) == repr(sorted_keys(new)))
    mirror = {"+": "-", "-": "+", "~": "~"}
    assert sorted((mirror[c.sign], c.path, repr(c.new), repr(c.old)) for c in there) == sorted(
        (c.sign, c.path, repr(c.old), repr(c.new)) for c in back
    )


def sorted_keys(value: object) -> object:
    """As far as order means something: steps have one, members have none."""
    if isinstance(value, dict):
        return {key: sorted_keys(value[key]) for key in sorted(value)}
    return [sorted_keys(item) for item in value] if isinstance(value, list) else value
