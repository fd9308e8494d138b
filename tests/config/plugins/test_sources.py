"""Which plugin file has a function, read off its source."""

from pathlib import Path

import pytest

from dialplan.config.plugins.sources import public_functions
from tests.config.files import PLAIN, loaded, write


def test_the_functions_of_a_folder_are_read_without_running_it(tmp_path: Path) -> None:
    files = {
        "plugins/a.py": "raise SystemExit\ndef one(): ...\nasync def two(): ...\ndef _three(): ...\nONE = 1\n",
        "plugins/sub/b.py": "function_map = {'four': print}\ndef five(): ...\n",
        "plugins/_c.py": "def six(): ...\n",
        "plugins/broken.py": "def seven(:\n",
        "plugins/nul.py": b"def eight(): ...\0",
        "other/d.py": "def nine(): ...\n",
    }

    assert public_functions(write(tmp_path, files)) == {"one": "plugins.a", "two": "plugins.a", "four": "plugins.sub.b"}


def test_a_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    write(tmp_path, {"plugins/a.py": "def one(): ...\n"})
    assert set(public_functions(tmp_path)) == {"one"}

    write(tmp_path, {"plugins/a.py": "def two_more(): ...\n"})

    assert set(public_functions(tmp_path)) == {"two_more"}


def test_no_folder_is_no_function(tmp_path: Path) -> None:
    assert public_functions(tmp_path) == {}


@pytest.mark.parametrize(
    ("agent", "help_text"),
    [
        ("functions: [book]", "plugins.clinic has it: write plugins: [plugins.clinic]"),
        (
            "plugins: [plugins.shop]\nfunctions: [book]",
            "plugins.clinic has it: write plugins: [plugins.shop, plugins.clinic]",
        ),
        ("functions: [boook]", "plugins.clinic has book"),
        ("plugins: [plugins.shop]\nfunctions: [seell]", 'did you mean "sell"?'),
        ("functions: [endcall]", 'did you mean "end_call"?'),
        ("plugins: [plugins.shop]\nfunctions: [dance]", "it has: sell"),
    ],
)
def test_a_function_that_another_plugin_has_is_found_there(tmp_path: Path, agent: str, help_text: str) -> None:
    files = {
        "agents/a.yaml": PLAIN + agent,
        "plugins/clinic.py": "def book(day: str) -> str: ...\n",
        "plugins/shop.py": "def sell(what: str) -> str: ...\n",
    }

    assert [(p.code, p.help) for p in loaded(tmp_path, files).problems] == [("E303", help_text)]
