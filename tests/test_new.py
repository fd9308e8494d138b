"""`dialplan new`, as somebody types it: from an empty folder to an agent that can be called."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dialplan.cli import main
from dialplan.config.loading import load

FIXTURES = Path(__file__).parent / "fixtures"
TUTORIAL = FIXTURES / "settings" / "tutorial.json"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, in which somebody stands."""
    monkeypatch.setenv("DIALPLAN_VAR", str(tmp_path / "var"))
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def new(*arguments: str | Path) -> Result:
    result = run("new", *arguments)
    assert result.exit_code == 0, result.output
    assert run("check", "--strict", "--no-env").output == run("check", "--no-env").output
    assert run("check", "--strict", "--no-env").exit_code == 0
    return result


def refused(*arguments: str | Path) -> str:
    """What is said, on stderr and in one go, to somebody who asks for what cannot be."""
    before = list(Path.cwd().rglob("*"))
    result = run("new", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Traceback" not in result.output
    assert list(Path.cwd().rglob("*")) == before
    return result.stderr


def test_in_an_empty_folder_there_is_an_agent_afterwards(root: Path) -> None:
    result = new("clinic")

    assert load(root, {}).dialplan.agents["clinic"].numbers
    assert result.stdout.startswith("made the folder agents/\nwrote agents/clinic.yaml\n")
    assert re.search(r"\+15550100001, is invented", result.stdout)
    assert all(f"  dialplan {next_}" in result.stdout for next_ in ("check ", "rehearse clinic ", "serve "))


def test_what_is_given_stands_in_the_file(root: Path) -> None:
    options = ("--description", "Sells bread.", "--voice", "aura-2-apollo-en", "--number", "+1 (555) 010-0042")

    result = new("acme/bakery", *options, "--number", "+15550100043")

    agent = load(root, {}).dialplan.agents["acme/bakery"]
    assert [number for number, _ in agent.numbers] == ["+15550100042", "+15550100043"]
    assert (agent.description, agent.voices[0].options["model"]) == ("Sells bread.", "aura-2-apollo-en")
    assert "invented" not in result.stdout


def test_several_agents_get_several_numbers(root: Path) -> None:
    for name in ("a", "b", "c"):
        new(name)

    assert set(load(root, {}).dialplan.numbers) == {"+15550100001", "+15550100002", "+15550100003"}


def test_a_plugin_stands_where_the_agents_name_says(root: Path) -> None:
    new("acme/main-street", "--plugin")

    assert (root / "plugins" / "acme" / "main_street.py").is_file()
    assert "opening_hours" in load(root, {}).dialplan.agents["acme/main-street"].functions


def test_another_folder_is_named_in_what_comes_next(root: Path) -> None:
    (root / "other").mkdir()

    result = run("new", "clinic", "--root", "other")

    assert "wrote other/agents/clinic.yaml" in result.stdout
    assert "dialplan check --root other " in result.stdout
    assert (root / "other" / "agents" / "clinic.yaml").is_file()


def test_editors_find_the_schema_where_the_project_has_it(root: Path) -> None:
    (root / "agents").mkdir()
    (root / "agents" / "agent.schema.json").write_text("{}")

    new("acme/clinic")

    first = (root / "agents" / "acme" / "clinic.yaml").read_text().splitlines()[0]
    assert first == "# yaml-language-server: $schema=../agent.schema.json"


def test_what_is_there_is_not_overwritten(root: Path) -> None:
    new("clinic")
    file = root / "agents" / "clinic.yaml"
    file.write_text("mine")

    said = (
        "agents/clinic.yaml is there already, and is not overwritten; take another name, or move that file away first"
    )
    assert said in refused("clinic")
    assert file.read_text() == "mine"


def test_a_plugin_that_is_there_is_not_overwritten_and_no_agent_is_written_without_it(root: Path) -> None:
    (root / "plugins").mkdir()
    (root / "plugins" / "clinic.py").write_text("mine")

    assert "plugins/clinic.py is there already" in refused("clinic", "--plugin")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("_clinic",), "take: clinic"),
        (("my clinic",), "take: my-clinic"),
        (("clinic", "--number", "555 1234"), "plus and digits only"),
        (("clinic", "--voice", "aura-2-apollo"), 'did you mean "aura-2-apollo-en"?'),
        (("clinic", "--description", "Uses ${KEY}."), "cannot stand in a description"),
        (("clinic", "--from", TUTORIAL, "--voice", "aura-2-apollo-en"), "the voice is in the file"),
        (("clinic", "--from", "nowhere.json"), "nowhere.json"),
        (("clinic", "--root", "nowhere"), "nowhere"),
    ],
)
def test_what_cannot_be_is_refused_in_words(root: Path, arguments: tuple[str | Path, ...], said: str) -> None:
    assert said in refused(*arguments)


def test_a_number_that_another_agent_has_is_refused_with_its_place(root: Path) -> None:
    new("first", "--number", "+15550100007")

    assert "answered by first already (agents/first.yaml:" in refused("second", "--number", "+15550100007")


def test_a_file_where_the_folder_should_be_is_said(root: Path) -> None:
    (root / "agents").write_text("")

    assert "agents is a file, and must be a folder" in refused("clinic")


def test_a_folder_that_may_not_be_written_is_said(root: Path) -> None:
    (root / "agents").mkdir()
    (root / "agents").chmod(0o555)
    if os.access(root / "agents", os.W_OK):
        pytest.skip("root may write everywhere")

    assert "agents/clinic.yaml cannot be written: permission denied" in refused("clinic")


def test_the_tutorials_config_becomes_an_agent_whose_functions_wait_for_their_code(root: Path) -> None:
    result = new("pharmacy", "--from", TUTORIAL)

    agent = load(root, {}).dialplan.agents["pharmacy"]
    assert agent.functions == {}
    assert "#   - name: place_order" in (root / "agents" / "pharmacy.yaml").read_text()
    assert "there is no code for get_drug_info, lookup_order, place_order" in result.stderr


def test_with_a_plugin_every_function_is_there_and_says_that_it_is_not(root: Path) -> None:
    result = new("pharmacy", "--from", TUTORIAL, "--plugin")

    assert set(load(root, {}).dialplan.agents["pharmacy"].functions) == {"get_drug_info", "place_order", "lookup_order"}
    assert "no code" not in result.stderr


def test_the_tutorials_functions_are_taken_where_they_are_there_already(root: Path) -> None:
    code = "def get_drug_info(drug_name): pass\ndef place_order(customer_name, drug_name): pass\n"
    (root / "plugins").mkdir()
    (root / "plugins" / "pharmacy.py").write_text(code + "FUNCTION_MAP = {}\n")

    result = new("pharmacy", "--from", TUTORIAL)

    assert set(load(root, {}).dialplan.agents["pharmacy"].functions) == {"get_drug_info", "place_order"}
    assert "there is no code for lookup_order" in result.stderr


def test_code_that_does_not_fit_is_shown_at_once(root: Path) -> None:
    (root / "plugins").mkdir()
    (root / "plugins" / "pharmacy.py").write_text("def lookup_order(number): pass\n")

    result = run("new", "pharmacy", "--from", str(TUTORIAL))

    assert "E304: lookup_order does not take" in result.stderr


def test_a_secret_is_told_by_its_name_only(root: Path) -> None:
    result = new("office", "--from", FIXTURES / "settings" / "early-access.json")

    assert "put OFFICE_EXAMPLE_COM_API_KEY=… with its value into .env" in result.stderr
    assert "hush" not in result.output + (root / "agents" / "office.yaml").read_text()


def test_what_lies_under_the_new_agent_is_said(root: Path) -> None:
    (root / "agents").mkdir()
    (root / "agents" / "_defaults.yaml").write_text("language: de\n")

    assert "agents/_defaults.yaml lies under it" in new("pharmacy", "--from", TUTORIAL).stderr


def test_settings_without_a_function_need_no_plugin(root: Path) -> None:
    file = root / "x.json"
    file.write_text(json.dumps({"type": "Settings", "agent": {"think": {"prompt": "x"}}}))

    assert "leave --plugin out" in refused("a", "--from", file, "--plugin")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"a": 1,\n "b": }', "x.json:2:7: this is no JSON"),
        (b'{"a": 1,\n}', "after the last item stands no comma"),
        (b"{\n // x\n}", "x.json:2:2: this is no JSON: JSON has no remarks"),
        (b"", "x.json:1:1: this is no JSON"),
        (b'{"a":\n "\xff"}', "x.json:2:3: the file is not text in UTF-8"),
        (b"[" * 100_000, "x.json: nested more than 30 levels deep"),
        (b"[" * 50 + b"]" * 50, "x.json: nested more than 30 levels deep"),
        (b'"' + b"x" * 1_000_001 + b'"', "x.json is larger than 1 MB"),
        (b"[1, 2]", 'x.json: this is no message for Deepgram; expected is {"type": "Settings"'),
        (b'{"agent": {"think": {"prompt": 5}}}', "agent.think.prompt is a text"),
        (b'{"agent": {"think": {"prompt": "\\ud800"}}}', "x.json: there is a number or character in it"),
        (b'{"agent": {}, "x": NaN}', "x.json: there is a number or character in it"),
        (b'{"agent": {}, "x": 1e999}', "x.json: there is a number or character in it"),
        (b'{"agent": {}, "x": ' + b"1" * 5000 + b"}", "x.json: there is a number or character in it"),
    ],
    ids=str,
)
def test_a_file_that_is_no_settings_is_told_where_and_why(root: Path, content: bytes, said: str) -> None:
    (root / "x.json").write_bytes(content)

    assert said in refused("a", "--from", "x.json")


def test_a_file_with_a_mark_for_its_encoding_is_read(root: Path) -> None:
    (root / "x.json").write_bytes(b"\xef\xbb\xbf" + TUTORIAL.read_bytes())

    new("a", "--from", "x.json")


# The terminal.


def on_a_terminal(root: Path, answers: Mapping[str, str], *arguments: str) -> tuple[int, str]:
    """Run `dialplan new` on a terminal of its own; each answer is typed once its question stands there.

    Returns:
        The exit code, and all that stood on the terminal.
    """
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(root)
        command = [sys.executable, "-m", "dialplan", "new", *arguments]
        os.execve(sys.executable, command, {**os.environ, "COLUMNS": "200"})
    shown, waiting, typed, deadline = "", dict(answers), "", time.monotonic() + 30
    try:
        while time.monotonic() < deadline:
            if not select.select([terminal], [], [], 1)[0]:
                # Python can miss a Ctrl-C in the moment in which it begins to read; people type it again.
                os.write(terminal, typed.encode() if typed in ("\x03", "\x04") else b"")
                continue
            shown += os.read(terminal, 4096).decode(errors="replace")
            for question in [q for q in waiting if q in shown and shown.rstrip(" ").endswith(":")]:
                typed = waiting.pop(question)
                os.write(terminal, typed.encode())
                break
    except OSError:  # Linux says so when nobody has the terminal open any more.
        pass
    finally:
        os.close(terminal)
        code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    return code, shown


def test_on_a_terminal_it_asks_and_shows_what_is_usual(root: Path) -> None:
    answers = {"What is it for": "Sells bread.\n", "Which number": "\n", "Which voice": "\n"}

    code, shown = on_a_terminal(root, answers, "bakery")

    assert code == 0
    assert "[Answers the phone of Bakery.]" in shown
    assert "[+15550100001]" in shown
    assert "[aura-2-thalia-en]" in shown
    agent = load(root, {}).dialplan.agents["bakery"]
    assert (agent.description, agent.numbers[0][0]) == ("Sells bread.", "+15550100001")


def test_an_answer_that_cannot_be_is_told_why_and_asked_again(root: Path) -> None:
    new("first", "--number", "+15550100007")
    answers = {
        "Which number": "555 1234\n",
        "plus and digits only": "+15550100007\n",
        "answered by first already (agents/first.yaml:": "+1 555 010 0008\n",
        "Which voice": "apollo\n",
        'mean "aura-2-apollo-en"?': "aura-2-apollo-en\n",
    }

    code, _ = on_a_terminal(root, answers, "second", "--description", "x")

    assert code == 0
    agent = load(root, {}).dialplan.agents["second"]
    assert (agent.numbers[0][0], agent.voices[0].options["model"]) == ("+15550100008", "aura-2-apollo-en")


def test_what_is_given_is_not_asked(root: Path) -> None:
    given = ("--description", "x", "--number", "+15550100009", "--voice", "aura-2-zeus-en")

    code, shown = on_a_terminal(root, {}, "a", *given)

    assert (code, "?" in shown) == (0, False)


def test_of_settings_the_voice_is_not_asked(root: Path) -> None:
    code, shown = on_a_terminal(root, {"What is it": "\n", "Which number": "\n"}, "a", "--from", str(TUTORIAL))

    assert (code, "Which voice" in shown) == (0, False)


@pytest.mark.parametrize("key", ["\x03", "\x04"], ids=["ctrl-c", "ctrl-d"])
def test_who_leaves_while_being_asked_leaves_nothing_behind(root: Path, key: str) -> None:
    code, shown = on_a_terminal(root, {"What is it for": "x\n", "Which number": key}, "bakery")

    assert code == 1
    assert "Aborted!" in shown
    assert "Traceback" not in shown
    assert list(root.iterdir()) == []


def test_a_name_that_is_taken_is_said_before_anything_is_asked(root: Path) -> None:
    new("clinic")

    code, shown = on_a_terminal(root, {}, "clinic")

    assert code == 2
    assert "?" not in shown


def test_without_a_terminal_nothing_is_asked(root: Path) -> None:
    command = [sys.executable, "-m", "dialplan", "new", "clinic"]

    done = subprocess.run(command, cwd=root, stdin=subprocess.PIPE, capture_output=True, timeout=30, check=True)

    assert b"?" not in done.stdout


def test_a_reader_that_is_gone_is_no_traceback(root: Path) -> None:
    command = [sys.executable, "-m", "dialplan", "new", "clinic"]
    reading, writing = os.pipe()
    os.close(reading)

    done = subprocess.run(command, cwd=root, stdout=writing, stderr=subprocess.PIPE, timeout=30, check=False)
    os.close(writing)

    assert b"Traceback" not in done.stderr
    assert (root / "agents" / "clinic.yaml").is_file()
    assert done.returncode in (0, 1, -signal.SIGPIPE)


# The call.


@pytest.mark.timeout(120)
def test_what_was_written_is_rehearsed_as_the_file_says(root: Path) -> None:
    new("acme/main-street", "--plugin", "--voice", "aura-2-arcas-en")

    result = run("rehearse")

    assert result.exit_code == 0, result.output
    assert result.stdout.count("as the file says") == 2
