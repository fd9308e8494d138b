"""Plugin files: loaded by path, fresh at every load, and no stranger's mistake ever comes out of it."""

import asyncio
import gc
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from dialplan.config.loading import Loading
from dialplan.config.model import Function
from dialplan.config.plugins.loader import PluginFunction
from dialplan.facts import Call
from tests.config.files import agent_of, codes, loaded, told, under, write

AGENT = 'numbers: ["*"]\nprompt: Be brief.\nplugins: [plugins.p]\nfunctions: [{names}]\n'


def load(root: Path, plugin: str, names: str = "f", **others: str) -> Loading:
    files = {f"plugins/{name}.py": text for name, text in others.items()}
    return loaded(root, {"agents/a.yaml": AGENT.replace("{names}", names), "plugins/p.py": plugin, **files})


def function_of(loading: Loading, name: str = "f") -> Function:
    return agent_of(loading).functions[name]


def called(loading: Loading, name: str = "f", /, **arguments: Any) -> Any:
    runs = function_of(loading, name).runs
    assert isinstance(runs, PluginFunction)
    return runs.call(**arguments)


# What a plugin's functions are.


def test_the_public_functions_of_a_file_are_its_functions(tmp_path: Path) -> None:
    plugin = (
        "from functools import cache, wraps\n"
        "from json import dumps\n"
        "from os.path import join\n"
        "def f() -> str:\n    return _g()\n"
        "def _g() -> str:\n    return 'g'\n"
        "async def h() -> str:\n    return 'h'\n"
        "@cache\ndef kept() -> str:\n    return 'kept'\n"
        "def twice(call):\n    @wraps(call)\n    def run(**named): return call(**named) * 2\n    return run\n"
        "@twice\ndef doubled(word: str) -> str:\n    return word\n"
        "class Drug:\n    pass\n"
        "number = 3\n"
    )
    loading = load(tmp_path, plugin, "f, h, kept, doubled, _g, dumps, join, Drug, number")

    assert [code for code in codes(loading) if code != "W302"] == ["E303"] * 5
    assert under(loading)[-5:] == ["_g", "dumps", "join", "Drug", "number"]
    loading = load(tmp_path, plugin, "f, h, kept, doubled")
    assert called(loading) == "g"
    assert asyncio.run(called(loading, "h")) == "h"
    assert called(loading, "kept") == "kept"
    assert called(loading, "doubled", word="a") == "aa"


def test_a_function_map_names_them_instead(tmp_path: Path) -> None:
    plugin = (
        "class Prices:\n"
        "    def get(self, name: str) -> int:\n        '''Price of one.'''\n        return 5\n"
        "    def __call__(self, name: str) -> int:\n        return 6\n"
        "def hidden() -> str:\n    return ''\n"
        "function_map = {'f': Prices().get, 'g': Prices(), 'h': lambda: 7, 'no': 3}\n"
    )

    loading = load(tmp_path, plugin, "f, g, h, hidden, no")

    assert under(loading)[-2:] == ["hidden", "no"]
    loading = load(tmp_path, plugin, "f, g, h")
    assert [
        called(loading, name, **named) for name, named in (("f", {"name": "x"}), ("g", {"name": "x"}), ("h", {}))
    ] == [5, 6, 7]
    assert function_of(loading).description == "Price of one."
    assert function_of(loading, "g").parameters["required"] == ["name"]


def test_a_plugin_may_be_a_package_and_lie_deeper(tmp_path: Path) -> None:
    files = {
        "agents/a.yaml": (
            'numbers: ["*"]\nprompt: x\nplugins: [plugins.shop.prices, plugins.stock, flat]\nfunctions: [f, g, h]\n'
        ),
        "plugins/shop/prices.py": "from ..stock.count import COUNT\ndef f() -> int:\n    return COUNT\n",
        "plugins/stock/__init__.py": "from .count import COUNT\ndef g() -> int:\n    return COUNT + 1\n",
        "plugins/stock/count.py": "COUNT = 41\n",
        "flat.py": "def h() -> int:\n    return 43\n",
    }

    loading = loaded(tmp_path, files)

    assert [called(loading, name) for name in "fgh"] == [41, 42, 43]


def test_siblings_are_imported_with_a_dot_also_inside_of_functions(tmp_path: Path) -> None:
    plugin = (
        "from . import shared\nfrom .shared import one\n"
        "def f() -> int:\n    from . import late\n    return one() + late.two()\n"
    )

    loading = load(
        tmp_path, plugin, shared="def one() -> int:\n    return 1\n", late="def two() -> int:\n    return 2\n"
    )

    assert called(loading) == 3


def test_hints_as_text_and_dataclasses_work(tmp_path: Path) -> None:
    plugin = (
        "from __future__ import annotations\n"
        "from dataclasses import dataclass, asdict\n"
        "from dialplan import Call\n"
        "@dataclass(frozen=True, slots=True)\nclass Drug:\n    name: str\n    price: int = 5\n"
        "def f(name: str, call: Call) -> dict[str, object]:\n    return asdict(Drug(name)) | {'from': call.from_}\n"
    )

    loading = load(tmp_path, plugin)

    assert called(loading, name="x", call=Call("CA1", from_="+1555")) == {"name": "x", "price": 5, "from": "+1555"}


def test_an_installed_package_of_the_same_name_is_not_in_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(
        tmp_path, {"site/plugins/__init__.py": "", "site/plugins/p.py": "def f() -> str:\n    return 'the wrong one'\n"}
    )
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    loading = load(tmp_path / "project", "def f() -> str:\n    return 'the right one'\n")

    assert called(loading) == "the right one"
    assert "plugins.p" not in sys.modules


def test_an_installed_package_is_a_plugin_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"site/dialplan_test_shop/__init__.py": "def f() -> str:\n    return 'installed'\n"})
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    agent = AGENT.replace("plugins.p", "dialplan_test_shop").replace("{names}", "f")

    assert called(loaded(tmp_path / "project", {"agents/a.yaml": agent})) == "installed"


# Loading again.


def test_a_quick_edit_of_the_same_size_is_seen(tmp_path: Path) -> None:
    results = []

    for number in (1, 2, 3):
        results.append(called(load(tmp_path, f"def f() -> int:\n    return {number}\n")))
        os.utime(tmp_path / "plugins" / "p.py", (1_700_000_000, 1_700_000_000))

    assert results == [1, 2, 3]
    assert not list(tmp_path.rglob("__pycache__"))
    assert not list(tmp_path.rglob("*.pyc"))


def test_a_call_keeps_the_code_that_it_began_with(tmp_path: Path) -> None:
    plugin = "from . import shared\ndef f() -> int:\n    from . import late\n    return shared.N * 10 + late.N\n"
    before = load(tmp_path, plugin, shared="N = 1\n", late="N = 1\n")

    after = load(tmp_path, plugin, shared="N = 2\n", late="N = 1\n")

    assert called(before) == 11
    assert called(after) == 21


def test_what_a_function_imports_late_is_of_its_own_age_though_the_file_is_another_one_by_then(tmp_path: Path) -> None:
    plugin = "def f() -> int:\n    from . import late\n    return late.N\n"
    before = load(tmp_path, plugin, late="N = 1\n")
    after = load(tmp_path, plugin, late="N = 2\n")
    (tmp_path / "plugins" / "late.py").unlink()
    gc.collect()

    assert [called(before), called(after)] == [1, 2]


def test_code_that_no_call_needs_any_more_is_forgotten(tmp_path: Path) -> None:
    def kept() -> list[str]:
        gc.collect()
        return [name for name in sys.modules if name.startswith("_dialplan_plugins_")]

    before = kept()
    loading = load(tmp_path, "def f() -> int:\n    return 1\n")
    assert len(kept()) > len(before)
    function = function_of(loading)
    del loading
    assert len(kept()) > len(before)
    del function

    assert kept() == before


def test_one_plugin_is_imported_once_for_all_agents(tmp_path: Path) -> None:
    plugin = (
        "import os\nos.environ['IMPORTED'] = os.environ.get('IMPORTED', '') + 'x'\ndef f() -> str:\n    return ''\n"
    )
    agents = {
        f"agents/{n}.yaml": f'numbers: ["+1555000{n}"]\nprompt: x\nplugins: [plugins.p]\nfunctions: [f]\n'
        for n in "123"
    }

    try:
        loaded(tmp_path, {**agents, "plugins/p.py": plugin})
        assert os.environ["IMPORTED"] == "x"
    finally:
        os.environ.pop("IMPORTED", None)


# What goes wrong in it.


@pytest.mark.parametrize(
    ("plugin", "line", "said"),
    [
        ("x = 1\nraise ValueError('no price list')\n", 2, "ValueError: no price list"),
        ("import sys\n\nsys.exit('bye')\n", 3, "SystemExit: bye"),
        ("def f(\n", 1, "SyntaxError: '(' was never closed"),
        ("def f():\nreturn 1\n", 2, "IndentationError"),
        ("def f():\n", 1, "IndentationError"),
        ("import asyncio\nraise asyncio.CancelledError\n", 2, "CancelledError"),
        ("raise GeneratorExit\n", 1, "GeneratorExit"),
        ("raise type('Odd', (BaseException,), {'__str__': lambda self: 1 / 0})\n", 1, "Odd"),
        ("def g():\n    return h()\ndef h():\n    return 1 / 0\nx = g()\n", 4, "ZeroDivisionError: division by zero"),
        ("def f(): return f()\nf()\n", 1, "RecursionError"),
        ("import json\njson.loads('{')\n", 2, "JSONDecodeError"),
        ("def __getattr__(name):\n    raise RuntimeError(name)\n", 2, "RuntimeError: function_map"),
        ("raise ValueError\n", 1, "ValueError"),
        ("raise ValueError('two\\nlines')\n", 1, "ValueError: two"),
    ],
)
def test_a_plugin_that_raises_is_told_with_its_own_file_and_line(
    tmp_path: Path, plugin: str, line: int, said: str
) -> None:
    loading = load(tmp_path, plugin)

    assert codes(loading) == ["E302"]
    [problem] = loading.problems
    assert (problem.place.file, problem.place.line) == ("plugins/p.py", line)
    assert problem.message.startswith(f"the plugin plugins.p cannot be imported: {said}")
    assert "_dialplan" not in problem.message
    assert loading.set_aside == ("a",)
    assert under(loading) == [plugin.split("\n")[line - 1].strip()]


@pytest.mark.parametrize(
    ("plugin", "help_text"),
    [
        ("import no_such_package.part\n", "install it: pip install no_such_package"),
        ("import plugins.shared\n", "import a file beside it with: from . import …"),
        ("import shared\n", "import a file beside it with: from . import …"),
        ("from .shraed import one\n", "there is no file shraed.py beside it"),
    ],
)
def test_an_import_that_fails_is_told_how_it_works(tmp_path: Path, plugin: str, help_text: str) -> None:
    # The tests' own folder has a `plugins` that would be found.
    root, path = tmp_path / "project", list(sys.path)
    sys.path[:] = [entry for entry in sys.path if not (Path(entry) / "plugins").is_dir()]
    try:
        loading = load(root, plugin, shared="one = 1\n")
    finally:
        sys.path[:] = path

    assert [(p.code, p.help) for p in loading.problems] == [("E302", help_text)]
    assert "_dialplan" not in loading.problems[0].message


@pytest.mark.parametrize("plugin", [b"\xff\xfe\x00", b"x = '\xe9'\n", b"x = 1\x00\n"])
def test_a_plugin_that_is_no_text_is_a_problem(tmp_path: Path, plugin: bytes) -> None:
    agent = AGENT.replace("{names}", "f")

    assert codes(loaded(tmp_path, {"agents/a.yaml": agent, "plugins/p.py": plugin})) == ["E302"]


def test_a_plugin_that_is_not_there_is_told_at_its_name(tmp_path: Path) -> None:
    agent = 'numbers: ["*"]\nprompt: x\nplugins: [plugins.pharmcy, no_such_package]\nfunctions: [f]\n'

    loading = loaded(tmp_path, {"agents/a.yaml": agent, "plugins/pharmacy.py": ""})

    assert under(loading) == ["plugins.pharmcy", "no_such_package"]
    assert [p.help for p in loading.problems] == [
        'did you mean "plugins.pharmacy"?',
        "create plugins/no_such_package.py and write plugins.no_such_package, or install a package of this name",
    ]


def test_a_package_that_misses_something_itself_is_not_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"site/dialplan_test_torn/__init__.py": "import no_such_package\n"})
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    agent = AGENT.replace("plugins.p", "dialplan_test_torn").replace("{names}", "f")

    loading = loaded(tmp_path / "project", {"agents/a.yaml": agent})

    assert told(loading) == [
        "a.yaml:3:11 E302 the plugin dialplan_test_torn cannot be imported: "
        "ModuleNotFoundError: No module named 'no_such_package'"
    ]


def test_what_a_plugin_prints_goes_to_stderr(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load(tmp_path, "print('hello')\ndef f() -> int:\n    return 1\n")

    assert capsys.readouterr() == ("", "hello\n")


def test_a_plugin_that_fails_does_not_make_its_functions_unknown(tmp_path: Path) -> None:
    assert codes(load(tmp_path, "raise ValueError\n", "f, g")) == ["E302"]


def test_a_failing_plugin_sets_only_its_own_agent_aside(tmp_path: Path) -> None:
    files = {
        "agents/a.yaml": AGENT.replace("{names}", "f"),
        "agents/b.yaml": 'numbers: ["+15550100002"]\nprompt: x\nplugins: [plugins.p]\n',
        "agents/c.yaml": 'numbers: ["+15550100003"]\nprompt: x\n',
        "plugins/p.py": "raise ValueError\n",
    }

    loading = loaded(tmp_path, files)

    assert codes(loading) == ["E302"]
    assert loading.set_aside == ("a", "b")
    assert set(loading.dialplan.agents) == {"c"}
