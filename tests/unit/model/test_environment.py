"""Which variables a flow may set for a step, and which only the platform does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nomadflows.model.environment import problems
from nomadflows.model.flow import FlowDefinition
from nomadflows.model.flowfile import parse_flow_file
from nomadflows.model.graph import RunStep, expand
from nomadflows.model.names import VersionRef
from nomadflows.render.env import step_env
from tests.unit.model.descriptors import COMPONENTS
from tests.unit.render.example_flows import SITE, component

JOBSPECS = Path(__file__).parents[3] / "jobspecs"
FLOW = """
flow: shop
steps:
  - {id: in, use: "hook:receive"}
  - {id: note, use: "log:write", log_level: debug, env: {REQUEST_TIMEOUT: "20000"}}
"""


def test_a_step_has_its_variables_and_level_and_a_mapper_none():
    definition = parse_flow_file(FLOW.replace("env:", "map: {a: b}, env:"), "f")
    assert FlowDefinition.from_json(definition.to_json()) == definition
    run = {step.id: step for step in expand(definition)}
    assert (run["note"].env, run["note"].log_level) == ({"REQUEST_TIMEOUT": "20000"}, "debug")
    assert (run["mapper:in:note"].env, run["mapper:in:note"].log_level) == ({}, "")


def test_what_the_platform_sets_no_flow_does_unless_it_only_tunes():
    handler = RunStep("store", "action", "sql", "", "upsert", credential="x", error_handler=True)
    platforms = {*step_env(VersionRef("default", "orders", 2), handler, component("sql"), SITE, "/srv/x")}
    for template in ("flow.nomad.hcl.j2", "once.nomad.hcl.j2", "registry.hcl.j2"):
        platforms |= set(re.findall(r"\b((?:ELASTICIO|NOMADFLOWS)_[A-Z_]+)=", (JOBSPECS / template).read_text()))
    platforms |= {"ELASTICIO_STARTUP_REQUIRED", "ELASTICIO_HOOK_SHUTDOWN", "NOMADFLOWS_ARTIFACT_URL"}
    assert len(platforms) > 30
    allowed = {name for name in platforms if not list(problems({name: "x"}))}
    assert allowed == {"ELASTICIO_DATA_RATE_LIMIT"}


@pytest.mark.parametrize(
    "name",
    ["NODE_OPTIONS", "PYTHONPATH", "PYTHONSTARTUP", "LD_PRELOAD", "BASH_ENV", "OPENSSL_CONF", "PATH", "path", "VAULT_TOKEN",
     "NOMAD_TOKEN", "elasticio_API_KEY", "LOG_LEVEL", "EIO_REQUIRED_RAM_MB", "", "1A", "A B", "A=B", "ä", "A" * 129],
)  # fmt: skip
def test_names_that_are_refused(name: str):
    assert list(problems({name: "swordfish"}))
    assert "swordfish" not in "".join(problems({name: "swordfish"}))


@pytest.mark.parametrize("value", ["${NOMAD_ALLOC_ID}", "a\0b", "\ud800", "e\u0301", "x" * 8_193])
def test_values_that_no_job_spec_keeps_are_refused(value: str):
    (problem,) = problems({"GREETING": value})
    assert value not in problem


@pytest.mark.parametrize("value", ["", 'a "quoted" text', "{{ with secret }}", "two\nlines", "%{x}", "$5"])
def test_any_other_text_is_a_value(value: str):
    assert not list(problems({"GREETING": value, "http_proxy": value, "ELASTICIO_REBOUND_LIMIT": "3"}))


def test_no_secret_becomes_a_header_of_every_message():
    listed = {"ELASTICIO_ADDITIONAL_VARS_FOR_HEADERS": "ELASTICIO_FLOW_VERSION, ELASTICIO_API_KEY"}
    assert "ELASTICIO_API_KEY would travel" in "".join(problems(listed))
    assert not list(problems({"ELASTICIO_ADDITIONAL_VARS_FOR_HEADERS": "ELASTICIO_FLOW_VERSION"}))


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ('env: {NODE_OPTIONS: "--require x"}', r"steps\[1\].env: 'NODE_OPTIONS': can make a process load other code"),
        ("env: {REQUEST_TIMEOUT: 20000}", r"steps\[1\].env.*"),
        ("env: [a]", r"steps\[1\].env: .*allowed: a mapping of names to texts"),
        ("secret_env: {KEY: client_id}", r"steps\[1\].secret_env: its values are members of the step's credential"),
        ("credential: c, secret_env: {KEY: a.b}", r"steps\[1\].secret_env: 'KEY': no member of a credential"),
        ("credential: c, secret_env: {NODE_OPTIONS: a}", r"steps\[1\].secret_env: 'NODE_OPTIONS': can make"),
        ("credential: c, secret_env: {ELASTICIO_REBOUND_LIMIT: a}", r"steps\[1\].secret_env: .*is no secret"),
        ("credential: c, secret_env: {A: a}, env: {A: b}", r"steps\[1\].secret_env.A: stands in env too"),
        ("log_level: loud", r"steps\[1\].log_level: .*allowed: trace, debug, info, warn, error, fatal"),
    ],
)
def test_a_flow_file_says_where_it_is_wrong(written: str, said: str):
    with pytest.raises(Exception, match=said):
        parse_flow_file(FLOW.replace('log_level: debug, env: {REQUEST_TIMEOUT: "20000"}', written), "f")


def test_what_a_component_needs_must_be_there():
    known = COMPONENTS["log"][0]
    described = {**known.descriptor, "envVars": {"SHOP_URL": {"required": True}, "OPTIONAL": {"description": "x"}}}
    needy = type(known)(known.name, known.version, known.language, described, {"path": "/srv/log"})
    components = {**COMPONENTS, "log": [needy]}
    with pytest.raises(Exception, match="component 'log' needs the variable 'SHOP_URL'"):
        parse_flow_file(FLOW, "f", components)
    assert parse_flow_file(FLOW.replace("REQUEST_TIMEOUT", "SHOP_URL"), "f", components)
    described["credentials"] = {"fields": {"url": {}}}
    secret = FLOW.replace("log_level: debug", "credential: c, secret_env: {SHOP_URL: url}")
    step = parse_flow_file(secret, "f", components).steps[1]
    assert expand(parse_flow_file(secret, "f", components))[1].secret_env == step.secret_env == {"SHOP_URL": "url"}
