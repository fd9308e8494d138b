"""The reference pages are true: every code and every key is there, and every example does what the page says."""

import json
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Literal

import pytest
from dotenv import dotenv_values

from dialplan.call.functions import Functions
from dialplan.config.loading import Loading, load
from dialplan.config.model import Agent
from dialplan.config.plugins import signatures
from dialplan.config.problems import CODES, as_text
from dialplan.facts import FACT_NAMES, Call
from tests.config.files import write
from tests.config.rules.test_shape import KEYS

DOCS = Path(__file__).parents[2] / "docs"
PROBLEMS = (DOCS / "problems.md").read_text()

#: What stands in the examples where it is not shown. Whole files begin with their name.
LEFT_OUT = {"prompt": "prompt: Be brief.\n", "numbers": 'numbers: ["+15550100003"]\n'}

#: These cannot be shown: a file that is no text, one of a megabyte, and a folder that is not there.
WITHOUT_EXAMPLE = {"E001", "E004", "E007"}


def blocks(text: str) -> Iterator[tuple[str, str]]:
    """The examples of a page: each file's name and content. A block without a name is an agent's."""
    for language, content in re.findall(r"^```(\w+)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        name = re.match(r"# (\S+\.\w+|\.env)\n", content)
        if name:
            yield name[1], content.removeprefix(name[0]) if language == "markdown" else content
        elif language == "yaml":
            missing = [line for key, line in LEFT_OUT.items() if not re.search(rf"^({key}|extends):", content, re.M)]
            yield "agents/example.yaml", "".join(missing) + content


def loaded(root: Path, text: str) -> Loading:
    """The project that a part of a page describes."""
    files = {name: content.replace("(30,000 characters)", "x" * 30_000) for name, content in blocks(text)}
    assert files
    write(root, files)
    return load(root, {k: v for k, v in dotenv_values(root / ".env").items() if v is not None})


def sections(page: str) -> dict[str, str]:
    """A page's parts by their headings."""
    parts = re.split(r"^## (.+)$", page, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


# docs/problems.md


def test_every_code_has_its_section_in_their_order() -> None:
    assert list(sections(PROBLEMS)) == [f"{code}: {title}" for code, title in CODES.items()]


@pytest.mark.parametrize("code", sorted(set(CODES) - WITHOUT_EXAMPLE))
def test_the_example_before_has_the_problem_and_the_one_after_has_none(code: str, tmp_path: Path) -> None:
    before, after = re.split(r"^write$", sections(PROBLEMS)[f"{code}: {CODES[code]}"], flags=re.MULTILINE)

    found, corrected = loaded(tmp_path / "before", before), loaded(tmp_path / "after", after)

    assert {problem.code for problem in found.problems} == {code}, as_text(found.problems, found.texts)
    assert corrected.problems == (), as_text(corrected.problems, corrected.texts)


@pytest.mark.parametrize("code", CODES)
def test_every_section_says_something_to_a_reader(code: str) -> None:
    prose = re.sub(r"```.*?```", "", sections(PROBLEMS)[f"{code}: {CODES[code]}"], flags=re.DOTALL)

    assert len(prose.split()) >= 3


# docs/agent-file.md

AGENT_FILE = (DOCS / "agent-file.md").read_text()

#: Headings of the page, with the part of the schema whose keys stand in the first table below.
TABLES = {
    "## Keys": "",
    "## listen": ".listen",
    "## think": "think",
    "## voice": "voice",
    "## Endpoints": "endpoint",
    "### A text in a file of its own": "template",
    "### A function": "function",
    "### http": "function.http",
    "### endpoint": "function.endpoint",
    "## Limits": ".limits",
    "## When something fails": ".fallback",
    "## Records": ".records",
    "## deepgram": ".deepgram",
    "## Rehearsals": ".rehearsals[]",
    "A turn:": "turn",
}


def table(heading: str) -> dict[str, str]:
    """The rows of the first table below a line, by the key in their first cell."""
    below = AGENT_FILE.split(f"\n{heading}\n", 1)[1]
    rows = re.search(r"\|---.*\n((?:\|.*\n)+)", below)
    assert rows, heading
    return {row.split("`")[1]: row for row in rows[1].splitlines()}


def keys_of(prefix: str) -> dict[str, dict[str, object]]:
    """The keys of one part of the schema."""
    return {path.rpartition(".")[2]: part for path, part in KEYS if path.rpartition(".")[0] == prefix}


@pytest.mark.parametrize(("heading", "prefix"), TABLES.items(), ids=[prefix or "top" for prefix in TABLES.values()])
def test_every_key_has_a_row_with_its_default(heading: str, prefix: str) -> None:
    rows, keys = table(heading), keys_of(prefix)

    assert list(rows) == list(keys)
    for name, part in keys.items():
        if "default" in part:
            assert f"| `{yaml_of(part['default'])}` |" in rows[name], name


def yaml_of(value: object) -> str:
    """A default as one writes it in a file."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {yaml_of(inner)}" for key, inner in value.items()) + "}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def test_no_part_of_the_schema_is_without_a_table() -> None:
    assert {path.rpartition(".")[0] for path, _ in KEYS} == set(TABLES.values())


def test_every_possible_value_is_named() -> None:
    for heading, prefix in TABLES.items():
        for name, part in keys_of(prefix).items():
            for value in part.get("enum", []):  # type: ignore[attr-defined]
                assert f"`{value}`" in table(heading)[name], (name, value)


def test_every_fact_of_a_call_is_there() -> None:
    section = AGENT_FILE.split("### Facts of a call")[1].split("\n## ")[0]

    assert re.findall(r"^\| `call\.(\w+)` ", section, re.MULTILINE) == list(FACT_NAMES)


def test_the_examples_are_one_project_without_a_mistake(tmp_path: Path) -> None:
    named = {name: content for name, content in blocks(AGENT_FILE) if name != "agents/example.yaml"}

    loading = load(write(tmp_path, named), {})

    assert loading.problems == (), as_text(loading.problems, loading.texts)
    assert set(loading.dialplan.agents) == {
        *("smallest", "bakery", "two-voices", "four-kinds", "florist", "rehearsed"),
    }


@pytest.mark.parametrize("content", [content for name, content in blocks(AGENT_FILE) if name == "agents/example.yaml"])
def test_every_snippet_is_without_a_mistake(content: str, tmp_path: Path) -> None:
    loading = load(write(tmp_path, {"agents/a.yaml": content}), {})

    assert loading.problems == (), as_text(loading.problems, loading.texts)


def test_what_the_page_says_of_the_florist_is_so(tmp_path: Path) -> None:
    named = {name: content for name, content in blocks(AGENT_FILE) if name != "agents/example.yaml"}

    florist = load(write(tmp_path, named), {}).dialplan.agents["florist"]

    assert florist.prompt.render(florist.variables) == "You answer the phone of Rose & Thorn, and are friendly."
    assert (florist.limits.calls, florist.limits.minutes) == (5, 20)
    assert florist.voices[0].options == {"model": "aura-2-thalia-en"}


@pytest.mark.parametrize("page", ["problems.md", "agent-file.md", "plugins.md"])
def test_links_between_the_pages_lead_to_headings(page: str) -> None:
    text = (DOCS / page).read_text()

    for file, anchor in re.findall(r"\]\(([\w.-]*)#([\w-]+)\)", text):
        target = (DOCS / (file or page)).read_text()
        headings = {
            re.sub(r"[^\w -]", "", h).strip().lower().replace(" ", "-") for h in re.findall(r"^#+ (.+)$", target, re.M)
        }
        assert anchor in headings, (file, anchor)


# docs/plugins.md

PLUGINS = (DOCS / "plugins.md").read_text()
CALL = Call("CA1", from_="+15550100099")


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Agent:
    """An agent with every function of the page."""
    monkeypatch.setenv("DIALPLAN_VAR", str(tmp_path / "var"))
    agent = (
        'numbers: ["*"]\nprompt: x\nplugins: [plugins.bakery, plugins.stock, plugins.notes, plugins.orders]\n'
        "functions: [get_price, reserve, count_pieces, leave_note, total]\n"
    )
    loading = load(write(tmp_path, {**dict(blocks(PLUGINS)), "agents/all.yaml": agent}), {})
    assert loading.problems == (), as_text(loading.problems, loading.texts)
    return loading.dialplan.agents["all"]


@pytest.mark.parametrize(
    ("function", "arguments", "answer"),
    [
        ("get_price", {"bread": "rye"}, {"price": 4.5}),
        ("get_price", {"bread": "wheat"}, {"error": "There is no wheat. There is: rye, rolls."}),
        ("reserve", {"bread": "rye"}, {"reserved": "1 rye", "for": "+15550100099", "when": "today"}),
        (
            "reserve",
            {"bread": "rye", "when": "tomorrow"},
            {"reserved": "1 rye", "for": "+15550100099", "when": "tomorrow"},
        ),
        ("count_pieces", {"bread": "rye"}, 3),
        ("leave_note", {"text": "Less salt."}, "written down"),
        ("total", {"bread": "rye", "pieces": 2}, 9.0),
    ],
)
async def test_the_plugins_of_the_page_do_what_it_says(
    shop: Agent, function: str, arguments: dict[str, object], answer: object
) -> None:
    async with Functions() as functions:
        told = await functions.run(shop.functions[function], json.dumps(arguments), CALL, dict)

    assert json.loads(told) == answer


async def test_arguments_that_do_not_fit_never_reach_the_plugin(shop: Agent) -> None:
    async with Functions() as functions:
        told = await functions.run(shop.functions["reserve"], '{"bread": "rye", "when": "someday"}', CALL, dict)

    assert "error" in json.loads(told)


def test_only_the_first_paragraph_of_a_docstring_is_told(shop: Agent) -> None:
    assert shop.functions["reserve"].description == "Put bread aside for the caller."


def test_every_fact_of_a_call_is_told_to_plugin_authors() -> None:
    section = sections(PLUGINS)["The facts of the call"]

    assert {f"call.{field.name}" for field in fields(Call)} <= set(re.findall(r"`(call\.\w+)`", section))


@pytest.mark.parametrize("hint", re.findall(r"^\| `(.+?)`(?:,| \|)", sections(PLUGINS)["Type hints"], re.MULTILINE))
def test_every_type_hint_of_the_page_is_understood(hint: str) -> None:
    code = hint.replace("\\|", "|").replace("X", "int")

    annotation = eval(code, {"Literal": Literal, "Annotated": Annotated, "Call": Call})

    def function(x: object) -> None: ...

    function.__annotations__["x"] = annotation
    assert signatures.read(function).undescribed == ""
