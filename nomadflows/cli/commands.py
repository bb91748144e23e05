"""Which commands there are, where each one's code is, and the page `nomadflows --help` prints.

Plain data and no imports at all: the page shows in little more than the interpreter's own start, and a command's
module is imported only when that command runs.
"""

from __future__ import annotations

# name → (module, attribute, one line for people)
Table = dict[str, tuple[str, str, str]]

# rows of a table, one line each
# fmt: off
SECTIONS: tuple[tuple[str, Table], ...] = (
    ("Start here", {
        "dev": ("nomadflows.cli.dev", "dev", "The local stack of servers: up, status, down, reset."),
        "doctor": ("nomadflows.cli.doctor", "doctor", "Check every server, version and permission; say how to mend."),
        "run": ("nomadflows.cli.run", "run", "From a flow file to its result: apply, publish, start, follow."),
    }),
    ("Work with flows", {
        "flow": ("nomadflows.cli.flow", "flow", "List, show, change, publish, start and stop flows."),
        "why": ("nomadflows.cli.why", "why", "Tell a flow's history: each transition and its cause."),
        "credential": ("nomadflows.cli.credential", "credential", "Keep the secrets that steps need in Vault."),
        "component": ("nomadflows.cli.component", "component", "Deploy, see, deprecate and delete components."),
        "workspace": ("nomadflows.cli.workspace", "workspace", "Create, set, list and show workspaces."),
        "user": ("nomadflows.cli.user", "user", "Say who may use the REST API, and make their keys."),
    }),
    ("Run the system", {
        "controller": ("nomadflows.cli.controller", "controller_group", "The process that starts, parks and wakes flows."),
        "gateway": ("nomadflows.cli.gateway", "gateway_group", "The process that takes webhooks and REST calls."),
        "completion": ("nomadflows.cli.completion", "completion", "Print the completion script of a shell."),
    }),
)

FLOW_SECTIONS: tuple[tuple[str, Table], ...] = (
    ("Definition", {
        "validate": ("nomadflows.cli.flow_define", "validate", "Check a flow file; nothing is stored."),
        "apply": ("nomadflows.cli.flow_define", "apply", "Store a flow file as the flow's draft."),
        "plan": ("nomadflows.cli.flow_plan", "plan", "Show what publish or start would change."),
        "publish": ("nomadflows.cli.flow_define", "publish", "Make the draft the next version."),
        "versions": ("nomadflows.cli.flow_look", "versions", "List the published versions."),
        "diff": ("nomadflows.cli.flow_versions", "diff", "Show how two versions, or version and draft, differ."),
        "revert": ("nomadflows.cli.flow_versions", "revert", "Make an old version the next one."),
        "export": ("nomadflows.cli.flow_exchange", "export", "Print a version as a flow file."),
        "update-components": ("nomadflows.cli.flow_components", "update_components", "Draft with the newest components."),
        "import": ("nomadflows.cli.flow_exchange", "import_", "Make a new flow of a flow file."),
        "delete": ("nomadflows.cli.flow_define", "delete", "Remove a stopped flow and all its versions."),
        "restore": ("nomadflows.cli.flow_define", "restore", "Bring a deleted flow back."),
    }),
    ("Look", {
        "list": ("nomadflows.cli.flow_look", "list_", "List flows and their states."),
        "show": ("nomadflows.cli.flow_look", "show", "Show one flow: state, conditions, steps."),
        "logs": ("nomadflows.cli.flow_logs", "logs", "Print what the steps log."),
        "queues": ("nomadflows.cli.flow_look", "queues", "Show each step's queue."),
        "errors": ("nomadflows.cli.flow_errors", "errors", "Show what failed, and what it failed on."),
        "dead": ("nomadflows.cli.flow_dead", "dead", "Show, replay or drop rejected messages."),
    }),
    ("State", {
        "start": ("nomadflows.cli.flow_state", "start", "Start the latest version."),
        "stop": ("nomadflows.cli.flow_state", "stop", "Stop; unprocessed messages are dropped."),
        "suspend": ("nomadflows.cli.flow_state", "suspend", "Pause; messages are kept."),
        "resume": ("nomadflows.cli.flow_state", "resume", "Go on after a suspension."),
        "retry": ("nomadflows.cli.flow_errors", "retry", "Give failed messages to their step again."),
        "run-now": ("nomadflows.cli.flow_state", "run_now", "Give the trigger a tick now."),
        "scale": ("nomadflows.cli.flow_tune", "scale", "Run a step in more or fewer processes."),
        "pause-repair": ("nomadflows.cli.flow_tune", "pause_repair", "Leave changes made by hand as they are."),
        "resume-repair": ("nomadflows.cli.flow_tune", "resume_repair", "Put changes made by hand right again."),
        "enable-realtime": ("nomadflows.cli.flow_state", "enable_realtime", "Keep the flow's processes always running."),
        "disable-realtime": ("nomadflows.cli.flow_state", "disable_realtime", "Make the flow ordinary again."),
    }),
)

COMPONENT_SECTIONS: tuple[tuple[str, Table], ...] = (
    ("Look", {
        "list": ("nomadflows.cli.component", "list_", "List components."),
        "show": ("nomadflows.cli.component", "show", "Show a component: functions, fields."),
        "versions": ("nomadflows.cli.component", "versions", "List the versions of a component."),
    }),
    ("Ask", {
        "verify": ("nomadflows.cli.component_ask", "verify", "Let a component check a credential."),
        "metadata": ("nomadflows.cli.component_ask", "metadata", "Which fields a function takes and gives."),
        "select": ("nomadflows.cli.component_ask", "select", "What may be chosen for a field."),
    }),
    ("Develop", {
        "test": ("nomadflows.cli.component_test", "test", "Give a folder's component a message, without servers."),
    }),
    ("Change", {
        "deploy": ("nomadflows.cli.component_deploy", "deploy", "Make a folder or an image the next version."),
        "build": ("nomadflows.cli.component_deploy", "build", "Make an image of a component's folder."),
        "deprecate": ("nomadflows.cli.component_deploy", "deprecate", "Advise against a version."),
        "delete": ("nomadflows.cli.component_deploy", "delete", "Delete a version that no flow uses."),
    }),
)
# fmt: on

SHARED_OPTIONS = (
    ("-w, --workspace NAME", "The workspace; default: default."),
    ("-o, --output FORMAT", "table (for people), json or yaml (for programs)."),
    ("--consul-addr URL", "Also NOMADFLOWS_CONSUL_ADDR or CONSUL_HTTP_ADDR."),
    ("--nomad-addr URL", "Also NOMADFLOWS_NOMAD_ADDR or NOMAD_ADDR."),
    ("--vault-addr URL", "Also NOMADFLOWS_VAULT_ADDR or VAULT_ADDR."),
    ("--rabbitmq-api URL", "Also NOMADFLOWS_RABBITMQ_API."),
    ("--timeout SECONDS", "How long a server may take to answer; default: 4."),
    ("--version", "Show the version and exit."),
    ("-h, --help", "Show this page, or a command's page, and exit."),
)

_FOOT = """\
Options stand before or after the command. Tokens and the broker's address hold secrets, so they have no
flag: set CONSUL_HTTP_TOKEN, NOMAD_TOKEN, VAULT_TOKEN, NOMADFLOWS_AMQP_URI, or a file (NOMADFLOWS_CONFIG).

Exit codes: 0 done · 1 refused or failed · 2 wrong input · 3 a server cannot be reached · 4 --wait ran out.

First steps:
  nomadflows dev up
  nomadflows run examples/orders-to-warehouse.yaml
"""


def overview() -> str:
    """The page of `nomadflows --help`."""
    parts = ["Usage: nomadflows [OPTIONS] COMMAND [ARGS]...", "", "  Integration flows on HashiCorp Nomad.", ""]
    for title, table in SECTIONS:
        parts += [f"{title}:", *(f"  {name:<12}{entry[2]}" for name, entry in table.items()), ""]
    parts += ["Options:", *(f"  {names:<24}{text}" for names, text in SHARED_OPTIONS), "", _FOOT]
    return "\n".join(parts)
