"""Type hints → the contract that the model is shown."""

import functools
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Annotated, Any, Literal, Optional, Union

import pytest
from jsonschema import Draft7Validator

from dialplan.config.plugins.signatures import read
from dialplan.facts import Call


class Colour(Enum):
    RED = "red"


def of(hint: Any, *default: Any) -> Any:
    """What one argument with this hint is described as."""

    def function(x: Any) -> None: ...

    function.__annotations__["x"] = hint
    function.__defaults__ = default or None
    signature = read(function)
    assert signature.parameters is not None, signature.undescribed
    Draft7Validator.check_schema(signature.parameters)
    return signature.parameters["properties"]["x"]


@pytest.mark.parametrize(
    ("hint", "described"),
    [
        (str, {"type": "string"}),
        (int, {"type": "integer"}),
        (float, {"type": "number"}),
        (bool, {"type": "boolean"}),
        (Literal["a", "b", 3], {"enum": ["a", "b", 3]}),
        (Optional[str], {"anyOf": [{"type": "string"}, {"type": "null"}]}),  # noqa: UP045
        (str | None, {"anyOf": [{"type": "string"}, {"type": "null"}]}),
        (Union[int, str], {"anyOf": [{"type": "integer"}, {"type": "string"}]}),  # noqa: UP007
        (list, {"type": "array"}),
        (list[int], {"type": "array", "items": {"type": "integer"}}),
        (Sequence[str], {"type": "array", "items": {"type": "string"}}),
        (dict, {"type": "object"}),
        (dict[str, Any], {"type": "object"}),
        (dict[str, object], {"type": "object"}),
        (Mapping[str, int], {"type": "object", "additionalProperties": {"type": "integer"}}),
        (
            list[dict[str, bool]],
            {"type": "array", "items": {"type": "object", "additionalProperties": {"type": "boolean"}}},
        ),
        (Annotated[str, "A name."], {"type": "string", "description": "A name."}),
        (Annotated[str, 5, "A name.", "no"], {"type": "string", "description": "A name."}),
        (
            Annotated[str, "A name."] | None,
            {"anyOf": [{"type": "string"}, {"type": "null"}], "description": "A name."},
        ),
        (
            Annotated[str | None, "A name."],
            {"anyOf": [{"type": "string"}, {"type": "null"}], "description": "A name."},
        ),
        (
            list[Annotated[str, "A name."]],
            {"type": "array", "items": {"type": "string", "description": "A name."}},
        ),
    ],
)
def test_a_hint_becomes_json_schema(hint: Any, described: dict[str, Any]) -> None:
    assert of(hint) == described


@pytest.mark.parametrize(
    ("default", "described"),
    [
        ("x", {"type": "string", "default": "x"}),
        (3, {"type": "string", "default": 3}),
        (None, {"type": "string"}),
        (float("nan"), {"type": "string"}),
        ((), {"type": "string"}),
    ],
)
def test_a_default_is_told_where_json_has_it(default: object, described: dict[str, Any]) -> None:
    assert of(str, default) == described


@pytest.mark.parametrize(
    "hint", [set[str], tuple[int], bytes, Colour, Any, object, [str], Literal[Colour.RED], complex]
)
def test_a_hint_that_json_does_not_have_cannot_be_described(hint: Any) -> None:
    def function(x: Any) -> None: ...

    function.__annotations__["x"] = hint

    signature = read(function)

    assert signature.parameters is None
    assert signature.undescribed.startswith("x has the type ")
    assert signature.takes == {"x"}


def test_what_has_a_default_is_not_required() -> None:
    def function(a: str, b: int = 3, *, c: str, d: str = "") -> None: ...

    signature = read(function)

    assert signature.parameters is not None
    assert signature.parameters["required"] == ["a", "c"]
    assert signature.takes == {"a", "b", "c", "d"}
    assert signature.needs == {"a", "c"}


def test_a_function_of_nothing_has_an_empty_contract() -> None:
    def function() -> None: ...

    assert read(function).parameters == {"type": "object", "properties": {}}


def test_the_call_is_no_argument() -> None:
    def function(a: str, call: Call, c: Annotated[Call, "x"], b: Call | None = None) -> None: ...

    signature = read(function)

    assert signature.takes == {"a"}
    assert signature.call_arguments == {"call", "b", "c"}


def test_named_arguments_of_any_name_are_noticed() -> None:
    def function(a: str, *rest: str, **named: str) -> None: ...

    signature = read(function)

    assert signature.takes_anything
    assert signature.takes == {"a"}


def test_an_argument_without_a_name_cannot_be_given() -> None:
    def function(a: str, /, b: str) -> None: ...

    assert read(function).undescribed == "a stands before a /, and arguments are given by name"


def test_an_argument_without_a_hint_cannot_be_described() -> None:
    def function(a, b: str):  # type: ignore[no-untyped-def]
        ...

    assert read(function).undescribed == "a has no type hint"


@pytest.mark.parametrize("hint", ["Nothing", "a b", "1 / 0", "().x", "{}['x']"])
def test_a_hint_in_quotes_that_cannot_be_read_leaves_the_names_known(hint: str) -> None:
    def function(a: str, b: Any = 3) -> None: ...

    function.__annotations__["a"] = hint

    signature = read(function)

    assert signature.parameters is None
    assert signature.undescribed.startswith("its type hints cannot be read: ")
    assert signature.takes == {"a", "b"}
    assert signature.needs == {"a"}
    assert not signature.takes_anything


def test_of_functions_without_a_signature_nothing_is_known() -> None:
    signature = read(max)

    assert signature.parameters is None
    assert signature.takes_anything


def test_partial_functions_methods_and_callables_are_read() -> None:
    class Shop:
        def price(self, name: str) -> int:
            return 5

        def __call__(self, pieces: int) -> int:
            return 5

    def order(name: str, pieces: int) -> None: ...

    assert read(Shop().price).takes == {"name"}
    assert read(Shop()).takes == {"pieces"}
    assert read(functools.partial(order, pieces=3)).needs == {"name"}
