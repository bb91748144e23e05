"""A name can be read back; two things never share one."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nomadflows.model import names
from nomadflows.model.names import FlowRef, VersionRef

workspaces = st.from_regex(names.WORKSPACE, fullmatch=True)
flows = st.from_regex(names.FLOW, fullmatch=True)
steps = st.from_regex(names.STEP, fullmatch=True)
versions = st.builds(VersionRef, workspaces, flows, st.integers(1, 10**6))


@given(workspaces, flows)
def test_a_flow_reads_back(workspace: str, flow: str):
    ref = FlowRef(workspace, flow)

    assert FlowRef.parse(str(ref)) == ref
    assert ref.version(3).ref == ref


@given(versions)
def test_a_version_reads_back_from_its_job_and_its_api_user(version: VersionRef):
    assert VersionRef.parse_job(version.workspace, version.job_id) == version
    assert names.parse_api_user(version.api_user) == version


@given(versions, versions)
def test_no_two_versions_share_a_name(one: VersionRef, other: VersionRef):
    for attribute in ("vault_role", "broker_user", "api_user", "secret_path"):
        assert (getattr(one, attribute) == getattr(other, attribute)) == (one == other)


@given(versions, steps)
def test_a_queue_splits_without_doubt(version: VersionRef, step: str):
    flow, number, rest = version.queue(step).split(".", 2)

    assert (flow, number, rest) == (version.flow, f"v{version.number}", step)


@given(versions, steps, steps)
def test_queues_never_meet(version: VersionRef, source: str, target: str):
    own = {version.queue(source), version.queue(names.mapper_id(source, target)), version.rebounds_queue}

    assert len(own) == 3
    assert version.ref.dead_queue not in own
    assert version.ref.errors_queue not in own
    assert version.ref.aside_queue not in own


@given(versions, steps, steps)
def test_a_rebound_key_is_read_back(version: VersionRef, source: str, target: str):
    for step in (source, names.mapper_id(source, target)):
        key = names.rebound_key(version, step)
        assert names.parse_rebound_key(version.workspace, key) == (version, step)
        assert names.parse_rebound_key(version.workspace, names.input_key(step)) is None


@given(steps, steps)
def test_a_user_s_step_is_never_called_like_a_mapper(source: str, target: str):
    assert not names.STEP.fullmatch(names.mapper_id(source, target))


@given(versions)
def test_names_hold_nothing_that_needs_escaping(version: VersionRef):
    for name in (
        version.job_id,
        version.vault_role,
        version.broker_user,
        version.secret_path,
        names.vhost(version.workspace),
    ):
        assert re.fullmatch(r"[a-z0-9._/-]+", name)


@pytest.mark.parametrize("text", ["", "a", "a/", "/b", "a/b/c", "A/b", "a/b.c", "a b/c", "a/b\n", "-a/b", "a/b-"])
def test_what_is_no_flow(text: str):
    with pytest.raises(ValueError, match="not <workspace>/<flow>"):
        FlowRef.parse(text)


@pytest.mark.parametrize(
    "job", ["", "orders", "orders.v0", "orders.v01", "orders.v", "orders.v1.x", "ORDERS.v1", "x.v1\n"]
)
def test_jobs_of_others_are_none_of_ours(job: str):
    assert VersionRef.parse_job("default", job) is None


@given(st.text(max_size=30))
def test_any_text_is_an_api_user_or_none(text: str):
    version = names.parse_api_user(text)

    assert version is None or version.api_user == text
