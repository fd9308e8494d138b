"""Deepgram's Settings as an agent file: what the agent then tells Deepgram is what the Settings said."""

import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from dialplan.call import settings as rendering
from dialplan.config.loading import load
from dialplan.config.model import Agent
from dialplan.config.writing import drafting, from_settings, older_settings
from dialplan.config.writing.from_settings import Draft
from dialplan.config.writing.hiding import Hiding
from dialplan.config.writing.starting import Beginning
from dialplan.errors import ConfigError
from tests.agents import CALL
from tests.config.files import write
from tests.config.yaml.test_entries import JSON, TEXTS

FIXTURES = Path(__file__).parents[2] / "fixtures"
EVERYTHING = json.loads((FIXTURES / "deepgram-settings.json").read_text())
TUTORIAL = json.loads((FIXTURES / "settings" / "tutorial.json").read_text())
EARLY = json.loads((FIXTURES / "settings" / "early-access.json").read_text())


def drafted(settings: Any) -> Draft:
    return drafting.settled(from_settings.draft(settings))


def imported(root: Path, settings: Any) -> Agent:
    """The agent of the file that is made of Settings, with code for all its functions."""
    draft = drafted(settings)
    beginning = Beginning("a", None, ("+15550100001",), plugin="plugins.a")
    text = drafting.agent_text(beginning, draft, "config.json", set(draft.wanting))
    functions = "".join(f"{json.dumps(name)}: lambda **arguments: None, " for name in draft.wanting)
    loading = load(write(root, {"agents/a.yaml": text, "plugins/a.py": f"function_map = {{{functions}}}\n"}), None)
    assert [str(p) for p in loading.problems if p.code < "W"] == [], text
    return loading.dialplan.agents["a"]


def agent_of(**parts: Any) -> dict[str, Any]:
    return {"type": "Settings", "audio": {}, "agent": {"think": {"prompt": "x"}, **parts}}


def meaning(message: Any) -> Any:
    """A message without what Deepgram, or the phone network, takes for given."""
    message = Hiding().hidden(json.loads(json.dumps(message, default=str)))
    agent = message["agent"]
    listen = {"type": "deepgram", "model": "nova-3", **agent.get("listen", {}).get("provider", {})}
    if not listen["model"].startswith("flux-"):
        listen = {"language": agent.get("language", "en"), **listen}
    listen.pop("version", None)
    thinks = [_think(one, _all(agent["think"])[0]) for one in _all(agent["think"])]
    voices = [_speak(one) for one in _all(agent.get("speak", {"provider": {"model": "aura-2-thalia-en"}}))]
    kept = {key: value for key, value in agent.items() if key not in ("language", "listen", "think", "speak")}
    others = {key: value for key, value in message.items() if key not in ("type", "audio", "agent", "tags", "flags")}
    tags = [tag for tag in message.get("tags", []) if not tag.startswith("agent:")]
    return {**others, "tags": tags, "agent": {**kept, "listen": listen, "think": thinks, "speak": voices}}


def _think(think: Any, first: Any) -> Any:
    """Every model has the prompt and the functions of the first."""
    provider = {"type": "open_ai", "model": "gpt-4o-mini", **think.get("provider", {})}
    if provider.get("version") == {"google": "v1beta"}.get(provider["type"], "v1"):
        del provider["version"]
    functions = [_function(function) for function in first.get("functions", [])]
    rest = {key: value for key, value in think.items() if key not in ("provider", "functions", "prompt", "endpoint")}
    return {**rest, "provider": provider, "prompt": first["prompt"], "functions": functions, **_endpoint(think)}


def _function(function: Any) -> Any:
    usual = {"parameters": {"type": "object", "properties": {}}, "description": "", "defer_until_eot": False}
    found = usual | function | _endpoint(function)
    if found["name"] == "end_call":
        del found["defer_until_eot"]
    return found


def _speak(speak: Any) -> Any:
    provider = {"type": "deepgram", **speak["provider"]}
    if "language_code" in provider:
        provider["language"] = provider.pop("language_code")
    if provider.get("version") == {"cartesia": "2025-03-17"}.get(provider["type"], "v1"):
        del provider["version"]
    return {"provider": provider, **_endpoint(speak)}


def _endpoint(part: Any) -> Any:
    return {"endpoint": {"headers": {}, **part["endpoint"]}} if "endpoint" in part else {}


def _all(one_or_many: Any) -> list[Any]:
    return one_or_many if isinstance(one_or_many, list) else [one_or_many]


OPEN_AI = {"provider": {"type": "open_ai", "model": "gpt-4o"}, "prompt": "x"}

MESSAGES = {
    "all that there is": EVERYTHING,
    "the tutorial's": TUTORIAL,
    "no listen, no speak": agent_of(),
    "flux": agent_of(
        listen={
            "provider": {
                "type": "deepgram",
                "version": "v2",
                "model": "flux-general-multi",
                "language_hints": ["en", "es"],
                "eot_threshold": 0.8,
                "eager_eot_threshold": 0.4,
                "eot_timeout_ms": 6000,
                "keyterms": ["Zoë: #1"],
            }
        }
    ),
    "nova": agent_of(
        listen={"provider": {"type": "deepgram", "version": "v1", "model": "nova-2", "smart_format": False}},
        language="de",
    ),
    "a language in both places": agent_of(
        listen={"provider": {"type": "deepgram", "model": "nova-3", "language": "multi"}},
    ),
    "a model of one's own": agent_of(
        think={**OPEN_AI, "endpoint": {"url": "https://llm.example.com/v1"}, "context_length": "max"}
    ),
    "a version that is not the usual one": agent_of(
        think={
            "provider": {"type": "google", "model": "gemini-2.5-flash", "version": "ai-studio-v1beta"},
            "prompt": "x",
        }
    ),
    "the usual version": agent_of(
        think={"provider": {"type": "google", "model": "gemini-2.5-flash", "version": "v1beta"}, "prompt": "x"}
    ),
    "fallbacks of every kind": agent_of(
        think=[
            {**OPEN_AI, "provider": {**OPEN_AI["provider"], "reasoning_mode": "low"}},  # type: ignore[dict-item]
            {"provider": {"type": "anthropic", "model": "claude-haiku-4-5", "temperature": 0.5}, "prompt": "x"},
        ],
        speak=[
            {"provider": {"type": "deepgram", "model": "aura-2-thalia-en", "speed": 1.2}},
            {"provider": {"type": "deepgram", "model": "flux-alexis-en", "version": "v2", "expressivity": 1}},
            {
                "provider": {"type": "eleven_labs", "model_id": "eleven_turbo_v2_5", "language_code": "en-US"},
                "endpoint": {"url": "wss://api.elevenlabs.io/v1/text-to-speech/x/stream-input"},
            },
            {
                "provider": {
                    "type": "cartesia",
                    "version": "2025-03-17",
                    "model_id": "sonic-2",
                    "voice": {"mode": "id", "id": "a0e9"},
                    "language": "en",
                },
                "endpoint": {"url": "https://api.cartesia.ai/tts/bytes"},
            },
        ],
    ),
    "one in a list": agent_of(think=[OPEN_AI], speak=[{"provider": {"type": "deepgram", "model": "aura-2-zeus-en"}}]),
    "what has no key here": {
        **agent_of(context={"messages": [{"type": "History", "role": "user", "content": "Hi {{ x }}"}]}),
        "tags": ["a", "b"],
        "experimental": True,
        "mip_opt_out": True,
    },
    "functions": agent_of(
        think={
            **OPEN_AI,
            "functions": [
                {"name": "plain"},
                {"name": "end_call", "description": "Bye.", "parameters": {"type": "object", "properties": {}}},
                {"name": "deferred", "description": "x: #y", "defer_until_eot": True},
                {
                    "name": "theirs",
                    "description": "d",
                    "parameters": {"type": "object", "properties": {"a": {"type": ["string", "null"]}}},
                    "endpoint": {"url": "https://example.com/x", "method": "GET", "headers": {"accept": "x"}},
                },
            ],
        }
    ),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_the_agent_tells_deepgram_what_the_settings_said(tmp_path: Path, name: str) -> None:
    agent = imported(tmp_path, MESSAGES[name])

    found = meaning(rendering.settings(agent, CALL))

    assert found == meaning(MESSAGES[name])


@pytest.mark.parametrize(
    "early",
    [
        EARLY,
        {
            "type": "settings",
            "audio": {"input_encoding": "mulaw"},
            "agent": {"transcription": {"model": "nova-2"}, "speaking": {"model": "aura-asteria-en"}, "prompt": "p"},
        },
        {"agent": {"instructions": "p", "listen_model": "nova-2", "think_model": "gpt-4", "speak_model": "aura-x-en"}},
    ],
)
def test_what_early_versions_said_is_said_in_todays_words(tmp_path: Path, early: Any) -> None:
    agent = imported(tmp_path, early)

    found = meaning(rendering.settings(agent, CALL))

    assert found == meaning(older_settings.modern(early))
    assert agent.listen.model == "nova-2"
    assert agent.prompt.render({})


def test_todays_form_is_not_touched() -> None:
    for message in (EVERYTHING, TUTORIAL):
        assert older_settings.modern(message) == message


@given(TEXTS.filter(bool), TEXTS)
@examples(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_is_told_as_it_stands(tmp_path: Path, prompt: str, greeting: str) -> None:
    agent = imported(tmp_path, agent_of(think={"prompt": prompt}, greeting=greeting))

    found = rendering.settings(agent, CALL)["agent"]

    assert (found["think"]["prompt"], found["greeting"]) == (prompt, greeting)


#: Settings with anything in the places where something stands.
PLACES = st.sampled_from(
    [
        *[("agent", part) for part in ("listen", "think", "speak", "context", "language", "foo")],
        *[("agent", part, "provider") for part in ("listen", "think", "speak")],
        *[("agent", "think", "provider", key) for key in ("type", "model", "temperature", "version", "x")],
        *[("agent", "listen", "provider", key) for key in ("model", "keyterms", "language", "eot_threshold")],
        *[("agent", "speak", "provider", key) for key in ("type", "model", "voice", "speed", "language")],
        *[("agent", part, "endpoint") for part in ("think", "speak")],
        *[("agent", "think", "functions"), ("agent", "think", "functions", 0), ("tags",), ("foo",)],
        *[("agent", "think", "functions", 0, key) for key in ("name", "parameters", "endpoint", "description", "x")],
        ("agent", "think", "functions", 0, "parameters", "properties"),
    ]
)


@given(st.lists(st.tuples(PLACES, JSON), max_size=4))
@examples(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_stands_in_the_settings_the_file_has_no_mistake(tmp_path: Path, broken: list[Any]) -> None:
    message = json.loads(json.dumps(TUTORIAL))
    for path, value in broken:
        _put(message, path, value)

    with suppress(ConfigError):  # What is no text where a text must be cannot be written at all.
        imported(tmp_path, message)


def _put(value: Any, path: tuple[Any, ...], new: Any) -> None:
    for key in path[:-1]:
        deeper = value.get(key) if isinstance(value, dict) else value[0] if isinstance(value, list) and value else None
        if not isinstance(deeper, dict | list):
            return
        value = deeper
    if isinstance(value, dict) or (isinstance(value, list) and value and isinstance(path[-1], int)):
        value[path[-1]] = new


@pytest.mark.parametrize(
    ("message", "note"),
    [
        ({**agent_of(), "audio": {"input": {"encoding": "linear16", "sample_rate": 16000}}}, "audio.input is left out"),
        ({**agent_of(), "audio": {"output": {"container": "wav"}}}, "audio.output is left out"),
        (agent_of(language="en", listen={"provider": {"model": "flux-general-en"}}), "language is left out"),
        (agent_of(foo=1), "agent.foo is not known here"),
        (agent_of(speak={"provider": {"model": "aura-x-en", "language": "en"}}), "in the voice's name"),
        (agent_of(think={"provider": {"type": "anthropic", "model": "x", "temperature": 1.5}, "prompt": "x"}), "1.5"),
        (agent_of(think={"provider": {"type": "groq", "model": "x"}, "prompt": "x"}), "groq needs endpoint"),
        (agent_of(think=[OPEN_AI, {**OPEN_AI, "prompt": "y"}]), "the prompt and the functions of the first"),
        (agent_of(think=[OPEN_AI, {**OPEN_AI, "x": 1}]), "x of one agent.think is left out"),
        (agent_of(think={"prompt": "x", "functions": [{"name": "a b"}]}), "the function a b is left out"),
        (agent_of(think={"prompt": "x", "functions": [{"name": "a"}, {"name": "a"}]}), "a second function a"),
        (agent_of(think={"prompt": "x", "functions": [{"name": "a", "agent_filler": 1}]}), "agent_filler of"),
        (agent_of(think={"prompt": "x", "functions": [{"name": "a", "description": "${B}"}]}), "looked up"),
        (agent_of(think={}), "there is no prompt"),
    ],
)
def test_what_cannot_be_carried_over_is_said(tmp_path: Path, message: Any, note: str) -> None:
    draft = drafted(message)

    assert [one for one in draft.notes if note in one], draft.notes
    imported(tmp_path, message)


@pytest.mark.parametrize("name", ["all that there is", "the tutorial's", "flux", "what has no key here"])
def test_where_all_is_carried_over_nothing_is_said(name: str) -> None:
    assert [note for note in drafted(MESSAGES[name]).notes if "of the first" not in note] == []


@pytest.mark.parametrize("message", [[], 1, "x", {}, {"a": 1}, {"type": "KeepAlive"}, {"type": "X", "agent": {}}])
def test_what_is_no_such_message_is_told_what_was_expected(message: Any) -> None:
    with pytest.raises(ConfigError, match=r'"type": "Settings"'):
        from_settings.draft(message)


def test_an_agent_that_deepgram_has_stored_cannot_be_looked_into() -> None:
    with pytest.raises(ConfigError, match="stored"):
        from_settings.draft({"type": "Settings", "agent": "0c5a1f0e-1111-2222-3333-444455556666"})


def test_functions_without_code_stand_in_remarks_and_can_be_taken_out_of_them(tmp_path: Path) -> None:
    draft = drafted(EVERYTHING)
    text = drafting.agent_text(Beginning("a", None, ("+15550100001",), plugin="plugins.a"), draft, "x.json", ())
    assert load(write(tmp_path, {"agents/a.yaml": text}), None).problems == ()

    begin, end = text.index("# plugins:"), text.index("\nsettings:")
    used = text[:begin] + re.sub(r"(?m)^# ", "", text[begin:end]) + text[end:]
    plugin = "def check_availability(start_date, end_date=None): pass\n"
    loading = load(write(tmp_path, {"agents/a.yaml": used, "plugins/a.py": plugin}), None)

    assert loading.problems == ()
    assert set(loading.dialplan.agents["a"].functions) == {"check_availability", "end_call", "lookup_order"}
