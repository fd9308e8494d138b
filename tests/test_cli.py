"""The commands, as somebody types them."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dialplan.cli import main
from dialplan.hosts import VARIABLE

GOOD = 'numbers: ["+15550100001"]\nprompt: You are {{ name }}.\nvariables: {name: Ann}\n'


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DIALPLAN_VAR", str(tmp_path / "var"))
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "good.yaml").write_text(GOOD)
    return tmp_path


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def bad(root: Path, text: str = 'voise: x\nnumbers: ["+1999"]\n') -> None:
    (root / "agents" / "bad.yaml").write_text(text)


def test_check_of_good_files_says_so_and_exits_0(root: Path) -> None:
    result = run("check", "--root", root)

    assert (result.exit_code, result.stdout) == (0, "1 agent can answer; no mistakes\n")


def test_check_shows_every_mistake_with_its_line_and_exits_1(root: Path) -> None:
    bad(root, "voise: x\nlimits: {minutes: 999}\n")

    result = run("check", "--root", root)

    assert result.exit_code == 1
    assert 'agents/bad.yaml:1:1  error E104: unknown key "voise"' in result.stdout
    assert "^^^^^ did you mean" in result.stdout
    assert "agents/bad.yaml:2:19" in result.stdout
    assert "E102" in result.stdout
    assert result.stderr == ""


@pytest.mark.parametrize("agent", ["bad", "agents/bad.yaml", "./agents/bad.yaml", "bad.yaml", "agents/bad"])
def test_check_of_an_agent_shows_its_mistakes_only(root: Path, monkeypatch: pytest.MonkeyPatch, agent: str) -> None:
    monkeypatch.chdir(root)
    bad(root)
    (root / "agents" / "worse.yaml").write_text("speed: 3\n")

    wrong, right = run("check", agent), run("check", "good")

    assert (wrong.exit_code, right.exit_code) == (1, 0)
    assert 'unknown key "voise"' in wrong.stdout
    assert "worse" not in wrong.stdout
    assert wrong.stdout.endswith("0 agents can answer; 2 errors\n")
    assert right.stdout == "1 agent can answer; no mistakes\n"


def test_check_of_an_agent_shows_what_is_wrong_below_it_and_whose_number_it_claims(root: Path) -> None:
    (root / "agents" / "acme").mkdir()
    (root / "agents" / "acme" / "_defaults.yaml").write_text("voise: x\n")
    (root / "agents" / "acme" / "a.yaml").write_text('numbers: ["+1999"]\nprompt: x\n')
    (root / "agents" / "other.yaml").write_text('numbers: ["+15550100001"]\nprompt: x\n')

    below, claiming = run("check", "--root", root, "acme/a"), run("check", "--root", root, "other", "--format", "json")

    assert "agents/acme/_defaults.yaml:1:1  error E104" in below.stdout
    assert [problem["code"] for problem in json.loads(claiming.stdout)] == ["E501"]
    assert run("check", "--root", root, "good").exit_code == 0


@pytest.mark.parametrize(
    ("agent", "said"),
    [
        ("godd", 'there is no agent godd; did you mean "good"?'),
        ("agents/_defaults.yaml", "_defaults is no agent but lies under others"),
        ("late", "there is no agent late: agents/late.yml: this file is not read; name it late.yaml"),
        ("agents/late.yml", "there is no agent late: agents/late.yml: this file is not read; name it late.yaml"),
        ("notes", "there is no agent notes: agents/notes.yaml.txt: this file is not read; name it notes.yaml"),
        ("LOUD", "there is no agent LOUD: agents/LOUD.YAML: this file is not read; name it LOUD.yaml"),
    ],
)
@pytest.mark.parametrize("command", ["check", "rehearse", "settings", "show"])
def test_an_agent_that_is_not_there_is_told_with_what_may_be_meant(
    root: Path, monkeypatch: pytest.MonkeyPatch, command: str, agent: str, said: str
) -> None:
    monkeypatch.chdir(root)
    for name in ("late.yml", "notes.yaml.txt", "LOUD.YAML"):
        (root / "agents" / name).write_text(GOOD)

    result = run(command, agent)

    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr


def test_routes_says_which_files_are_not_read(root: Path) -> None:
    (root / "agents" / "late.yml").write_text(GOOD)

    assert "agents/late.yml: this file is not read; name it late.yaml" in run("routes", "--root", root, "+1999").stderr


def test_check_as_json_is_an_array_of_objects(root: Path) -> None:
    bad(root)

    found = json.loads(run("check", "--root", root, "--format", "json").stdout)

    keys = {"file", "line", "column", "end_line", "end_column", "code", "severity", "message", "help"}
    assert all(set(problem) == keys for problem in found)
    assert {problem["code"] for problem in found} == {"E102", "E104"}


def test_check_as_json_of_good_files_is_an_empty_array(root: Path) -> None:
    result = run("check", "--root", root, "--format", "json")

    assert (result.exit_code, json.loads(result.stdout)) == (0, [])


def test_check_for_github_writes_annotations(root: Path) -> None:
    bad(root)

    lines = run("check", "--root", root, "--format", "github").stdout.splitlines()

    assert lines[0].startswith("::error file=agents/bad.yaml,line=1,col=1,")


def test_check_without_the_environment_asks_for_no_secret(root: Path) -> None:
    bad(root, 'numbers: ["+1555"]\nprompt: x\ndeepgram: {api_key: "${DIALPLAN_TEST_UNSET}"}\n')

    assert run("check", "--root", root).exit_code == 1
    assert run("check", "--root", root, "--no-env").exit_code == 0


def test_strict_takes_a_warning_for_an_error(root: Path) -> None:
    bad(root, "prompt: x\n")

    assert run("check", "--root", root).exit_code == 0
    assert run("check", "--root", root, "--strict").exit_code == 1


@pytest.mark.parametrize("arguments", [("check", "--format", "xml"), ("nonsense",), ("serve", "--port", "x")])
def test_a_wrong_command_goes_to_stderr_and_exits_2(arguments: tuple[str, ...]) -> None:
    result = run(*arguments)

    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr


@pytest.mark.parametrize("command", ["check", "routes", "settings", "rehearse", "demo", "serve", "doctor"])
def test_a_folder_without_agents_is_said_in_words(tmp_path: Path, command: str) -> None:
    result = run(command, "--root", tmp_path, *(["x"] if command == "settings" else []))

    assert result.exit_code in (1, 2)
    assert "agents" in result.output
    assert "Traceback" not in result.output


def test_settings_are_json_with_the_facts_that_were_given(root: Path) -> None:
    (root / "agents" / "facts.yaml").write_text('prompt: "{{ call.from }} {{ call.to }} {{ call.params.tier }}"\n')

    result = run("settings", "facts", "--root", root, "--from", "+1", "--to", "+2", "--param", "tier=gold")

    assert json.loads(result.stdout)["agent"]["think"]["prompt"] == "+1 +2 gold"


def test_settings_show_secrets_by_their_name(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_KEY", "canary-value")
    think = 'think: {provider: open_ai, model: x, endpoint: {url: "https://x", headers: {a: "Bearer ${LLM_KEY}"}}}\n'
    (root / "agents" / "secret.yaml").write_text("prompt: x\n" + think)

    result = run("settings", "secret", "--root", root)

    assert "Bearer ${LLM_KEY}" in result.stdout
    assert "canary-value" not in result.output


def test_an_agent_with_a_typing_mistake_is_suggested(root: Path) -> None:
    result = run("settings", "goood", "--root", root)

    assert result.exit_code == 2
    assert 'did you mean "good"?' in result.stderr


@pytest.mark.parametrize("command", [("check",), ("calls", "list"), ("rehearse",), ("doctor",), ("serve",)])
def test_a_mistake_in_dotenv_is_told_once_with_its_line(
    root: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    for name in ("TWILIO_AUTH_TOKEN", "DEEPGRAM_API_KEY", "PUBLIC_URL", "TWILIO_ACCOUNT_SID"):
        monkeypatch.delenv(name, raising=False)
    (root / ".env").write_text("\nTWILIO_AUTH_TOKEN abc\n")

    result = run(*command, "--root", root)

    assert ".env:2: this line is not understood; write TWILIO_AUTH_TOKEN=value\n" in result.stderr
    assert "python-dotenv" not in result.output.lower()
    assert "abc" not in result.output
    assert result.output.count(".env:2") == 1


def test_routes_lists_who_answers_what(root: Path) -> None:
    result = run("routes", "--root", root)

    assert result.stdout.split() == ["+15550100001", "good", "agents/good.yaml:1:11"]


def test_routes_of_a_number_says_who_answers_and_what_else_fits(root: Path) -> None:
    (root / "agents" / "other.yaml").write_text('numbers: ["+1555*", "*"]\nprompt: x\n')

    result = run("routes", "--root", root, "+15550100001")

    assert "answered by good" in result.stdout
    assert "+1555*" in result.stdout
    assert result.exit_code == 0


def test_routes_of_a_number_that_nobody_answers_exits_1(root: Path) -> None:
    assert run("routes", "--root", root, "+1999").exit_code == 1


@pytest.mark.parametrize("written", ["+1 555 010-0001", "15550100001", "0015550100001"])
def test_routes_of_a_number_however_it_is_written(root: Path, written: str) -> None:
    result = run("routes", "--root", root, written)

    assert (result.exit_code, result.stderr) == (0, f"{written} is taken for +15550100001\n")
    assert result.stdout.startswith("+15550100001 is answered by good")


@pytest.mark.parametrize("written", ["(030) 123456", "good", "twilio/x", ""])
def test_routes_of_what_is_no_number_exits_2_and_says_how_one_is_written(root: Path, written: str) -> None:
    result = run("routes", "--root", root, written)

    assert (result.exit_code, result.stdout) == (2, "")
    assert "write it with a plus and its country: +49…" in result.stderr


def test_routes_as_json(root: Path) -> None:
    rows = json.loads(run("routes", "--root", root, "--json").stdout)

    assert rows == [{"route": "+15550100001", "agent": "good", "file": "agents/good.yaml", "line": 1}]


def test_schema_is_the_json_schema_of_an_agent_file(root: Path) -> None:
    schema = json.loads(run("schema").stdout)

    assert schema["$schema"] == "http://json-schema.org/draft-07/schema#"
    assert "voice" in schema["properties"]


def test_version_and_help(root: Path) -> None:
    assert "0.1.0" in run("--version").stdout
    assert "rehearse" in run("--help").stdout


def test_show_prints_the_file_as_it_counts_with_the_place_of_each_value(root: Path) -> None:
    (root / "agents" / "_defaults.yaml").write_text("voice: aura-2-arcas-en\n")

    result = run("show", "--root", root, "good")
    rows = json.loads(run("show", "--root", root, "good", "--json").stdout)

    assert result.exit_code == 0
    assert any(
        line.split() == ["voice:", "aura-2-arcas-en", "#", "agents/_defaults.yaml:1"]
        for line in result.stdout.split("\n")
    )
    assert {"path": "prompt", "value": "You are {{ name }}.", "file": "agents/good.yaml", "line": 2} in rows


def test_show_of_a_file_with_mistakes_still_shows_it_and_of_none_says_which_there_are(root: Path) -> None:
    bad(root)
    (root / "agents" / "worse.yaml").write_text("{")

    assert "voise: x" in run("show", "--root", root, "bad").stdout
    worse, none = run("show", "--root", root, "worse"), run("show", "--root", root, "god")
    assert (worse.exit_code, worse.stderr) == (2, "dialplan: worse has mistakes; see: dialplan check\n")
    assert (none.exit_code, none.stderr) == (2, 'dialplan: there is no agent god; did you mean "good"?\n')


@pytest.mark.parametrize(("variables", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_check_has_colours_on_a_terminal_unless_somebody_wants_none(
    root: Path, variables: dict[str, str], coloured: bool
) -> None:
    bad(root)
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "dialplan", "check", "--root", str(root)]
    subprocess.run(command, stdout=theirs, env={**os.environ, "NO_COLOR": "", **variables}, timeout=30, check=False)
    os.close(theirs)

    shown = os.read(ours, 100_000).decode()
    os.close(ours)

    assert ("\x1b[31m" in shown) is coloured
    assert 'unknown key "voise"' in shown


# Hosts that functions may reach

CRM = GOOD + 'functions: [{name: f, description: d, http: {url: "http://crm.internal/x"}}]\n'


@pytest.fixture
def unlisted(monkeypatch: pytest.MonkeyPatch) -> None:
    """No list in the environment; what `.env` puts there is taken out behind the test."""
    monkeypatch.setenv(VARIABLE, "")
    monkeypatch.delenv(VARIABLE)


@pytest.mark.usefixtures("unlisted")
def test_check_tells_the_line_for_env_that_lets_functions_reach_a_private_host(root: Path) -> None:
    (root / "agents" / "good.yaml").write_text(CRM)

    result = run("check", "--root", root)

    assert result.exit_code == 0
    assert "agents/good.yaml:4:51  warning W303" in result.stdout
    line = re.search(r"write into \.env: (.+)$", result.stdout, re.M)
    assert line
    assert line[1] == "DIALPLAN_PRIVATE_HOSTS=crm.internal"
    (root / ".env").write_text(line[1])
    assert run("check", "--root", root).stdout == "1 agent can answer; no mistakes\n"


@pytest.mark.usefixtures("unlisted")
def test_what_is_listed_already_stays_in_the_line(root: Path) -> None:
    (root / "agents" / "good.yaml").write_text(CRM)
    (root / ".env").write_text("DIALPLAN_PRIVATE_HOSTS=shop.internal")

    assert "write into .env: DIALPLAN_PRIVATE_HOSTS=shop.internal, crm.internal" in run("check", "--root", root).stdout


@pytest.mark.usefixtures("unlisted")
def test_check_without_the_environment_does_not_judge_private_hosts(root: Path) -> None:
    (root / "agents" / "good.yaml").write_text(CRM)
    (root / ".env").write_text("DIALPLAN_PRIVATE_HOSTS=10.0.0.1:80")

    result = run("check", "--root", root, "--no-env")

    assert (result.exit_code, result.stdout) == (0, "1 agent can answer; no mistakes\n")


@pytest.mark.usefixtures("unlisted")
@pytest.mark.parametrize("command", [("check",), ("rehearse",), ("demo",), ("serve", "--insecure", "--offline")])
def test_an_entry_of_the_list_that_cannot_be_read_is_named(root: Path, command: tuple[str, ...]) -> None:
    (root / ".env").write_text("DIALPLAN_PRIVATE_HOSTS=crm.internal, http://shop.internal")

    result = run(*command, "--root", root)

    assert result.exit_code == 2
    assert "dialplan: DIALPLAN_PRIVATE_HOSTS lists 'http://shop.internal'; an entry is" in result.stderr
