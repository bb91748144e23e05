"""Versions of components: a number stands for one thing, whatever is deleted and whoever deploys at the same time."""

import threading

import pytest

from nomadflows.model.component import ComponentVersion
from nomadflows.model.errors import Refused
from nomadflows.store import Store, components
from tests.stack.store.harness import until


def version(number: str, digest: str = "sha256:a") -> ComponentVersion:
    return ComponentVersion("shop", number, "python", digest=digest)


def numbers(store: Store) -> list[str]:
    return [one.version for one in store.component_versions("shop")]


def test_the_number_of_a_deleted_version_is_not_used_again(store):
    components.record(store, version("1.0.0"))
    components.record(store, version("1.1.0"))
    components.remove(store, version("1.1.0"))

    with pytest.raises(Refused, match=r"had a version 1\.1\.0, which was deleted"):
        components.record(store, version("1.1.0", "sha256:b"))
    with pytest.raises(Refused, match=r"had a version 1\.1\.0, which was deleted"):
        components.record(store, version("1.0.5"))
    components.record(store, version("1.1.1"))
    assert numbers(store) == ["1.1.1", "1.0.0"]


def test_nor_is_that_of_the_last_one(store):
    components.record(store, version("1.0.0"))
    components.remove(store, version("1.0.0"))

    assert store.components() == {}
    assert store.newest_component("shop") is None
    with pytest.raises(Refused, match=r"had a version 1\.0\.0"):
        components.record(store, version("1.0.0", "sha256:b"))


def test_versions_that_are_older_than_that_record_count_too(store):
    store.put_component(version("1.0.0"))
    components.remove(store, version("1.0.0"))

    assert store.highest_component("shop").value["version"] == "1.0.0"


def test_of_two_deploys_at_once_the_later_one_is_measured_against_the_earlier(store):
    class Slow(Store):
        """Somebody else deploys between its look and its change."""

        def component_versions(self, name: str) -> list[ComponentVersion]:
            found = super().component_versions(name)
            if not found:
                components.record(store, version("2.0.0"))
            return found

    slow = Slow(store.client.address, prefix=store.keys.prefix)

    with pytest.raises(Refused, match=r"1\.1\.0 of component shop does not come after all it has"):
        components.record(slow, version("1.1.0"))
    assert numbers(store) == ["2.0.0"]


def test_many_deploys_at_once_are_all_recorded_or_refused_by_the_order_of_versions(store):
    refused = []

    def deploy(number: int) -> None:
        try:
            components.record(Store(store.client.address, prefix=store.keys.prefix), version(f"1.{number}.0"))
        except Refused as error:
            refused.append(error)

    threads = [threading.Thread(target=deploy, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert numbers(store)[0] == store.highest_component("shop").value["version"] == "1.3.0"
    assert len(numbers(store)) + len(refused) == 4


def test_the_record_of_a_built_in_component_follows_the_installation(store, leadership):
    fence = leadership()
    until(lambda: fence.is_leader, 10)

    def shipped(digest: str, number: str = "1.0.0") -> ComponentVersion:
        return ComponentVersion("files", number, "python", location={"builtin": "files"}, digest=digest)

    assert not components.record_builtin(store, shipped("sha256:a"), fence)
    assert not components.record_builtin(store, shipped("sha256:a"), fence)
    assert components.record_builtin(store, shipped("sha256:b"), fence)
    assert store.component("files", "1.0.0").digest == "sha256:b"
    assert not components.record_builtin(store, shipped("sha256:c", "1.1.0"), fence)
    assert [one.digest for one in store.component_versions("files")] == ["sha256:c", "sha256:b"]


def test_a_deployed_component_is_not_replaced_by_a_built_in_one(store, leadership):
    fence = leadership()
    until(lambda: fence.is_leader, 10)
    components.record(store, version("1.0.0"))
    built_in = ComponentVersion("shop", "1.0.0", "python", location={"builtin": "shop"}, digest="sha256:b")

    assert not components.record_builtin(store, built_in, fence)
    assert store.component("shop", "1.0.0").digest == "sha256:a"
