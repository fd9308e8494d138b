"""The schema, and what it says in words."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from dialplan.config.loading import load
from dialplan.config.model import Function, Limits, Records
from dialplan.config.rules.shape import KINDS, WORDS, schema
from tests.config.expectations import ENVIRONMENT, GOOD
from tests.config.files import PLAIN, agent_of, codes, loaded, told, under

#: Keywords that only say something, or only lead to others.
SILENT = {
    "$schema",
    "title",
    "description",
    "default",
    "examples",
    "properties",
    "items",
    "allOf",
    "$ref",
    "definitions",
}
SILENT |= {"propertyNames", "patternProperties"}


def parts(part: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema in the schema, with the keys that lead to it."""
    yield path, part
    for key in ("properties", "definitions"):
        for name, child in part.get(key, {}).items():
            yield from parts(child, f"{path}.{name}" if key == "properties" else name)
    for key in ("items", "propertyNames"):
        if isinstance(part.get(key), dict):
            yield from parts(part[key], f"{path}[]")


PARTS = list(parts(schema()))
KEYS = [
    (path, part) for path, part in PARTS if path and not path.endswith("[]") and path not in schema()["definitions"]
]


def test_the_schema_is_one() -> None:
    Draft7Validator.check_schema(schema())


@pytest.mark.parametrize(("path", "part"), PARTS, ids=[path for path, _ in PARTS])
def test_every_keyword_of_the_schema_has_words(path: str, part: dict[str, Any]) -> None:
    keywords = {keyword for keyword in part if not keyword.startswith("x-")} - SILENT

    assert keywords <= set(WORDS)
    assert ("pattern" in part or "not" in part) <= ("x-form" in part)
    types = part.get("type", [])
    assert {types} if isinstance(types, str) else set(types) <= set(KINDS)


@pytest.mark.parametrize(("path", "part"), KEYS, ids=[path for path, _ in KEYS])
def test_every_key_is_described_for_editors_with_an_example_that_fits(path: str, part: dict[str, Any]) -> None:
    resolved = schema()["definitions"][part["$ref"].rpartition("/")[2]] if "$ref" in part else part

    for example in resolved["examples"]:
        Draft7Validator({**resolved, "definitions": schema()["definitions"]}).validate(example)
    assert resolved["title"]
    assert resolved["description"]


def test_the_agent_with_every_key_has_no_mistake() -> None:
    loading = load(GOOD, ENVIRONMENT)

    assert told(loading) == []
    assert set(loading.dialplan.agents) == {"everything", "acme/smallest"}


def test_the_agent_with_every_key_has_every_key() -> None:
    text = (GOOD / "agents" / "everything.yaml").read_text()
    flux = {"eot_threshold", "eager_eot_threshold", "eot_timeout_ms", "language_hints"}  # For another model.

    for path, _ in KEYS:
        name = path.rpartition(".")[2]
        assert name in flux or f"{name}:" in text, name


def test_the_defaults_of_the_schema_are_those_of_the_code(tmp_path: Path) -> None:
    agent = agent_of(loaded(tmp_path, {"agents/a.yaml": PLAIN}))
    stated = {path: part["default"] for path, part in PARTS if "default" in part}

    assert agent.timezone.key == stated[".timezone"]
    assert agent.language == stated[".language"]
    assert agent.listen.model == stated[".listen"]
    assert {"provider": agent.think[0].provider, "model": agent.think[0].model} == stated[".think"]
    assert [(v.provider, dict(v.options)) for v in agent.voices] == [("deepgram", {"model": stated[".voice"]})]
    assert Limits().minutes == stated[".limits.minutes"]
    assert Limits().silence == stated[".limits.silence"]
    assert Records().transcripts is stated[".records.transcripts"]
    assert Function.__dataclass_fields__["timeout"].default == stated["function.timeout"]
    assert str(Function.__dataclass_fields__["on_interrupt"].default) == stated["function.on_interrupt"]


# The words.


def test_everything_wrong_in_a_file_is_told_in_one_run(tmp_path: Path) -> None:
    text = (
        "numbers: [+15550100001]\n"
        "voise: aura\n"
        'prompt: "{{ stor }} {{ call.form }}"\n'
        "variables: {store: x}\n"
        "plugins: [plugins.p]\n"
        "functions: [get_prise, {name: end_call, timeout: soon}]\n"
        "timezone: Mars\n"
        "limits: {minutes: 200}\n"
        "deepgram: {api_key: '${KEY}'}\n"
        "rehearsals: [{name: x, turns: [{caller: Hi.}]}]\n"
    )
    plugin = "def get_price(name: str) -> str:\n    return name\n"

    loading = loaded(tmp_path, {"agents/a.yaml": text, "plugins/p.py": plugin})

    assert codes(loading) == ["E006", "E104", "E202", "E203", "E303", "E103", "E404", "E106", "E601", "E701"]
    assert under(loading)[:5] == ["+15550100001", "voise", "stor", "form", "get_prise"]


def test_a_phone_number_without_quotes_prints_the_corrected_line(tmp_path: Path) -> None:
    text = "prompt: Be brief.\nnumbers: [+15550100001, 15550100002]  # both lines\n"

    loading = loaded(tmp_path, {"agents/a.yaml": text})

    assert codes(loading) == ["E006", "E006"]
    assert {p.help for p in loading.problems} == {'write: numbers: ["+15550100001", "+15550100002"]  # both lines'}


@pytest.mark.parametrize(
    ("line", "message", "help_text"),
    [
        ("limits: {calls: two}", "this must be a whole number, not text", ""),
        ("limits: {minutes: '30'}", "this must be a number, not text", "write it without quotes: 30"),
        ("limits: [30]", "this must be keys with values, not a list", ""),
        ("language: no\nvoice: {provider: open_ai, model: tts-1, voice: no, endpoint: {url: 'https://a.b'}}", None, ""),
        ("description: 2024", "this must be text, not the number 2024", 'put quotes around it: "2024"'),
        ("description: true", "this must be text, not the word true", 'put quotes around it: "true"'),
        ("greeting:", "here belongs text or keys with values", ""),
        ("streams: /twilio/a", "this must be a list, not text", 'write it as a list: ["/twilio/a"]'),
        ("functions: [{name: end_call, defer: Yes}]", "this must be true or false, not text", "write true"),
        ("functions: [{name: end_call, defer: 'false'}]", "this must be true or false, not text", "write false"),
        ("functions: [{name: end_call, defer: 1}]", "this must be true or false, not the number 1", ""),
        ("voice: {speed: .inf, model: aura-2-thalia-en}", ".inf is no number that can be sent", "write a number"),
        ("x-any: .nan", None, ""),
        ("settings: {a: [.nan]}", ".nan is no number that can be sent", "write a number"),
    ],
)
def test_a_value_of_the_wrong_kind_is_told_in_words(
    tmp_path: Path, line: str, message: str | None, help_text: str
) -> None:
    loading = loaded(tmp_path, {"agents/a.yaml": PLAIN + line + "\n"})

    assert [(p.message, p.help) for p in loading.problems] == ([(message, help_text)] if message else [])


def test_one_value_has_one_mistake_of_its_kind(tmp_path: Path) -> None:
    text = PLAIN + "think: {provider: 5, model: [x]}\nrehearsals: [{name: 3, turns: 4}]\n"

    assert codes(loaded(tmp_path, {"agents/a.yaml": text})) == ["E103"] * 4


@pytest.mark.parametrize(
    "text",
    [
        "numbers: [+1555]\nprompt: x\n",
        'numbers: ["*"]\nvariables: [store]\nprompt: "{{ store }}"\n',
        'numbers: ["*"]\nprompt: x\nplugins: [plugins/x.py]\nfunctions: [get_price]\n',
        'numbers: ["*"]\nprompt: x\nfunctions: [{name: get_price, http: {url: 5}}]\n',
        'numbers: ["*"]\nprompt: x\nfunctions: [{name: get_price, htpp: {url: "https://a.b"}}]\n',
        'numbers: ["*"]\nprompt: x\nfunctions: f\nrehearsals: [{name: x, turns: [{caller: a, function: {f: }}]}]\n',
        'numbers: ["*"]\nprompt: x\nrehearsals: [{name: x, turns: [{caller: a, agent: 5}]}]\n',
        'numbers: ["*"]\nprompt: x\nfunctions: [{name: f, parameters: 5, http: {url: "https://a.b/{{ c }}"}}]\n',
        'numbers: ["*"]\nprompt: x\nvoice: {provider: open_ai, model: 5, voice: alloy, endpoint: {url: "https://a.b"}}\n',
    ],
)
def test_what_was_refused_is_not_missed_as_well(tmp_path: Path, text: str) -> None:
    """One mistake, one problem: what seems to be missing was there, and was wrong."""
    assert len(codes(loaded(tmp_path, {"agents/a.yaml": text}))) == 1


def test_a_refused_variable_leaves_the_others_known(tmp_path: Path) -> None:
    text = 'numbers: ["*"]\nvariables: {store: x, "no word": y}\nprompt: "{{ store }} {{ stor }}"\n'

    loading = loaded(tmp_path, {"agents/a.yaml": text})

    assert under(loading) == ['"no word"', "stor"]


def test_thousands_of_mistakes_are_told_too(tmp_path: Path) -> None:
    text = PLAIN + "".join(f"key{number}: 1\n" for number in range(5000))

    assert codes(loaded(tmp_path, {"agents/a.yaml": text})) == ["E104"] * 5000


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("voise: x\n", "an agent's keys: busy, deepgram, description, extends, "),
        ("think: {provder: x}\n", "what may stand in think: context_length, endpoint, "),
        ("functions: [{name: f, http: {ulr: x}}]\n", "what may stand in http: headers, json, method, "),
        ("rehearsals: [{name: x, turns: [{calller: x}]}]\n", "what may stand in turns: agent, caller, "),
    ],
)
def test_an_unknown_key_tells_which_there_are_and_where_they_are_explained(
    tmp_path: Path, text: str, note: str
) -> None:
    page = (Path(__file__).parents[3] / "docs" / "agent-file.md").read_text()

    problem = next(p for p in loaded(tmp_path, {"agents/a.yaml": PLAIN + text}).problems if p.code == "E104")

    assert problem.note.startswith(note)
    section = problem.note.partition("(docs/agent-file.md#")[2].rstrip(")")
    assert re.search(rf"(?im)^#+ {section.replace('-', ' ')}$", page)


def test_where_nothing_near_is_known_the_keys_are_the_help_and_are_not_told_twice(tmp_path: Path) -> None:
    problem = loaded(tmp_path, {"agents/a.yaml": PLAIN + "qqqqqqq: x\n"}).problems[0]

    assert problem.help.startswith("known here: ")
    assert problem.note == ""
