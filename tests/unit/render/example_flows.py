"""The flows of the golden files."""

from nomadflows.model.component import ComponentVersion
from nomadflows.model.graph import RunStep
from nomadflows.model.names import VersionRef
from nomadflows.model.states import Kind
from nomadflows.render.job import render_job
from nomadflows.render.site import Site

SITE = Site(
    component_api="http://127.0.0.1:8646/",
    component_dir=lambda component: f"/srv/components/{component.name}/{component.version}",
    python="/opt/nomadflows/bin/python",
    webhooks="https://hooks.example",
    ui_base="http://127.0.0.1:8500/ui/dc1/kv/nomadflows/flows/",
)


def component(name: str, version: str = "1.0.0", language: str = "python", **location: str) -> ComponentVersion:
    return ComponentVersion(name, version, language, location=location or {"builtin": name})


def ordinary() -> str:
    """Three visible steps, five real ones; parked."""
    steps = (
        RunStep("orders", "trigger", "files", "", "watch"),
        RunStep("mapper:orders:enrich", "mapper", "mapper", "", "map", after=("orders",), visible=False),
        RunStep("enrich", "action", "jsonata", "1.2.0", "transform", after=("mapper:orders:enrich",)),
        RunStep("mapper:enrich:store", "mapper", "mapper", "", "map", after=("enrich",), visible=False),
        RunStep(
            "store",
            "action",
            "sql",
            "",
            "upsert",
            credential="warehouse-db",
            after=("mapper:enrich:store",),
            replicas=2,
            prefetch=20,
            memory=512,
            cpu=250,
            env={"REQUEST_TIMEOUT": "20000", "GREETING": 'a "quoted" %{text}', "ELASTICIO_DATA_RATE_LIMIT": "5"},
            log_level="debug",
        ),
    )
    components = {step.id: component(step.use, step.pinned or "1.0.0") for step in steps}
    return render_job(
        VersionRef("default", "orders-to-warehouse", 3),
        Kind.ORDINARY,
        "sha256:3f7a",
        steps,
        components,
        {step.id: 0 for step in steps},
        SITE,
        description='Orders of the "main" shop, ${not} replaced: 100 %{sure}\nSecond line.',
    )


def realtime() -> str:
    """A trigger in Python, an action in Node, one from an image, and an error handler; all allocated."""
    steps = (
        RunStep("hook", "trigger", "webhook", "", "receive"),
        RunStep(
            "split",
            "action",
            "splitter",
            "",
            "split",
            after=("hook",),
            credential="shop-api",
            secret_env={"SHOP_KEY": "client_id", "SHOP_SECRET": "client_secret"},
        ),
        RunStep("send", "action", "edi", "", "send", after=("split",), replicas=3, credential="edi-partner"),
        RunStep("count", "action", "tally", "", "count", after=("send",), credential="tally-db"),
        RunStep("complain", "action", "log", "", "write", error_handler=True),
    )
    components = {
        "hook": component("webhook"),
        "split": component("splitter", "2.0.1", "node", path="/srv/splitter"),
        "send": component(
            "edi",
            "0.3.0",
            "node",
            image="registry.example/edi@sha256:" + "0f" * 32,
            dir="/home/node/app",
            credential="example-registry",
        ),
        "count": component("tally", "1.4.0", "python", image="sha256:" + "a1" * 32, dir="/component"),
        "complain": component("log"),
    }
    counts = {step.id: step.replicas for step in steps}
    return render_job(
        VersionRef("sales", "live-orders", 12), Kind.REALTIME, "sha256:90c1", steps, components, counts, SITE
    )


FLOWS = {"ordinary": ordinary, "realtime": realtime}
