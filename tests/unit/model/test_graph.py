"""Which steps run, and who feeds whom."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nomadflows.model.errors import InputError
from nomadflows.model.flow import FlowDefinition
from nomadflows.model.graph import ancestors, cycles, expand, lost_mappers, predecessors, replicas, same_graph
from nomadflows.model.mapping import Expression, is_true


def flow(*steps: dict) -> FlowDefinition:
    return FlowDefinition.from_json({"flow": "f", "steps": [{"use": "c:f", **step} for step in steps]})


def edges(definition: FlowDefinition) -> dict[str, tuple[str, ...]]:
    return {step.id: step.after for step in expand(definition)}


def test_three_visible_steps_are_five_running_ones():
    run = expand(flow({"id": "orders"}, {"id": "store", "map": {"a": "b"}}, {"id": "report", "map": "{'x': y}"}))

    assert [(s.id, s.kind, s.after, s.visible) for s in run] == [
        ("orders", "trigger", (), True),
        ("mapper:orders:store", "mapper", ("orders",), False),
        ("store", "action", ("mapper:orders:store",), True),
        ("mapper:store:report", "mapper", ("store",), False),
        ("report", "action", ("mapper:store:report",), True),
    ]
    assert (run[1].use, run[1].function, run[1].config) == ("mapper", "map", {"mapping": {"a": "b"}})
    assert run[3].config == {"mapping": "{'x': y}"}


def test_an_edge_without_mapping_is_direct():
    assert edges(flow({"id": "a"}, {"id": "b", "map": {}}, {"id": "c"})) == {"a": (), "b": ("a",), "c": ("b",)}


def test_fan_out_and_fan_in():
    split = flow(
        {"id": "a"},
        {"id": "b", "map": {"x": "y"}},
        {"id": "c", "after": "a"},
        {"id": "d", "after": ["b", "c"], "map": {"x": "y"}},
    )

    assert edges(split) == {
        "a": (),
        "mapper:a:b": ("a",),
        "b": ("mapper:a:b",),
        "c": ("a",),
        "mapper:b:d": ("b",),
        "mapper:c:d": ("c",),
        "d": ("mapper:b:d", "mapper:c:d"),
    }


def test_each_edge_of_a_fan_in_may_have_its_own_mapping():
    definition = flow(
        {"id": "a"},
        {"id": "b"},
        {"id": "c", "after": "a"},
        {"id": "d", "after": "a"},
        {"id": "e", "after": ["b", "c", "d"], "map": {"x": "y"}, "edges": {"c": {"when": "z"}, "d": {}}},
    )
    run = {step.id: step for step in expand(definition)}
    assert run["e"].after == ("mapper:b:e", "mapper:c:e", "d")
    assert run["mapper:b:e"].config == {"mapping": {"x": "y"}}
    assert run["mapper:c:e"].config == {"mapping": "$", "condition": "z"}
    assert FlowDefinition.from_json(definition.to_json()) == definition


def test_a_condition_on_an_edge_makes_its_source_a_router():
    run = expand(
        flow(
            {"id": "a"},
            {"id": "b"},
            {"id": "both", "after": ["a", "b"], "edges": {"a": {"when": "x > 1"}}},
            {"id": "rest", "after": ["a", "b"], "edges": {"a": {"otherwise": True}}},
        )
    )
    assert {step.id: step.after for step in run} == {
        "a": (), "b": ("a",), "mapper:a:both": ("a",), "both": ("mapper:a:both", "b"),
        "mapper:a:rest": ("a",), "rest": ("mapper:a:rest", "b"),
    }  # fmt: skip
    assert next(step for step in run if step.id == "mapper:a:rest").config["condition"] == "$not((x > 1))"


def test_a_router_has_branches_and_one_default():
    run = expand(
        flow(
            {"id": "a"},
            {"id": "large", "when": "total > 100"},
            {"id": "foreign", "after": "a", "when": "country != 'DE'"},
            {"id": "rest", "after": "a", "otherwise": True, "map": {"t": "total"}},
            {"id": "all", "after": "a"},
        )
    )

    conditions = {step.id: step.config.get("condition") for step in run if step.kind == "mapper"}
    assert conditions == {
        "mapper:a:large": "total > 100",
        "mapper:a:foreign": "country != 'DE'",
        "mapper:a:rest": "$not((total > 100) or (country != 'DE'))",
    }

    def taken(body: dict) -> list[str]:
        return [
            s.id for s in run if s.visible and s.after
            and all(is_true(Expression(conditions[m]).value(body)) for m in s.after if m in conditions)
        ]  # fmt: skip

    assert taken({"total": 200, "country": "DE"}) == ["large", "all"]
    assert taken({"total": 200, "country": "FR"}) == ["large", "foreign", "all"]
    assert taken({"total": 1, "country": "DE"}) == ["rest", "all"]


def test_a_step_may_be_written_before_those_that_feed_it():
    order = [s.id for s in expand(flow({"id": "a"}, {"id": "b", "after": "c"}, {"id": "c", "after": "a"}))]

    assert order == ["a", "c", "b"]


def test_a_condition_makes_a_mapper_that_may_emit_nothing():
    run = expand(flow({"id": "a"}, {"id": "b", "when": "x > 1"}, {"id": "c", "after": "a", "when": "x", "map": "y"}))

    assert run[1].config == {"mapping": "$", "condition": "x > 1"}
    assert run[3].config == {"mapping": "y", "condition": "x"}


def test_the_error_handler_stands_beside_the_chain():
    run = expand(flow({"id": "a"}, {"id": "oops", "error_handler": True}, {"id": "b"}))

    assert [(s.id, s.after, s.error_handler) for s in run] == [
        ("a", (), False),
        ("oops", (), True),
        ("b", ("a",), False),
    ]


def test_a_mapped_error_handler_is_fed_by_a_mapper_that_gets_the_errors():
    run = expand(
        flow({"id": "a"}, {"id": "b"}, {"id": "oops", "error_handler": True, "map": {"text": "error.message"}})
    )

    assert [(s.id, s.after, s.error_handler) for s in run[2:]] == [
        ("mapper:error:oops", (), True),
        ("oops", ("mapper:error:oops",), False),
    ]


def test_what_a_step_is_given_is_what_its_definition_says():
    step = {
        "id": "b", "use": "sql@1.2.0:upsert", "with": {"table": "t"}, "credential": "db", "replicas": 3, "prefetch": 4,
        "resources": {"memory": 512, "cpu": 200}, "passthrough": False,
    }  # fmt: skip
    _, run = expand(flow({"id": "a"}, step))

    assert (run.use, run.pinned, run.function, run.config, run.credential) == (
        "sql",
        "1.2.0",
        "upsert",
        {"table": "t"},
        "db",
    )
    assert (run.replicas, run.prefetch, run.memory, run.cpu, run.passthrough) == (3, 4, 512, 200, False)


def test_what_a_step_of_one_branch_says_is_not_said_by_its_like_in_another():
    """Two steps of one function, in two branches that share their settings as far as they are written alike."""
    shared = {"table": "orders", "columns": ["id"]}
    said = {"credential": "eu", "env": {"REGION": "eu"}, "replicas": 3, "log_level": "debug", "passthrough": False}
    run = {
        step.id: step
        for step in expand(
            flow(
                {"id": "in"},
                {"id": "eu", "after": "in", "with": {**shared, "key": "id"}, "map": {"id": "eu_id"}, **said},
                {"id": "us", "after": "in", "with": shared, "map": {"id": "us_id"}},
                {"id": "rest", "after": "in", "with": shared},
            )
        )
    }
    assert run["eu"].config == {**shared, "key": "id"}
    for other in ("us", "rest"):
        found = run[other]
        assert (found.config, found.credential, found.env, found.replicas) == (shared, None, {}, 1)
        assert (found.log_level, found.passthrough) == ("", True)
    assert [run[f"mapper:in:{step}"].config["mapping"]["id"] for step in ("eu", "us")] == ["eu_id", "us_id"]
    assert "mapper:in:rest" not in run


def test_a_mapper_keeps_pace_with_the_step_before_it():
    _, _, mapper, _ = expand(
        flow({"id": "a"}, {"id": "b", "replicas": 3, "prefetch": 5}, {"id": "c", "map": {"x": "y"}})
    )

    assert (mapper.replicas, mapper.prefetch) == (3, 5)


def test_a_cycle_cannot_be_expanded():
    with pytest.raises(InputError, match="wait for one another"):
        expand(flow({"id": "a"}, {"id": "b", "after": "c"}, {"id": "c", "after": "b"}))


@pytest.mark.parametrize(
    ("before", "found"),
    [
        ({"a": (), "b": ("a",)}, []),
        ({"a": ("a",)}, [("a",)]),
        ({"a": (), "b": ("a", "d"), "c": ("b",), "d": ("c",)}, [("b", "c", "d")]),
        ({"a": ("b",), "b": ("a",), "c": ("d",), "d": ("c",)}, [("a", "b"), ("c", "d")]),
        ({"a": ("b", "c"), "b": ("a",), "c": ("b",)}, [("a", "b")]),
        ({"a": ("gone",)}, []),
    ],
)
def test_cycles(before: dict, found: list):
    assert list(cycles(before)) == found


BASE = ({"id": "a"}, {"id": "b", "map": {"x": "y"}}, {"id": "c"})


@pytest.mark.parametrize(
    "steps",
    [
        ({"id": "a"}, {"id": "b", "map": {"x": "z"}}, {"id": "c"}),
        ({"id": "a", "use": "c@2.0.0:f"}, {"id": "b", "map": {"x": "y"}}, {"id": "c"}),
        ({"id": "a"}, {"id": "b", "map": {"x": "y"}, "credential": "other"}, {"id": "c", "replicas": 2}),
        ({"id": "a"}, {"id": "b", "map": {"x": "y"}}, {"id": "c", "after": "b"}),
        ({"id": "a"}, {"id": "b", "map": {"x": "y"}}, {"id": "c", "map": {"x": "y"}}),
        ({"id": "a"}, {"id": "b", "when": "x = 1"}, {"id": "c"}),
    ],
)
def test_what_may_change_while_suspended(steps: tuple):
    assert same_graph(flow(*BASE), flow(*steps))
    assert not lost_mappers(flow(*BASE), flow(*steps))


def test_a_mapping_that_is_removed_takes_its_mapper_and_what_waits_for_it_along():
    unmapped = flow({"id": "a"}, {"id": "b"}, {"id": "c"})

    assert same_graph(flow(*BASE), unmapped)
    assert lost_mappers(flow(*BASE), unmapped) == ["mapper:a:b"]


def test_scale_takes_the_place_of_published_replicas_and_mappers_keep_pace():
    steps = expand(flow({"id": "a"}, {"id": "b", "map": {"x": "y"}, "replicas": 2}, {"id": "c", "map": {"x": "y"}}))

    assert replicas(steps, {}) == {"a": 1, "mapper:a:b": 1, "b": 2, "mapper:b:c": 2, "c": 1}
    assert replicas(steps, {"b": 5, "gone": 3}) == {"a": 1, "mapper:a:b": 1, "b": 5, "mapper:b:c": 5, "c": 1}


@pytest.mark.parametrize(
    "steps",
    [
        BASE[:2],
        ({"id": "a"}, {"id": "b", "map": {"x": "y"}}, {"id": "c", "after": "a"}),
        ({"id": "a"}, {"id": "b", "map": {"x": "y"}}, {"id": "c", "use": "c:other"}),
        ({"id": "a"}, {"id": "b", "map": {"x": "y"}}, {"id": "d"}),
    ],
)
def test_what_may_not(steps: tuple):
    assert not same_graph(flow(*BASE), flow(*steps))


@given(st.lists(st.tuples(st.booleans(), st.sets(st.integers(0, 9), max_size=3)), min_size=1, max_size=10))
def test_every_step_starts_after_those_that_feed_it(shape: list[tuple[bool, set[int]]]):
    steps: list[dict] = []
    for index, (mapped, sources) in enumerate(shape):
        after = [f"s{source}" for source in sorted(sources) if source < index]
        steps.append(
            {
                "id": f"s{index}",
                **({"map": {"x": "y"}} if mapped and index else {}),
                **({"after": after} if after else {}),
            }
        )
    definition = flow(*steps)

    run = expand(definition)

    ids = [step.id for step in run]
    assert len(set(ids)) == len(ids)
    assert all(ids.index(source) < ids.index(step.id) for step in run for source in step.after)
    assert run[0].kind == "trigger"
    before = predecessors(definition.steps)
    assert not list(cycles(before))
    assert all("s0" in ancestors(before, step.id) for step in definition.steps[1:])
