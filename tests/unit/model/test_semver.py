import random

from nomadflows.model.semver import semver_key


def test_the_order_of_semver_org():
    ordered = [
        "nonsense", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11",
        "1.0.0-rc.1", "1.0.0", "1.2.0", "1.10.0", "2.0.0",
    ]  # fmt: skip
    shuffled = random.Random(1).sample(ordered, len(ordered))

    assert sorted(shuffled, key=semver_key) == ordered


def test_build_metadata_does_not_count():
    assert semver_key("1.0.0+a") == semver_key("1.0.0+b")
