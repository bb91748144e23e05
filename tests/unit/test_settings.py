"""Settings that do not fit each other are told by name."""

import re
from dataclasses import fields
from pathlib import Path

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


@pytest.mark.parametrize(
    ("given", "steps"),
    [
        ({"amqp_uri": "amqp://u:p@rabbit.example:5673"}, "amqp://rabbit.example:5673"),
        ({"amqp_uri": "amqp://u:p@rabbit.example"}, "amqp://rabbit.example:5672"),
        ({"amqp_uri": "amqps://u:p@rabbit.example"}, "amqps://rabbit.example:5671"),
        ({"amqp_uri": "amqp://u:p@[::1]:5672"}, "amqp://[::1]:5672"),
        ({"amqp_uri": "amqps://u:p@10.0.0.1", "steps_amqp_addr": "rabbit.example:5671"}, "amqps://rabbit.example:5671"),
    ],
)
def test_steps_find_the_broker_where_the_controller_does_unless_told(given, steps):
    assert site(settings(**given)).amqp == steps


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
        ({"tick_jitter": "-1"}, "tick_jitter: not a number of seconds from 0 on"),
        ({"deaf_after": "nan"}, "deaf_after: not a number of seconds from 0 on"),
        ({"timeout": "0"}, "timeout: no server answers in 0 seconds"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(values, said):
    with pytest.raises(InputError, match=said):
        settings(**values)


@pytest.mark.parametrize(("given", "said"), [("0", "no container runs as root"), ("-1", "whole"), ("me", "whole")])
def test_containers_never_run_as_root(given, said):
    assert settings(container_user="1").container_user == 1
    with pytest.raises(InputError, match=f"container_user: .*{said}"):
        settings(container_user=given)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"workspace = 7", "workspace: expected text in quotes"),
        (b"vault_token = 123456", "vault_token: expected text in quotes"),
        (b"timeout = []", "timeout: expected a number of seconds"),
        (b"timeout = true", "timeout: expected a number of seconds"),
        (b"object_bytes = inf", "object_bytes: not a whole number"),
        (b"tiemout = 4", "unknown setting 'tiemout'"),
        (b"timeout = ", "not TOML"),
        (b"# \xff", "not UTF-8 text"),
    ],
)
def test_a_file_that_is_wrong_is_told_without_what_it_holds(tmp_path, text, said):
    (tmp_path / "config.toml").write_bytes(text)
    with pytest.raises(InputError, match=re.escape(said)) as caught:
        load_settings(environ={"NOMADFLOWS_CONFIG": str(tmp_path / "config.toml")})
    assert "123456" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_told(tmp_path):
    with pytest.raises(InputError, match=r"cannot read the settings in .*: Is a directory"):
        load_settings(environ={"NOMADFLOWS_CONFIG": str(tmp_path)})


def test_the_page_tells_every_setting_with_its_default():
    page = (Path(__file__).parents[2] / "docs/settings.md").read_text("utf-8")
    told = {name: default.strip(" `") for name, default in re.findall(r"^\| `(\w+)` \|([^|]*)\|", page, re.MULTILINE)}
    ours = {item.name: item.default for item in fields(Settings)}
    assert list(told) == list(ours)
    written = {name: default for name, default in told.items() if default and not default.startswith("<")}
    for name, default in written.items():
        assert type(ours[name])(default) == ours[name], name
    assert all(not ours[name] for name in ours.keys() - written.keys() - {"step_python"})
