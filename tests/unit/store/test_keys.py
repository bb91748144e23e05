from datetime import UTC, datetime

from nomadflows.model.names import FlowRef
from nomadflows.store.keys import Keys

KEYS = Keys("nomadflows")
REF = FlowRef("default", "orders")


def test_the_layout_is_the_one_people_are_told():
    assert KEYS.leader == "nomadflows/leader"
    assert KEYS.limits == "nomadflows/limits"
    assert KEYS.workspace("default") == "nomadflows/workspaces/default"
    assert KEYS.component("sql", "1.2.0") == "nomadflows/components/sql/versions/1.2.0"
    assert KEYS.flow(REF, "desired") == "nomadflows/flows/default/orders/desired"
    assert KEYS.version(REF.version(7)) == "nomadflows/flows/default/orders/versions/7"
    assert KEYS.snapshot(REF, "store") == "nomadflows/flows/default/orders/snapshots/store"


def test_deprecated_versions_are_read_back_from_their_keys():
    keys = [KEYS.component("sql", "1.2.0"), KEYS.deprecation("sql", "1.2.0"), KEYS.highest_component("sql")]
    assert KEYS.deprecated([*keys, KEYS.deprecation("shop", "1.0.0-dev.1")]) == {"sql@1.2.0", "shop@1.0.0-dev.1"}


def test_inbox_keys_name_their_flow_sort_by_time_and_never_meet():
    at = datetime(2026, 1, 31, 10, 0, tzinfo=UTC)
    key = KEYS.inbox_entry(REF, at)

    assert key.startswith("nomadflows/inbox/default.orders.2026-01-31T10:00:00.000Z-")
    assert KEYS.inbox_flow(key) == REF
    assert key != KEYS.inbox_entry(REF, at)
    assert KEYS.inbox_flow("nomadflows/inbox/what is this") is None


def test_flow_names_are_read_back_and_look_alikes_are_not():
    below = "nomadflows/flows/"
    refs, drafts = KEYS.flow_names([
        below + "b/two/meta", below + "a/one/meta", below + "a/one/draft", below + "a/one/status",
        below + "a/one/snapshots/meta", below + "a/one/versions/1", below + "c/ghost/draft",
    ])  # fmt: skip

    assert refs == [FlowRef("a", "one"), FlowRef("b", "two")]
    assert drafts == {FlowRef("a", "one"), FlowRef("c", "ghost")}


def test_deleted_flows_are_read_back_and_are_no_flows():
    below = "nomadflows/flows/"
    keys = [
        below + "b/two/deleted",
        below + "a/one/deleted",
        below + "a/one/draft",
        below + "c/three/snapshots/deleted",
    ]

    assert KEYS.deleted_flows(keys) == [FlowRef("a", "one"), FlowRef("b", "two")]
    assert KEYS.flow_names(keys)[0] == []
