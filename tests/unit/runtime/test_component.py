"""Finding what a descriptor names."""

from __future__ import annotations

import json
import sys

import pytest

from nomadflows.runtime.component import ComponentError, load


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)

    def make(main, source="def process(message, config, snapshot): ...", file="main_module.py"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(source)
        (tmp_path / "component.json").write_text(json.dumps({"actions": {"act": {"main": main}}}))
        return str(tmp_path)

    yield make
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.mark.parametrize(("main", "file"), [
    ("main_module", "main_module.py"), ("./main_module.py", "main_module.py"), ("main_module.py:process", "main_module.py"),
    ("lib/orders.py", "lib/orders.py"), ("lib.orders:process", "lib/orders.py"),
])  # fmt: skip
def test_spellings_of_main(folder, main, file):
    assert load(folder(main, file=file), "act").process.__name__ == "process"


@pytest.mark.parametrize(("source", "context", "coroutine"), [
    ("def process(message, config, snapshot): ...", False, False),
    ("def process(message, config, snapshot, context): ...", True, False),
    ("def process(*arguments): ...", True, False),
    ("async def process(message, config, snapshot): ...", False, True),
    ("async def process(message, config, snapshot, context): yield 1", True, True),
    (("import functools\ndef outer(f):\n @functools.wraps(f)\n def inner(*a): return f(*a)\n return inner\n"
     "@outer\ndef process(message, config, snapshot): ..."), False, False),
])  # fmt: skip
def test_kinds_of_process(folder, source, context, coroutine):
    component = load(folder("main_module", source), "act")
    assert (component.takes_context, component.is_async) == (context, coroutine)


def test_what_is_missing_is_named(folder, tmp_path):
    with pytest.raises(ComponentError, match=r"no component\.json"):
        load(str(tmp_path), "act")
    with pytest.raises(ComponentError, match="no module 'other'"):
        load(folder("other"), "act")
    with pytest.raises(ComponentError, match="no trigger or action 'x'; it has: act"):
        load(folder("main_module"), "x")
    with pytest.raises(ComponentError, match="no function 'process'"):
        load(folder("main_module", "x = 1"), "act")


def test_an_import_error_inside_a_component_is_its_own(folder):
    with pytest.raises(ModuleNotFoundError, match="not_there"):
        load(folder("main_module", "import not_there"), "act")


def test_hooks_may_be_missing_or_coroutines(folder):
    component = load(folder("main_module", "async def init(c): return c\ndef process(m, c, s): ..."), "act")
    assert component.run_hook("startup", 1) is None
    assert component.run_hook("init", 1) == 1
