"""Settings that do not fit each other are told by name."""

import pytest

from nomadflows.controller.leader import site
from nomadflows.model.errors import InputError
from nomadflows.settings import Settings, load_settings


def settings(**values: str) -> Settings:
    return load_settings(
        environ={"NOMADFLOWS_CONFIG": "/dev/null", **{f"NOMADFLOWS_{k.upper()}": v for k, v in values.items()}}
    )


def test_nodes_may_fetch_elsewhere_than_deploy_puts():
    assert site(settings(component_api="http://10.0.0.1:8646")).artifacts == "http://10.0.0.1:8646/artifacts"
    found = settings(artifact_url="https://put.example/bucket/", artifact_fetch_url="https://get.example/")
    assert found.artifacts == "https://put.example/bucket"
    assert site(found).artifacts == "https://get.example"
    by_nomad = settings(
        artifact_url="https://put.example", artifact_fetch_url="s3::https://s3.example/bucket", component_fetch="nomad"
    )
    assert site(by_nomad).artifacts == "s3::https://s3.example/bucket"


def test_the_component_api_is_the_store_also_where_it_is_named():
    api = {"component_api": "http://10.0.0.1:8646"}
    assert settings(**api).keeps_artifacts
    assert settings(**api, artifact_url="http://10.0.0.1:8646/artifacts/").keeps_artifacts
    assert not settings(**api, artifact_url="http://10.0.0.2/artifacts").keeps_artifacts


def test_a_step_s_logs_and_disk_are_settings():
    found = site(settings(step_log_mb="20", step_disk_mb="300"))
    assert (found.log_mb, found.disk_mb) == (20, 300)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"artifact_url": "s3::https://s3.example/bucket"}, "artifact_url: components are put there by HTTP"),
        (
            {"artifact_url": "s3::https://s3.example/bucket", "component_fetch": "nomad"},
            "artifact_url: components are put there by HTTP",
        ),
        ({"artifact_fetch_url": "s3::https://s3.example/bucket"}, "artifact_fetch_url: nodes fetch by HTTP"),
        ({"component_keep_days": "soon"}, "component_keep_days: not a number of days"),
        ({"step_log_mb": "10"}, "step_disk_mb: 50 MB do not hold"),
        ({"step_log_mb": "0"}, "step_disk_mb: 50 MB do not hold"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(values, said):
    with pytest.raises(InputError, match=said):
        settings(**values)


@pytest.mark.parametrize(
    ("given", "said"), [("0", "no container runs as root"), ("-1", "no container"), ("me", "whole")]
)
def test_containers_never_run_as_root(given, said):
    assert settings(container_user="1").container_user == 1
    with pytest.raises(InputError, match=f"container_user: .*{said}"):
        settings(container_user=given)
