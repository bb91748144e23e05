"""No text in any field of a flow adds, removes or alters an attribute of its job: Nomad's own parser decides.

A flow full of markers is parsed once. Each hostile flow must parse to the same document with its texts where the
markers were, or be refused before it is rendered.
"""

from __future__ import annotations

import json
import re
import unicodedata
from dataclasses import dataclass, fields

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nomadflows.cluster import Nomad
from nomadflows.model.component import ComponentVersion
from nomadflows.model.errors import InputError
from nomadflows.model.graph import RunStep
from nomadflows.model.names import VersionRef
from nomadflows.model.states import Kind
from nomadflows.render.job import render_job
from nomadflows.render.site import Site

PIECES = [
    '"', "'", "\\", '\\"', "${", "$${", "%{", "}", "{", "{{", "}}", "[[", "]]", "[%", "%]", "[#", "#]", "\n", "\r\n", "\t", "EOT", "\nEOT\n",
    "# ", "// ", "/*", "*/", "<<EOT\n", "<<-EOT\n", " = ", ",", "]", "$", "%", "\x01", "\x1b", "\x7f", "\x85", "\u2028", "\ufeff",
    "\u202e", "e\u0301", "é", "😀", "\U000e0001", 'x" }\n  group "evil" {', "${NOMAD_ALLOC_ID}", '${file("/etc/passwd")}',
    "%{ if true }x%{ endif }", '{{ with secret "sys" }}', '" | env "HOME', "null", "0", "-1",
]  # fmt: skip
text = st.one_of(
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=8).map("".join), st.text(min_size=1, max_size=40)
)

# Texts that people or descriptors choose freely …
FREE = [
    "description",
    "digest",
    "function",
    "component",
    "component_version",
    "folder",
    "python",
    "node",
    "api",
    "datacenter",
    "page",
    "variable",
    "webhooks",
]
# … and names, which have their own rules: whatever breaks them must be refused, not escaped.
NAMES = {
    "workspace": "harmless-ws",
    "flow": "harmless-flow",
    "step": "harmless-step",
    "credential": "harmless-cred",
    "mount": "harmless-kv",
}
RUNTIME = re.compile(r"\$\{[a-zA-Z0-9_\-.]+\}")


@dataclass(frozen=True)
class Texts:
    description: str
    digest: str
    function: str
    component: str
    component_version: str
    folder: str
    python: str
    node: str
    api: str
    datacenter: str
    page: str
    variable: str
    webhooks: str
    workspace: str = NAMES["workspace"]
    flow: str = NAMES["flow"]
    step: str = NAMES["step"]
    credential: str = NAMES["credential"]
    mount: str = NAMES["mount"]


IMAGES = {"third": {"image": "sha256:" + "0f" * 32}}  # other texts are no images, and refused
HARMLESS = Texts(**{name: f"harmless-{name.replace('_', '-')}-" for name in FREE})


def render(texts: Texts) -> str:
    steps = (
        RunStep(texts.step, "trigger", "a", "", texts.function, credential=texts.credential),
        RunStep("second", "action", "b", "", texts.function, env={"OWN": texts.variable}),
        RunStep("third", "action", "c", "", texts.function),
    )
    languages = {texts.step: "python", "second": "node", "third": "image"}
    components = {
        step: ComponentVersion(texts.component, texts.component_version, language, location=IMAGES.get(step, {}))
        for step, language in languages.items()
    }
    site = Site(
        component_api=texts.api,
        component_dir=lambda _: texts.folder,
        python=texts.python,
        node=texts.node,
        kv_mount=texts.mount,
        datacenters=(texts.datacenter,),
        webhooks=texts.webhooks,
        ui_base=texts.page,
    )
    counts = dict.fromkeys(languages, 0)
    return render_job(
        VersionRef(texts.workspace, texts.flow, 7),
        Kind.ORDINARY,
        texts.digest,
        steps,
        components,
        counts,
        site,
        description=texts.description,
    )


def expected(document: object, texts: Texts) -> object:
    """The harmless document with the markers replaced, as the renderer says it treats each text."""
    if isinstance(document, dict):
        return {key: expected(value, texts) for key, value in document.items()}
    if isinstance(document, list):
        return [expected(value, texts) for value in document]
    if not isinstance(document, str):
        return document
    replaced = {name: getattr(texts, name) for name in FREE}
    replaced["description"] = unicodedata.normalize("NFC", texts.description.strip())
    replaced["api"] = texts.api.rstrip("/")
    replaced["page"] = texts.page.rstrip("/")
    replaced["webhooks"] = texts.webhooks.rstrip("/")
    markers = {getattr(HARMLESS, name): replaced[name] for name in FREE}
    return re.sub("|".join(map(re.escape, markers)), lambda match: markers[match[0]], document)


def may_be_refused(texts: Texts) -> bool:
    """Nomad would complete or compose it, or no string can hold it."""
    everything = [getattr(texts, field.name) for field in fields(Texts)]
    kept = [getattr(texts, name) for name in FREE if name != "description"]
    return any("\0" in one for one in everything) or any(
        RUNTIME.search(one)
        or not unicodedata.is_normalized("NFC", one + "x")
        or unicodedata.normalize("NFC", one) != one
        for one in kept
    )


@pytest.fixture(scope="module")
def nomad(stack):
    return Nomad(stack.nomad_addr, stack.nomad_token, stack.nomad_cacert, timeout=30)


@pytest.fixture(scope="module")
def harmless(nomad):
    return nomad.parse(render(HARMLESS))


many = settings(max_examples=1_000, deadline=None, suppress_health_check=list(HealthCheck), database=None)


@settings(many, max_examples=500)
@given(texts=st.builds(Texts, **dict.fromkeys(FREE, text)))
def test_hostile_texts_everywhere_at_once(nomad, harmless, texts):
    blank = not texts.description.strip()
    try:
        rendered = render(texts)
    except InputError:
        assert may_be_refused(texts)
        return
    parsed = nomad.parse(rendered)
    wanted = expected(harmless, texts)
    if blank or not texts.page.rstrip("/"):
        return  # their blocks are left out; the other test sees to these fields one by one
    assert json.dumps(parsed, sort_keys=True) == json.dumps(wanted, sort_keys=True)


@many
@given(name=st.sampled_from(FREE), value=text)
def test_one_hostile_text_at_a_time(nomad, harmless, name, value):
    texts = Texts(**{**{field.name: getattr(HARMLESS, field.name) for field in fields(Texts)}, name: value})
    try:
        rendered = render(texts)
    except InputError:
        assert may_be_refused(texts)
        return
    if name in {"description", "page"} and not value.strip("/ \t\n\r\x1f\x1c\x1d\x1e\x0b\x0c\x85\xa0\u2028\u2029"):
        return
    assert nomad.parse(rendered) == expected(harmless, texts)


@many
@given(name=st.sampled_from(sorted(NAMES)), value=text)
def test_hostile_names_are_refused(name, value):
    texts = Texts(**{**{field.name: getattr(HARMLESS, field.name) for field in fields(Texts)}, name: value})
    if re.fullmatch(r"[A-Za-z0-9./_-]+", value):
        return  # could be a name
    with pytest.raises(InputError):
        render(texts)
