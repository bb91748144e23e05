"""What a step process is told, and what a job spec refuses."""

from dataclasses import replace

import pytest

from nomadflows.model.errors import InputError
from nomadflows.model.graph import RunStep
from nomadflows.model.names import VersionRef
from nomadflows.model.states import Kind
from nomadflows.render.env import silent_steps, step_env
from nomadflows.render.escape import Runtime
from nomadflows.render.job import render_job
from tests.unit.render.example_flows import SITE, component

VERSION = VersionRef("default", "orders", 2)
STEP = RunStep("store", "action", "sql", "", "upsert")

# All that the component contract calls mandatory, without the secrets
MANDATORY = """FLOW_ID EXEC_ID STEP_ID CONTAINER_ID WORKSPACE_ID USER_ID COMP_ID FUNCTION API_URI API_USERNAME
LISTEN_MESSAGES_ON PUBLISH_MESSAGES_TO DATA_ROUTING_KEY ERROR_ROUTING_KEY REBOUND_ROUTING_KEY SNAPSHOT_ROUTING_KEY"""
SECRETS = "AMQP_URI API_KEY MESSAGE_CRYPTO_PASSWORD MESSAGE_CRYPTO_IV"


def render(*steps: RunStep, version: VersionRef = VERSION, **changes: object) -> str:
    return render_job(
        version,
        Kind.ORDINARY,
        "sha256:0",
        steps,
        {step.id: component("sql") for step in steps},
        {step.id: 0 for step in steps},
        replace(SITE, **changes),
    )


def test_mandatory_variables_are_there_and_secrets_are_not():
    env = step_env(VERSION, STEP, component("sql"), SITE, "/srv/x")
    assert {f"ELASTICIO_{name}" for name in MANDATORY.split()} <= set(env)
    assert not {f"ELASTICIO_{name}" for name in SECRETS.split()} & set(env)
    assert all(value if isinstance(value, str) else value.text for value in env.values())


def test_names_come_from_the_version():
    env = step_env(VERSION, STEP, component("sql"), SITE, "/srv/x")
    assert env["ELASTICIO_LISTEN_MESSAGES_ON"] == "orders.v2.store"
    assert env["ELASTICIO_PUBLISH_MESSAGES_TO"] == env["ELASTICIO_EXEC_ID"] == "orders.v2"
    assert env["ELASTICIO_DATA_ROUTING_KEY"] == "store.data"
    assert env["ELASTICIO_API_URI"] == "http://127.0.0.1:8646"  # some clients of it cannot stand a slash at the end
    assert env["ELASTICIO_CONTAINER_ID"] == Runtime("${NOMAD_ALLOC_ID}")


def test_how_much_is_kept_of_a_step_s_logs_is_the_installation_s_to_say():
    text = render(STEP, log_mb=20, disk_mb=300)
    assert "max_file_size = 20\n" in text
    assert "size = 300\n" in text


def test_only_an_error_handler_reads_errors():
    handler = replace(STEP, error_handler=True)
    assert step_env(VERSION, handler, component("sql"), SITE, "/srv/x")["ELASTICIO_INPUT_FORMAT"] == "error"
    assert "ELASTICIO_INPUT_FORMAT" not in step_env(VERSION, STEP, component("sql"), SITE, "/srv/x")


def replying(**changes):
    """A chain whose error handler, behind its mapper, answers the caller."""
    steps = (
        RunStep("hook", "trigger", "webhook", "", "receive"),
        RunStep("store", "action", "sql", "", "upsert", after=("hook",)),
        RunStep("mapper:error:oops", "mapper", "mapper", "", "map", error_handler=True),
        RunStep("oops", "action", "http", "", "reply", after=("mapper:error:oops",)),
    )
    descriptors = {"http": {"actions": {"reply": {"httpReply": True}}}, **changes}
    return steps, {step.id: replace(component(step.use), descriptor=descriptors.get(step.use, {})) for step in steps}


def test_where_the_error_handler_answers_the_caller_the_step_that_fails_does_not():
    steps, components = replying()
    assert silent_steps(steps, components) == {"hook", "store"}
    job = render_job(VERSION, Kind.ORDINARY, "sha256:0", steps, components, {step.id: 0 for step in steps}, SITE)
    assert job.count("ELASTICIO_NO_ERROR_REPLIES") == 2


def test_where_the_error_handler_does_not_answer_every_step_does():
    assert silent_steps(*replying(http={"actions": {"reply": {}}})) == set()
    assert silent_steps((STEP,), {"store": component("sql")}) == set()


def test_only_the_first_process_of_a_trigger_with_hooks_runs_its_start_up_hook():
    step = RunStep("hook", "trigger", "webhook", "", "receive", replicas=3)
    components = {"hook": replace(component("webhook"), hooks=("receive",))}
    job = render_job(VERSION, Kind.ORDINARY, "sha256:0", [step], components, {"hook": 3}, SITE)
    (line,) = [line.strip() for line in job.splitlines() if "STARTUP" in line]
    first = '(eq (env "NOMAD_ALLOC_INDEX") "0")'
    assert line == f'{{{{ if and (index . "startup_required") {first} }}}}ELASTICIO_STARTUP_REQUIRED=true{{{{ end }}}}'
    assert "STARTUP" not in render(STEP)


def test_only_a_step_with_a_credential_gets_its_file():
    assert "credential.json" not in render(STEP)
    with_credential = render(replace(STEP, credential="warehouse"))
    assert '{{ with secret "nomadflows/data/default/warehouse" }}' in with_credential
    assert 'NOMADFLOWS_CREDENTIAL_FILE           = "${NOMAD_SECRETS_DIR}/credential.json"' in with_credential


@pytest.mark.parametrize("bad", ['a"', "a b", "", "a.b", "mapper:a", "mapper:a:b:c", "ü", "a\n", "${x}"])
def test_a_step_id_that_is_no_name_is_refused(bad):
    with pytest.raises(InputError, match="step"):
        render(replace(STEP, id=bad))


@pytest.mark.parametrize("bad", ["../other", "_versions/orders.v1", 'x" }}{{ secret "', "A", ""])
def test_a_credential_cannot_name_another_path(bad):
    steps = replace(STEP, credential=bad or " ")
    with pytest.raises(InputError, match="credential"):
        render(steps)


@pytest.mark.parametrize(
    "changes", [{"kv_mount": 'a"b'}, {"kv_mount": "../sys"}, {"amqp": "amqp://user:pw@host"}, {"amqp": "http://x"}]
)
def test_a_setting_that_could_change_a_template_is_refused(changes):
    with pytest.raises(InputError):
        render(STEP, **changes)


def test_two_steps_of_one_name_are_refused():
    with pytest.raises(InputError, match="same id"):
        render(STEP, STEP)


def test_a_foreign_flow_name_is_refused():
    with pytest.raises(InputError, match="flow"):
        render(STEP, version=VersionRef("default", 'x" {}', 1))
