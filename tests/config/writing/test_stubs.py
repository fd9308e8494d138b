"""Stubs: a plugin for functions of which only the contract is known."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from dialplan.config.plugins.loader import Plugin, PluginLoader
from dialplan.config.problems import Place
from dialplan.config.writing import stubs
from dialplan.errors import FunctionError
from tests.config.files import write
from tests.config.writing.test_from_settings import TUTORIAL
from tests.config.writing.test_starting import judged
from tests.config.yaml.test_entries import JSON, TEXTS


def plugin(root: Path, functions: list[dict[str, Any]]) -> Plugin:
    write(root, {"plugins/a.py": stubs.plugin_text("a", functions)})
    loaded = PluginLoader(root).load("plugins.a", Place("x"))
    assert isinstance(loaded, Plugin), loaded
    return loaded


def function(name: str, required: tuple[str, ...] = (), **properties: Any) -> dict[str, Any]:
    parameters = {"type": "object", "properties": properties, "required": list(required)}
    return {"name": name, "description": "What it does.", "parameters": parameters}


def test_a_stub_has_the_contract_of_the_function(tmp_path: Path) -> None:
    properties: dict[str, Any] = {
        "drug": {"type": "string", "description": "Drug, lower case."},
        "unit": {"enum": ["mg", "g"]},
        "amounts": {"type": "array", "items": {"type": "integer"}},
    }

    found = plugin(tmp_path, [function("order", ("drug", "unit", "amounts"), **properties)]).functions["order"]

    assert found.parameters == {"type": "object", "properties": properties, "required": ["drug", "unit", "amounts"]}
    assert found.description == "What it does."


def test_what_may_be_left_out_may_be_left_out(tmp_path: Path) -> None:
    found = plugin(tmp_path, [function("a", ("y",), x={"type": "string"}, y={"type": "number"})]).functions["a"]

    assert (found.takes, found.needs) == ({"x", "y"}, {"y"})


def test_a_stub_says_that_it_is_not_there_yet(tmp_path: Path) -> None:
    found = plugin(tmp_path, [function("place_order")]).functions["place_order"]

    with pytest.raises(FunctionError, match=r"place_order is not there yet\."):
        found.call()


@pytest.mark.parametrize("name", ["class", "get-price", "_hidden", "list", "FunctionError", "function_map", "Literal"])
def test_a_name_that_python_does_not_have_is_kept_all_the_same(tmp_path: Path, name: str) -> None:
    functions = [function("other", x={"enum": ["a"]}), function(name, x={"type": "string", "description": "d"})]

    assert set(plugin(tmp_path, functions).functions) == {"other", name}


def test_parameters_that_python_cannot_name_are_taken_all_together(tmp_path: Path) -> None:
    found = plugin(tmp_path, [function("a", ("drug-name",), **{"drug-name": {"type": "string"}})]).functions["a"]

    assert found.takes_anything


@given(st.dictionaries(TEXTS, JSON, max_size=3), TEXTS, st.lists(TEXTS, max_size=2))
@examples(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_describes_a_function_its_stub_is_python(
    tmp_path: Path, properties: dict[str, Any], text: str, choices: list[str]
) -> None:
    properties["choice"] = {"enum": choices, "description": text}
    functions = [{**function("a", ("choice",), **properties), "description": text}]

    assert set(plugin(tmp_path, functions).functions) == {"a"}


def test_the_tutorials_plugin_is_as_ours_are(tmp_path: Path) -> None:
    functions = TUTORIAL["agent"]["think"]["functions"]
    odd = [function("get-price", ("a",), a={"enum": ['"', "\\", "é"]}, b={"type": "array"}, c={})]
    for number, some in enumerate([functions, odd]):
        file = tmp_path / f"plugin_{number}.py"
        file.write_text(stubs.plugin_text("pharmacy", some), "utf-8")
        assert judged(file) == ""
