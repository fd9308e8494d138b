"""The file that a new agent starts from: it has no mistake, whatever it was told."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given
from hypothesis import settings as examples

from dialplan.config import secret
from dialplan.config.loading import Loading, load
from dialplan.config.model import Agent
from dialplan.config.writing import starting
from dialplan.config.writing.starting import Beginning
from dialplan.facts import Call
from tests.agents import CALL
from tests.config.files import write
from tests.config.yaml.test_entries import TEXTS

ROOT = Path(__file__).parents[3]


def project(root: Path, beginning: Beginning, plugin: str = "") -> Loading:
    files = {f"agents/{beginning.name}.yaml": starting.agent_text(beginning)}
    if plugin:
        files[plugin] = starting.plugin_text(beginning.name)
    return load(write(root, files), {})


def agent(root: Path, beginning: Beginning, plugin: str = "") -> Agent:
    loading = project(root, beginning, plugin)
    assert loading.problems == ()
    return loading.dialplan.agents[beginning.name]


def prompt_of(agent: Agent, call: Call = CALL) -> str:
    return agent.prompt.render({**agent.variables, "call": call.for_templates(), "now": call.started})


def test_the_file_has_no_mistake_and_says_what_it_was_told(tmp_path: Path) -> None:
    found = agent(tmp_path, Beginning("clinic", "Books appointments.", ("+15550100001", "+15550100002")))

    assert found.description == "Books appointments."
    assert [number for number, _ in found.numbers] == ["+15550100001", "+15550100002"]
    assert "Your job: Books appointments." in prompt_of(found)
    assert set(found.functions) == {"end_call"}


def test_a_plugin_comes_with_one_function_that_has_a_contract(tmp_path: Path) -> None:
    beginning = Beginning("acme/main-st", None, ("+15550100001",), plugin="plugins.acme.main_st")

    found = agent(tmp_path, beginning, "plugins/acme/main_st.py")

    assert set(found.functions) == {"opening_hours", "end_call"}
    assert "day" in found.functions["opening_hours"].parameters["properties"]


@given(TEXTS)
@examples(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_description_stands_in_the_file_as_it_was_written(tmp_path: Path, text: str) -> None:
    assume(not secret.REFERENCE.search(text))

    loading = project(tmp_path, Beginning("a", text, ("+15550100001",)))

    assert [p for p in loading.problems if p.code != "W202"] == []
    assert loading.dialplan.agents["a"].description == text


@pytest.mark.parametrize("name", ["no", "null", "123", "1e3", "true", "café", "a.b", "0x1f", "Zoë-und-Max"])
def test_a_name_that_yaml_takes_for_something_else_stays_a_name(tmp_path: Path, name: str) -> None:
    found = agent(tmp_path, Beginning(name, None, ("+15550100001",)))

    assert found.variables["name"] == starting.spoken_name(name)
    assert isinstance(found.variables["name"], str)


def test_a_voice_of_another_language_is_listened_to_in_that_language(tmp_path: Path) -> None:
    found = agent(tmp_path, Beginning("a", None, ("+15550100001",), voice="aura-2-julius-de"))

    assert found.language == "de"


def test_every_key_in_a_remark_may_be_used(tmp_path: Path) -> None:
    text = starting.agent_text(Beginning("a", None, ("+15550100001",)))
    used = re.sub(r"(?m)^# (?=(language|listen|think|notice|limits):)", "", text)
    assert used.count("\n# ") == text.count("\n# ") - 5

    loading = load(write(tmp_path, {"agents/a.yaml": used}), {})

    assert loading.problems == ()


def test_the_first_line_leads_editors_to_the_schema_where_there_is_one() -> None:
    text = starting.agent_text(Beginning("a/b", None, ("+15550100001",), schema="../agent.schema.json"))

    assert text.startswith("# yaml-language-server: $schema=../agent.schema.json\n# The voice agent a/b")


def test_what_was_typed_is_never_taken_for_a_place_to_fill_in(tmp_path: Path) -> None:
    assert agent(tmp_path, Beginning("a", "«name» «x»", ("+15550100001",))).description == "«name» «x»"


def test_the_plugin_is_as_ours_are(tmp_path: Path) -> None:
    file = tmp_path / "clinic.py"
    file.write_text(starting.plugin_text("clinic"))

    assert judged(file) == ""


def judged(file: Path) -> str:
    """What ruff and mypy have to say of a plugin."""
    ruff = [sys.executable, "-m", "ruff"]
    told = ""
    for command in (
        [*ruff, "check", "--config", str(ROOT / "pyproject.toml"), str(file)],
        [*ruff, "format", "--check", "--config", str(ROOT / "pyproject.toml"), str(file)],
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(ROOT / ".mypy_cache"), str(file)],
    ):
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        told += done.stdout + done.stderr if done.returncode else ""
    return told
