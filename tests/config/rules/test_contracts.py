"""An agent's functions: what the file says of each, held against the code that runs it."""

from pathlib import Path
from typing import Any

import pytest

from dialplan.config.model import Builtin, Endpoint, Function, Http, OnInterrupt
from dialplan.config.plugins.loader import PluginFunction
from dialplan.config.secret import Secret
from tests.config.files import PLAIN, agent_of, codes, loaded, told, under

SHOP = '''
from typing import Annotated
from dialplan import Call

def get_price(name: Annotated[str, "Kind of bread."]) -> int:
    """Price of one kind,
    in dollars.

    More for whoever reads the code.
    """
    return 5

def reserve(name: str, call: Call, pieces: int = 1) -> str:
    """Put something aside."""
    return name

def odd(name) -> str:
    return name

def anything(**named: str) -> str:
    """Takes all."""
    return ""
'''


def shop(root: Path, functions: str, environment: dict[str, str] | None = None) -> Any:
    text = f"{PLAIN}variables: {{store: Bakery}}\nplugins: [plugins.shop]\nfunctions:\n{functions}"
    return loaded(
        root, {"agents/a.yaml": text, "plugins/shop.py": SHOP}, environment or {"KEY": "k/1", "SHOP": "https://a.b:8"}
    )


def function(root: Path, functions: str) -> Function:
    return next(iter(agent_of(shop(root, functions)).functions.values()))


# Where the contract comes from.


def test_a_bare_name_takes_its_contract_from_the_code(tmp_path: Path) -> None:
    found = function(tmp_path, "  - get_price\n")

    assert isinstance(found.runs, PluginFunction)
    assert found.description == "Price of one kind, in dollars."
    assert found.parameters == {
        "type": "object",
        "properties": {"name": {"type": "string", "description": "Kind of bread."}},
        "required": ["name"],
    }
    assert (found.timeout, found.filler, found.defer, found.on_interrupt) == (10.0, "", False, OnInterrupt.FINISH)


def test_the_file_wins_over_the_code(tmp_path: Path) -> None:
    found = function(
        tmp_path,
        "  - name: get_price\n    description: What it costs.\n    timeout: 2.5\n    filler: One moment.\n"
        "    defer: true\n"
        "    on_interrupt: cancel\n"
        "    parameters: {type: object, properties: {name: {type: string, enum: [rye]}}, required: [name]}\n",
    )

    assert found.description == "What it costs."
    assert found.parameters["properties"] == {"name": {"type": "string", "enum": ["rye"]}}
    assert (found.timeout, found.filler, found.defer, found.on_interrupt) == (
        2.5,
        "One moment.",
        True,
        OnInterrupt.CANCEL,
    )
    assert not found.arguments.is_valid({"name": "rolls"})


def test_end_call_is_built_in(tmp_path: Path) -> None:
    found = function(tmp_path, "  - end_call\n")

    assert found.runs is Builtin.END_CALL
    assert "goodbye" in found.description
    assert found.arguments.is_valid({"reason": "done"})
    assert found.defer


def test_end_call_may_be_described_otherwise(tmp_path: Path) -> None:
    found = function(tmp_path, "  - {name: end_call, description: Hang up., defer: false}\n")

    assert (found.description, found.defer) == ("Hang up.", False)


@pytest.mark.parametrize(
    ("how", "defers"),
    [
        ("http: {url: 'https://a.b'}", False),
        ("http: {url: 'https://a.b', method: GET}", False),
        ("http: {url: 'https://a.b', method: POST}", True),
        ("http: {url: 'https://a.b', method: DELETE}", True),
        ("endpoint: {url: 'https://a.b'}", False),
    ],
)
def test_what_changes_something_outside_waits_for_the_end_of_the_turn(tmp_path: Path, how: str, defers: bool) -> None:
    assert function(tmp_path, f"  - name: f\n    {how}\n").defer is defers


def test_a_function_with_an_endpoint_is_called_by_deepgram(tmp_path: Path) -> None:
    found = function(
        tmp_path, "  - name: f\n    endpoint: {url: 'https://a.b/${KEY}', headers: {authorization: 'Bearer ${KEY}'}}\n"
    )

    assert isinstance(found.runs, Endpoint)
    assert found.runs.method == "post"
    assert isinstance(found.runs.url, Secret)
    assert found.runs.url.reveal() == "https://a.b/k/1"
    assert str(found.runs.headers["authorization"]) == "Bearer ${KEY}"


def test_a_function_with_http_is_a_request_with_templates(tmp_path: Path) -> None:
    found = function(
        tmp_path,
        "  - name: f\n"
        "    parameters: {type: object, properties: {name: {type: string}, count: {type: integer}}}\n"
        "    http:\n"
        "      method: PUT\n"
        "      timeout: 3\n"
        "      url: ${SHOP}/{{ store }}/{{ name }}?key=${KEY}\n"
        "      headers: {authorization: 'Bearer ${KEY}', x-caller: '{{ call.from }}'}\n"
        "      query: {count: '{{ count }}', express: true}\n"
        "      json: {count: '{{ count }}', items: ['{{ name }}', 5, null]}\n",
    )

    names = {"store": "Bakery", "name": "rye/bread", "count": 3, "call": {"from": "+1555"}}
    http = found.runs
    assert isinstance(http, Http)
    assert found.timeout == 3
    assert http.method == "PUT"
    assert http.url.render_url(names) == "https://a.b:8/Bakery/rye%2Fbread?key=k%2F1"
    assert {k: v.render(names) for k, v in http.headers.items()} == {"authorization": "Bearer k/1", "x-caller": "+1555"}
    assert {k: v.render(names) for k, v in http.query.items()} == {"count": "3", "express": "true"}
    assert http.json["count"].render_value(names) == 3
    assert http.json["items"][0].render_value(names) == "rye/bread"
    assert http.json["items"][1:] == [5, None]
    assert "k/1" not in repr(found)


def test_a_function_without_parameters_takes_none(tmp_path: Path) -> None:
    assert function(tmp_path, "  - name: f\n    http: {url: 'https://a.b'}\n").parameters == {
        "type": "object",
        "properties": {},
    }


# What does not fit.


@pytest.mark.parametrize(
    ("parameters", "problems"),
    [
        ("{type: object, properties: {name: {type: string}}, required: [name]}", []),
        ("{type: object, properties: {name: {type: string}, pieces: {type: integer}}, required: [name]}", []),
        ("{type: object, properties: {nmae: {type: string}}, required: [name]}", [("E304", "nmae")]),
        (
            "{type: object, properties: {name: {type: string}, call: {type: string}}, required: [name]}",
            [("E304", "call")],
        ),
        ("{type: object, properties: {name: {type: string}}}", [("E305", "name")]),
        ("{type: object, properties: {pieces: {type: integer}}}", [("E305", "{")]),
        (
            "{type: object, properties: {pieces: {type: integer}}, required: [pieces]}",
            [("W301", "pieces"), ("E305", "required")],
        ),
        ("{type: object}", [("E305", "{")]),
    ],
)
def test_what_the_file_promises_the_code_must_keep(
    tmp_path: Path, parameters: str, problems: list[tuple[str, str]]
) -> None:
    loading = shop(tmp_path, f"  - name: reserve\n    parameters: {parameters}\n")

    assert sorted(zip(codes(loading), under(loading), strict=True)) == sorted(problems)


def test_a_function_of_any_arguments_takes_any(tmp_path: Path) -> None:
    assert function(tmp_path, "  - name: anything\n    parameters: {type: object, properties: {a: {type: string}}}\n")


def test_a_function_that_cannot_be_described_may_be_described_in_the_file(tmp_path: Path) -> None:
    described = "  - name: odd\n    parameters: {type: object, properties: {name: {type: string}}, required: [name]}\n"

    assert codes(shop(tmp_path, "  - odd\n")) == ["E308"]
    assert function(tmp_path, described).parameters["required"] == ["name"]


def test_an_unknown_function_is_told_with_a_near_one(tmp_path: Path) -> None:
    loading = shop(tmp_path, "  - get_prise\n  - xyz\n")

    assert [(p.message, p.help) for p in loading.problems] == [
        ("there is no function get_prise in plugins.shop", 'did you mean "get_price"?'),
        ("there is no function xyz in plugins.shop", "it has: anything, get_price, odd, reserve"),
    ]


def test_an_agent_without_plugins_is_told_how_to_get_one(tmp_path: Path) -> None:
    [problem] = loaded(tmp_path, {"agents/a.yaml": PLAIN + "functions: [get_price]\n"}).problems

    assert problem.help == "name its module under plugins:, or give it http: or endpoint:"


def test_two_plugins_with_one_function_name_are_told_where_it_is_used(tmp_path: Path) -> None:
    text = PLAIN + "plugins: [plugins.a, plugins.b, plugins.a]\nfunctions: {}\n"
    code = "def f() -> int:\n    'One.'\n    return 1\ndef g() -> int:\n    'One.'\n    return 1\n"
    files = {"plugins/a.py": code, "plugins/b.py": code.replace("g()", "h()")}

    used = loaded(tmp_path, {**files, "agents/a.yaml": text.replace("{}", "[f, g, h]")})
    unused = loaded(tmp_path, {**files, "agents/a.yaml": text.replace("{}", "[g, h]")})

    assert told(used) == ["a.yaml:4:13 E306 plugins.a and plugins.b both have a function f"]
    assert set(agent_of(unused).functions) == {"g", "h"}


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("https://a.b", None),
        ("http://a.b:80/c?d={{ store }}#{{ store }}", None),
        ("https://a.b/{{ store }}", None),
        ("https://${KEY}/x", None),
        ("${KEY}", None),
        ("${KEY}.a.b/x", None),
        ("https://{{ store }}", "E310"),
        ("https://a.{{ store }}/x", "E310"),
        ("https://a.b{{ store }}", "E310"),
        ("https://user@{{ store }}/", "E310"),
        ("https://a.b\\@{{ store }}/", "E310"),
        ("https://{% if store %}a.b{% endif %}/", "E310"),
        ("${KEY}{{ store }}/x", "E310"),
        ("https://", "E310"),
        ("https://[::1", "E310"),
        ("https:///x", "E310"),
        ("ftp://a.b", "E107"),
        ("wss://a.b", "E107"),
        ("{{ store }}", "E107"),
        ("//a.b", "E107"),
    ],
)
def test_the_host_of_an_address_is_not_the_models_to_choose(tmp_path: Path, url: str, code: str | None) -> None:
    assert codes(shop(tmp_path, f"  - name: f\n    http: {{url: '{url}'}}\n")) == ([code] if code else [])


@pytest.mark.parametrize("name", ["call", "now"])
def test_a_parameter_cannot_take_the_place_of_a_fact(tmp_path: Path, name: str) -> None:
    parameters = f"{{type: object, properties: {{{name}: {{type: string}}}}}}"

    loading = shop(tmp_path, f"  - name: f\n    http: {{url: 'https://a.b'}}\n    parameters: {parameters}\n")

    assert (codes(loading), under(loading)) == (["E107"], [name])


def test_parameters_may_refer_to_their_own_definitions(tmp_path: Path) -> None:
    found = function(
        tmp_path,
        "  - name: f\n    http: {url: 'https://a.b'}\n    parameters:\n      type: object\n"
        "      properties: {a: {$ref: '#/definitions/drug'}, b: {type: array, items: {$ref: '#/definitions/drug'}}}\n"
        "      definitions: {drug: {type: string, enum: [rye]}}\n",
    )

    assert found.arguments.is_valid({"a": "rye", "b": ["rye"]})
    assert not found.arguments.is_valid({"a": "rolls"})


@pytest.mark.parametrize(
    "reference", ["#", "#/properties/a", "#/properties/b", "#/nothing", "#x", "other.json", "http://x/y"]
)
def test_a_reference_that_leads_nowhere_or_back_is_refused(tmp_path: Path, reference: str) -> None:
    parameters = (
        f"{{type: object, properties: {{a: {{$ref: '{reference}'}}, b: {{allOf: [{{$ref: '#/properties/a'}}]}}}}}}"
    )
    rehearsal = "rehearsals: [{name: x, turns: [{caller: Hi., function: {f: {a: 1, b: {a: 2}}}}]}]\n"

    loading = shop(
        tmp_path, f"  - name: f\n    http: {{url: 'https://a.b'}}\n    parameters: {parameters}\n{rehearsal}"
    )

    assert "E109" in codes(loading)
    assert set(codes(loading)) == {"E109"}


def test_jargon_of_json_schema_does_not_leak(tmp_path: Path) -> None:
    wrong = ["5", "[]", "{type: []}", "{type: object, properties: []}", "{type: object, required: [1]}"]
    wrong += ["{type: object, properties: {a: {enum: x}}}", "{type: object, properties: {a: {items: 5}}}"]
    wrong += ["{type: object, properties: {a: {minimum: x}}}", "{type: object, additionalProperties: maybe}"]
    wrong += ["{type: object, properties: {a: {description: 5}}}", "{type: object, properties: {a: {anyOf: []}}}"]

    for parameters in wrong:
        loading = shop(tmp_path, f"  - name: f\n    http: {{url: 'https://a.b'}}\n    parameters: {parameters}\n")
        assert set(codes(loading)) <= {"E103", "E109"}
        assert codes(loading)
        for problem in loading.problems:
            assert not any(word in problem.message for word in ("valid under", "not of type", "schemas", "'", "None"))
