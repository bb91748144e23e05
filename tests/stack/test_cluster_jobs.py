"""The Nomad client against a real cluster: what the controller relies on."""

from __future__ import annotations

import pytest

from nomadflows.cluster import Nomad
from nomadflows.model.errors import Conflict, NotFound, ServerRefused, ServerUnreachable
from nomadflows.model.names import VersionRef
from tests.stack.nomad_world import alive, eventually, flow, gone_after, program, step

VERSION = VersionRef("default", "cluster-jobs", 1)


@pytest.fixture(scope="module")
def nomad(stack):
    return Nomad(stack.nomad_addr, stack.nomad_token, stack.nomad_cacert)


def without_vault(job):
    """The client is tested here, not the secrets."""
    for group in job["TaskGroups"]:
        group["Tasks"][0] |= {"Vault": None, "Templates": None, "Identities": None}
    return job


@pytest.fixture
def parked(stack, nomad, tmp_path):
    """Registered with all counts 0."""
    sleeper = program(tmp_path, 'echo "step $ELASTICIO_STEP_ID is up"; echo moan >&2; exec sleep 600')
    job = without_vault(nomad.parse(flow(VERSION, stack, sleeper, step("one"), step("mapper:one:two"), step("two"))))
    with gone_after(nomad, VERSION):
        nomad.register(job, 0)
        yield nomad.job(VERSION.workspace, VERSION.job_id)


def test_the_cluster_says_what_it_is(nomad):
    nomad.ping()
    assert nomad.version().count(".") == 2


def test_a_namespace_that_is_there_stays_as_it_is(nomad):
    nomad.ensure_namespace("cluster-once", "made by hand")
    Nomad(nomad._wire.addr, "", "").ensure_namespace("cluster-once", "another")
    assert nomad._wire.get(nomad._api.namespace, "cluster-once")["Description"] == "made by hand"


def test_a_parked_job_has_no_process_and_shows_what_it_is(nomad, parked):
    assert parked.counts == {"one": 0, "mapper:one:two": 0, "two": 0}
    assert parked.meta["flow"] == "cluster-jobs"
    assert not parked.stopped
    assert alive(nomad, VERSION) == []
    [stub] = [stub for stub in nomad.jobs(prefix="cluster-jobs.") if stub.namespace == VERSION.workspace]
    assert (stub.id, stub.modify_index, stub.meta) == (parked.id, parked.modify_index, parked.meta)


def test_counts_change_in_one_registration_and_back(nomad, parked):
    # When
    index = nomad.register_counts(parked, dict.fromkeys(parked.counts, 1))
    # Then
    running = eventually(
        lambda: [a for a in alive(nomad, VERSION) if a.client_status == "running"][2:] and alive(nomad, VERSION)
    )
    assert {alloc.group for alloc in running} == set(parked.counts)
    assert all(alloc.started for alloc in running)
    awake = nomad.job(VERSION.workspace, VERSION.job_id)
    assert awake.modify_index == index
    # When
    nomad.register_counts(awake, dict.fromkeys(parked.counts, 0))
    # Then
    eventually(lambda: not alive(nomad, VERSION))
    assert not nomad.job(VERSION.workspace, VERSION.job_id).stopped


def test_who_comes_second_is_told(nomad, parked):
    nomad.register({**parked.raw, "Meta": {**parked.meta, "digest": "sha256:1"}}, parked.modify_index)
    with pytest.raises(Conflict, match="changed meanwhile"):
        nomad.register_counts(parked, dict.fromkeys(parked.counts, 1))
    with pytest.raises(Conflict):
        nomad.register(parked.raw, 0)


def test_the_same_registration_again_changes_nothing(nomad, parked):
    assert nomad.register_counts(parked, parked.counts) == parked.modify_index
    assert nomad.register(parked.raw) == parked.modify_index


def test_going_back_and_forth_adds_nothing_to_a_job(stack, nomad):
    job = nomad.parse(flow(VERSION, stack, "/bin/false", step("one")))  # with its identity for Vault
    with gone_after(nomad, VERSION):
        nomad.register(job, 0)
        first = nomad.job(VERSION.workspace, VERSION.job_id)
        index = nomad.register_counts(first, {"one": 0})
        nomad.register({**nomad.job(VERSION.workspace, VERSION.job_id).with_counts({"one": 0}), "Priority": 51}, index)
        last = nomad.job(VERSION.workspace, VERSION.job_id)
    assert index == first.modify_index
    assert last.raw["TaskGroups"] == first.raw["TaskGroups"]


def test_a_plan_changes_nothing(nomad, parked):
    plan = nomad.plan(parked.with_counts({**parked.counts, "two": 2}))
    assert plan["Diff"]["Type"] == "Edited"
    assert nomad.plan(parked.raw)["Diff"]["Type"] == "None"
    assert nomad.job(VERSION.workspace, VERSION.job_id).modify_index == parked.modify_index


def test_a_step_that_dies_is_started_again_and_says_why(stack, nomad, tmp_path):
    dying = without_vault(nomad.parse(flow(VERSION, stack, program(tmp_path, "exit 7"), step("one"), count=1)))
    with gone_after(nomad, VERSION):
        nomad.register(dying, 0)
        alloc = eventually(
            lambda: next((a for a in nomad.allocations(VERSION.workspace, VERSION.job_id) if a.restarts >= 2), None)
        )
        assert not alloc.failed
        complaint = eventually(
            lambda: next((a.message for a in alive(nomad, VERSION) if "Exit Code: 7" in a.message), None)
        )
        assert "estart" in complaint


def test_a_step_that_ends_well_is_started_again_too(stack, nomad, tmp_path):
    ending = without_vault(nomad.parse(flow(VERSION, stack, program(tmp_path, "exit 0"), step("one"), count=1)))
    with gone_after(nomad, VERSION):
        nomad.register(ending, 0)
        eventually(lambda: any(a.restarts >= 2 for a in alive(nomad, VERSION)))


def test_logs_by_line_and_by_stream(nomad, parked):
    nomad.register_counts(parked, {**dict.fromkeys(parked.counts, 0), "two": 1})
    [alloc] = eventually(lambda: [a for a in alive(nomad, VERSION) if a.client_status == "running"])
    lines = eventually(lambda: list(nomad.logs(VERSION.workspace, alloc.id)))
    assert lines == ["step two is up"]
    assert next(nomad.logs(VERSION.workspace, alloc.id, "stderr", follow=True)) == "moan"
    with pytest.raises(NotFound):
        list(nomad.logs(VERSION.workspace, "00000000-0000-0000-0000-000000000000"))


def test_a_stopped_allocation_is_replaced(nomad, parked):
    nomad.register_counts(parked, {**dict.fromkeys(parked.counts, 0), "two": 1})
    [first] = eventually(lambda: [a for a in alive(nomad, VERSION) if a.client_status == "running"])
    nomad.stop_alloc(VERSION.workspace, first.id)
    eventually(lambda: any(a.id != first.id and a.client_status == "running" for a in alive(nomad, VERSION)))


def test_stop_and_purge_are_safe_to_repeat(nomad, parked):
    nomad.deregister(VERSION.workspace, VERSION.job_id, purge=False)
    assert nomad.job(VERSION.workspace, VERSION.job_id).stopped
    for _ in range(2):
        nomad.deregister(VERSION.workspace, VERSION.job_id, purge=True)
    assert nomad.job(VERSION.workspace, VERSION.job_id) is None


def test_what_nomad_cannot_parse_is_refused_in_its_words(nomad):
    with pytest.raises(ServerRefused, match="Unclosed configuration block"):
        nomad.parse("job {")


def test_a_cluster_that_is_not_there_is_named():
    with pytest.raises(
        ServerUnreachable, match=r"Nomad at http://127\.0\.0\.1:1 cannot be reached: Connection refused"
    ):
        Nomad("http://127.0.0.1:1").ping()
