"""One agent file → one agent, with every key where it belongs."""

from dataclasses import FrozenInstanceError, fields
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from dialplan.config.agent_file import MANAGED_PROMPT_LIMIT, OWN_PATHS
from dialplan.config.loading import load
from dialplan.config.model import Limits, Records
from tests.config.expectations import ENVIRONMENT, GOOD
from tests.config.files import PLAIN, agent_of, codes, loaded, told, under, write


def test_the_smallest_agent_is_a_number_and_a_prompt(tmp_path: Path) -> None:
    agent = agent_of(loaded(tmp_path, {"agents/a.yaml": PLAIN}))

    assert agent.name == "a"
    assert [number for number, _ in agent.numbers] == ["+15550100001"]
    assert agent.prompt.source == "Be brief."
    assert (agent.timezone, agent.language) == (ZoneInfo("UTC"), "en")
    assert (agent.greeting, agent.notice, agent.description) == (None, None, "")
    assert (agent.functions, agent.rehearsals, agent.variables, agent.settings, agent.streams) == ({}, (), {}, {}, ())
    assert agent.limits == Limits(calls=None, minutes=60, silence=30)
    assert agent.records == Records(transcripts=True, keep_days=None)
    assert (agent.api_key, agent.deepgram_url) == ("", "")


@pytest.mark.parametrize("text", ["", "\n", "# soon\n", "---\n", "{}"])
def test_an_empty_file_lacks_a_prompt(tmp_path: Path, text: str) -> None:
    assert set(codes(loaded(tmp_path, {"agents/a.yaml": text}))) <= {"E101", "E102", "W501"}
    assert loaded(tmp_path, {"agents/a.yaml": text}).set_aside == ("a",)


def test_every_key_arrives() -> None:
    agent = load(GOOD, ENVIRONMENT).dialplan.agents["everything"]

    assert agent.description == "Has every key."
    assert [path for path, _ in agent.streams] == ["/twilio/everything"]
    assert agent.numbers[0][1].line == 5
    assert agent.timezone == ZoneInfo("America/New_York")
    assert agent.language == "en-GB"
    assert [voice.provider for voice in agent.voices] == [
        "deepgram",
        "deepgram",
        "eleven_labs",
        "cartesia",
        "open_ai",
        "aws_polly",
    ]
    assert agent.variables == {
        "tone": "friendly",
        "store": "Corner Pharmacy",
        "hours": {"from": "nine", "to": "five"},
        "open": True,
    }
    assert agent.greeting is not None
    assert agent.greeting.render(agent.variables) == "Hello, this is Corner Pharmacy, open from nine."
    assert agent.prompt.render({**agent.variables, "call": {"from": "+1"}}).strip().endswith("It is +1 who calls.")
    assert agent.notice is not None
    assert list(agent.functions) == ["get_drug_info", "send_order", "get_status", "end_call"]
    assert agent.limits == Limits(10, 30, 20)
    assert agent.records == Records(transcripts=False, keep_days=30)
    assert agent.settings == {"mip_opt_out": True}
    assert len(agent.rehearsals[0].turns) == 2


def test_an_agent_never_changes() -> None:
    agent = load(GOOD, ENVIRONMENT).dialplan.agents["everything"]

    for part in (agent, agent.listen, agent.think[0], agent.voices[0], agent.limits, agent.functions["end_call"]):
        with pytest.raises(FrozenInstanceError):
            setattr(part, fields(part)[0].name, "other")


def test_numbers_in_the_file_may_look_like_hours_and_words(tmp_path: Path) -> None:
    """YAML 1.1 would read minutes since midnight, a truth value and an octal number."""
    text = (
        PLAIN + "variables: {opens: 17:30, country: no, code: 0123}\ngreeting: '{{ opens }} {{ country }} {{ code }}'\n"
    )

    loading = loaded(tmp_path, {"agents/a.yaml": text})
    agent = loading.dialplan.agents["a"]

    assert told(loading) == ["a.yaml:3:46 W101 0123 without quotes is a number, and becomes 123"]
    assert agent.greeting is not None
    assert agent.greeting.render(agent.variables) == "17:30 no 123"


# Prompts.


def test_a_prompts_file_lies_beside_the_agent_or_in_the_projects_folder(tmp_path: Path) -> None:
    files = {
        "agents/acme/a.yaml": 'numbers: ["*"]\nprompt: {file: prompts/x.md}\ngreeting: {file: prompts/y.md}\n',
        "agents/acme/prompts/x.md": "beside",
        "prompts/x.md": "root",
        "prompts/y.md": "root",
    }

    agent = agent_of(loaded(tmp_path, files), "acme/a")

    assert agent.prompt.source == "beside"
    assert agent.greeting is not None
    assert agent.greeting.source == "root"


@pytest.mark.parametrize(
    "file",
    [
        "nothing.md",
        "../outside.md",
        "/etc/hostname",
        "prompts",
        "x" * 5000,
        '"x\\0"',
        "../agents/../../outside.md",
        "link.md",
    ],
)
def test_a_prompts_file_outside_of_the_project_or_missing_is_told(tmp_path: Path, file: str) -> None:
    root = tmp_path / "project"
    write(tmp_path, {"outside.md": "secrets", "project/prompts/x.md": "x"})
    (root / "link.md").symlink_to(tmp_path / "outside.md")

    loading = loaded(root, {"agents/a.yaml": f'numbers: ["*"]\nprompt: {{file: {file}}}\n'})

    assert codes(loading) == ["E205"]
    assert "outside.md" not in loading.texts


def test_mistakes_in_a_prompts_file_are_told_there(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "agents/a.yaml": 'numbers: ["*"]\nprompt: {file: prompts/x.md}\n',
        "agents/b.yaml": 'numbers: ["+1555"]\nprompt: {file: prompts/x.md}\n',
        "prompts/x.md": b"# stor\r\n\r\nThis is {{ stor }}.\r\n{{ call.form }} {{ 5 / 0\r\n",
    }

    loading = loaded(tmp_path, files)

    assert told(loading) == ["prompts/x.md:4:17 E201 {{ is opened here and never closed"]
    write(tmp_path, {"prompts/x.md": b"# stor\r\n\r\nThis is {{ stor }}.\r\n{{ call.form }}\r\n"})
    loading = load(tmp_path, {})
    assert told(loading) == [
        'prompts/x.md:3:12 E202 there is no name "stor"',
        'prompts/x.md:4:9 E203 a call has no "form"',
    ]
    assert under(loading) == ["stor", "form"]


def test_a_long_prompt_is_a_doubt_unless_every_model_is_ones_own(tmp_path: Path) -> None:
    long = f'numbers: ["*"]\nprompt: "{"x" * (MANAGED_PROMPT_LIMIT + 1)}"\n'
    own = "think: {provider: open_ai, model: x, endpoint: {url: 'https://a.b'}}\n"
    both = "think: [{provider: open_ai, model: x, endpoint: {url: 'https://a.b'}}, {provider: nvidia, model: y}]\n"

    assert codes(loaded(tmp_path, {"agents/a.yaml": long})) == ["W201"]
    assert codes(loaded(tmp_path, {"agents/a.yaml": long + own})) == []
    assert codes(loaded(tmp_path, {"agents/a.yaml": long + both})) == ["W201"]


# The rest.


@pytest.mark.parametrize(
    ("zone", "help_text"),
    [
        ("America/NewYork", 'did you mean "America/New_York"?'),
        ("europe/berlin", 'did you mean "Europe/Berlin"?'),
        ("Europe", "a city follows, as in Europe/Amsterdam"),
        ("Mars/Olympus", "write the nearest large city, as in Europe/Berlin"),
        ("../../etc/passwd", "write the nearest large city, as in Europe/Berlin"),
        ('""', None),
        ('"a\\0b"', "write the nearest large city, as in Europe/Berlin"),
        ("x" * 5000, "write the nearest large city, as in Europe/Berlin"),
    ],
)
def test_an_unknown_time_zone_is_told(tmp_path: Path, zone: str, help_text: str | None) -> None:
    loading = loaded(tmp_path, {"agents/a.yaml": f"{PLAIN}timezone: {zone}\n"})

    assert codes(loading) == ["E404"]
    assert help_text is None or loading.problems[0].help == help_text


@pytest.mark.parametrize("path", [path for path in OWN_PATHS if path != "/"])
def test_a_path_of_the_servers_own_cannot_be_taken(tmp_path: Path, path: str) -> None:
    assert codes(loaded(tmp_path, {"agents/a.yaml": f"streams: [{path}]\nprompt: x\n"})) == ["E505"]


def test_an_agent_that_nobody_can_reach_is_a_doubt_and_answers_nobody(tmp_path: Path) -> None:
    loading = loaded(tmp_path, {"agents/a.yaml": "# one\nprompt: x\n", "agents/b.yaml": "numbers: []\nprompt: x\n"})

    assert told(loading) == [
        "a.yaml:2:1 W501 nobody can reach this agent",
        "b.yaml:1:1 W501 nobody can reach this agent",
    ]
    assert loading.set_aside == ()
    assert set(loading.dialplan.agents) == {"a", "b"}


@pytest.mark.parametrize(
    "number",
    [
        "+15550100001",
        "+15",
        "+1800*",
        "+*",
        "*",
        "sip:a@b.c",
        "sip:a@b.c:5060;transport=tcp",
        "sips:a@b",
        "sip:*",
        "client:joey",
        "client:desk*",
        "whatsapp:+15550100001",
    ],
)
def test_a_number_may_be_written_so(tmp_path: Path, number: str) -> None:
    assert codes(loaded(tmp_path, {"agents/a.yaml": f'numbers: ["{number}"]\nprompt: x\n'})) == []


@pytest.mark.parametrize(
    "number",
    [
        "+0555",
        "1555",
        "+1 555",
        "+1-555",
        "+1555*0",
        "**",
        "sip:",
        "SIP:a@b",
        "tel:+1555",
        "",
        "+",
        "+1555\\n",
        "+1" + "5" * 15,
    ],
)
def test_a_number_may_not_be_written_so(tmp_path: Path, number: str) -> None:
    assert codes(loaded(tmp_path, {"agents/a.yaml": f'numbers: ["{number}"]\nprompt: x\n'})) == ["E107"]


@pytest.mark.parametrize("path", ["/a", "/twilio/pharmacy", "/a/b-c/d_e.f", "/100%", "/a:b@c"])
def test_a_path_may_be_written_so(tmp_path: Path, path: str) -> None:
    assert codes(loaded(tmp_path, {"agents/a.yaml": f'streams: ["{path}"]\nprompt: x\n'})) == []


@pytest.mark.parametrize("path", ["/", "a", "/a/", "//a", "/a?b", "/a#b", "/a b", "wss://a/b", "/a\\n", ""])
def test_a_path_may_not_be_written_so(tmp_path: Path, path: str) -> None:
    assert codes(loaded(tmp_path, {"agents/a.yaml": f'streams: ["{path}"]\nprompt: x\n'})) == ["E107"]


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        ("{calls: 1, minutes: 0.5, silence: 0.5}", None),
        ("{minutes: 115}", None),
        ("{minutes: 115.1}", "E106"),
        ("{minutes: 0}", "E106"),
        ("{calls: 0}", "E106"),
        ("{calls: 1.5}", "E103"),
        ("{silence: 0}", "E106"),
        ("{silence: 1e300}", "E106"),
    ],
)
def test_limits_have_limits(tmp_path: Path, limits: str, code: str | None) -> None:
    assert codes(loaded(tmp_path, {"agents/a.yaml": f"{PLAIN}limits: {limits}\n"})) == ([code] if code else [])
