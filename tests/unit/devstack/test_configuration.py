"""The files the servers are started with, and the settings they are found by."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from nomadflows.devstack import assemble, consul, rabbitmq, vault
from nomadflows.devstack.layout import Layout, write_json, write_private
from nomadflows.devstack.nomad import NomadClient, NomadServer
from nomadflows.devstack.plan import Running, StackPlan, load_plan
from nomadflows.devstack.ports import DEFAULTS
from nomadflows.settings import Settings, load_settings

PROGRAMS = {"rabbitmq": "/bin/rabbitmq", "consul": "/bin/consul", "vault": "/bin/bao", "nomad": "/bin/nomad"}


def plan_in(home: Path, running: Running | None = None, *, controller: bool = True) -> StackPlan:
    return StackPlan(home, DEFAULTS, running or Running(), PROGRAMS, controller=controller)


def nomad_of(plan: StackPlan) -> tuple[NomadServer, NomadClient]:
    by_name = {one.name: one for one in assemble.servers(plan)}
    server, client = by_name["nomad"], by_name["nomad-client"]
    assert isinstance(server, NomadServer)
    assert isinstance(client, NomadClient)
    return server, client


def test_start_order_and_needs(tmp_path: Path) -> None:
    servers = assemble.servers(plan_in(tmp_path))
    assert [one.name for one in servers] == [
        "epmd", "rabbitmq", "consul", "vault", "nomad", "nomad-client", "identities", "controller", "gateway",
    ]  # fmt: skip
    started: set[str] = set()
    for one in servers:
        assert set(one.needs) <= started
        started.add(one.name)


def test_running_servers_are_not_started(tmp_path: Path) -> None:
    running = Running(
        consul="http://10.0.0.1:8500",
        nomad="http://10.0.0.2:4646",
        rabbitmq="amqp://me:p%40ss@10.0.0.3:5672",
        rabbitmq_api="http://10.0.0.3:15672",
        consul_token="secret-id",
    )
    plan = plan_in(tmp_path, running, controller=False)
    servers = assemble.servers(plan)
    assert [one.name for one in servers] == ["rabbitmq", "consul", "vault", "nomad", "identities"]
    assert [one.name for one in servers if one.command()] == ["vault"]
    settings = assemble.settings(plan)
    assert settings["consul_addr"] == "http://10.0.0.1:8500"
    assert settings["consul_token"] == "secret-id"
    assert settings["amqp_uri"] == "amqp://me:p%40ss@10.0.0.3:5672"


def test_plan_survives_its_file(tmp_path: Path) -> None:
    plan = plan_in(tmp_path, Running(vault="http://v:8200", vault_token="s.1"))
    plan.save(Layout(tmp_path))
    assert load_plan(Layout(tmp_path)) == plan
    assert Layout(tmp_path).plan_file.stat().st_mode & 0o777 == 0o600
    assert "s.1" not in repr(plan)


def test_settings_file_is_read_back_by_everybody(tmp_path: Path) -> None:
    # Given
    plan = plan_in(tmp_path)
    write_json(vault.key_file(tmp_path / "vault"), {"key": "k", "root_token": 's."quoted"\\'})
    file = tmp_path / "stack.toml"
    write_private(file, assemble.as_toml(assemble.settings(plan)))

    # When
    settings = load_settings(environ={"NOMADFLOWS_CONFIG": str(file)})

    # Then
    assert settings.nomad_addr == "http://127.0.0.1:14646"
    assert settings.vault_token == 's."quoted"\\'
    assert settings.amqp_uri == f"amqp://nomadflows:{rabbitmq.password(tmp_path / 'rabbitmq')}@127.0.0.1:16672"
    assert settings.component_api == "http://127.0.0.1:18646"
    assert settings.component_api_bind == "127.0.0.1:18646"
    assert tomllib.loads(file.read_text())["rabbitmq_api"] == "http://127.0.0.1:16673"


def test_nomad_agents(tmp_path: Path) -> None:
    server, client = (one.configuration() for one in nomad_of(plan_in(tmp_path)))
    for text in (server, client):
        assert 'jwt_auth_backend_path = "jwt-nomad"' in text
        assert 'aud = ["vault.io"]' in text
        assert 'bind_addr  = "127.0.0.1"' in text
        assert "client_auto_join = false" in text
    assert "http = 14646" in server
    assert "http = 14649" in client
    assert 'servers           = ["127.0.0.1:14647"]' in client
    assert '"fingerprint.denylist" = "env_aws,env_gce,env_azure,env_digitalocean"' in client
    assert '"driver.denylist" = "java,qemu"' in client
    assert 'max_kill_timeout  = "120s"' in client
    assert f'alloc_dir         = "{tmp_path}/nomad/alloc"' in client


def test_a_home_with_quotes_stays_one_string(tmp_path: Path) -> None:
    odd = tmp_path / 'a "b"'
    server, _ = nomad_of(plan_in(odd))
    assert f'data_dir   = "{tmp_path}/a \\"b\\"/nomad/server"' in server.configuration()


def test_consul_is_alone_on_loopback(tmp_path: Path) -> None:
    made = consul.configuration(tmp_path, DEFAULTS)
    assert made["bind_addr"] == made["client_addr"] == "127.0.0.1"
    assert made["ports"]["dns"] == made["ports"]["serf_wan"] == made["ports"]["grpc"] == -1
    assert made["ui_config"] == {"enabled": True}


@pytest.mark.parametrize(("product", "locked"), [("openbao", False), ("vault", True)])
def test_vault_configuration(tmp_path: Path, product: str, locked: bool) -> None:
    text = vault.configuration(tmp_path, DEFAULTS, product)
    assert ("disable_mlock" in text) is locked
    assert 'address         = "127.0.0.1:18200"' in text
    assert "telemetry" not in text


def test_rabbitmq_files_are_private(tmp_path: Path) -> None:
    # Given
    server = next(one for one in assemble.servers(plan_in(tmp_path)) if one.name == "rabbitmq")

    # When
    command = server.command()

    # Then
    assert command is not None
    conf = tmp_path / "rabbitmq" / "rabbitmq.conf"
    assert conf.stat().st_mode & 0o777 == 0o600
    password = rabbitmq.password(tmp_path / "rabbitmq")
    assert f"default_pass = {password}" in conf.read_text()
    assert "listeners.tcp.local = 127.0.0.1:16672" in conf.read_text()
    assert password not in " ".join([*command.argv, *command.env.values()])
    assert command.env["RABBITMQ_NODENAME"] == "nomadflows-16672@localhost"
    assert command.env["ERL_EPMD_PORT"] == "16369"


def test_rabbitmq_password_is_made_once(tmp_path: Path) -> None:
    assert rabbitmq.password(tmp_path) == rabbitmq.password(tmp_path)
    assert len(rabbitmq.password(tmp_path)) == 32


def test_the_broker_leaves_a_message_with_its_step_for_longer_than_the_watchdog_does() -> None:
    lines = dict(line.split(" = ", 1) for line in rabbitmq.configuration(DEFAULTS, "x").splitlines() if " = " in line)
    assert int(lines["consumer_timeout"]) / 1000 > Settings().stalled_after
