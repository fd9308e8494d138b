"""Agent files as Settings: every message is held against Deepgram's own package, its specification, and our rules."""

import json
import logging
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pydantic
import pytest
from deepgram.agent.v1.types import AgentV1Settings
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from dialplan.call.settings import encoded, rendered, settings, shown
from dialplan.config.model import Agent
from dialplan.errors import ConfigError
from dialplan.facts import Call
from tests.agents import agent_of

SCHEMA = json.loads(resources.files("dialplan.rehearsal").joinpath("settings.schema.json").read_text("utf-8"))
SPECIFICATION = Draft7Validator(SCHEMA)

ENVIRONMENT = {"LLM_KEY": "sk-llm-4711", "TTS_KEY": "sk-tts-0815", "AWS_ID": "AKIA-1", "AWS_SECRET": "aws-hush"}

CALL = Call(
    id="CA1",
    from_="+15550100099",
    to="+15550100001",
    started=datetime(2026, 11, 25, 10, 10, tzinfo=UTC),
    caller_name="Zoë",
    params=MappingProxyType({"tier": "gold"}),
)

PLUGIN = '''
from typing import Annotated, Literal
from dialplan import Call

def price(drug_name: Annotated[str, "Drug, lower case."], amount: int = 1, unit: Literal["mg", "g"] = "mg") -> dict:
    """What one drug costs."""
    return {}

async def order(call: Call, items: list[str], note: str | None = None) -> dict:
    """Order something."""
    return {}
'''

AGENTS = {
    "nothing but a prompt": "prompt: You are a test.",
    "nova": "{prompt: p, listen: nova-2}",
    "nova with options": """
prompt: p
language: en-GB
listen: {model: nova-3, keyterms: [Zoë, IVR], smart_format: true}
""",
    "nova without smart format": "{prompt: p, listen: {model: nova-3, smart_format: false}}",
    "several languages": "{prompt: p, language: multi}",
    "flux": "{prompt: p, listen: flux-general-en}",
    "flux with options": """
prompt: p
listen: {model: flux-general-en, keyterms: [Corner], eot_threshold: 0.8, eager_eot_threshold: 0.4, eot_timeout_ms: 900}
""",
    "flux at its limits": "{prompt: p, listen: {model: flux-general-en, eot_threshold: 1, eager_eot_threshold: 0.9}}",
    "flux in several languages": "{prompt: p, listen: {model: flux-general-multi, language_hints: [en, es]}}",
    "open_ai": "{prompt: p, think: {provider: open_ai, model: gpt-5-mini, temperature: 0, reasoning_mode: low}}",
    "a model of tomorrow": "{prompt: p, think: {provider: open_ai, model: gpt-9-huge}, voice: aura-3-nemo-en}",
    "anthropic": "{prompt: p, think: {provider: anthropic, model: claude-haiku-4-5, temperature: 1}}",
    "google": "{prompt: p, think: {provider: google, model: gemini-2.5-flash, temperature: 2}}",
    "groq": """
prompt: p
think:
  provider: groq
  model: openai/gpt-oss-20b
  reasoning_mode: high
  endpoint: {url: "https://api.groq.com/openai/v1/chat/completions", headers: {authorization: "Bearer ${LLM_KEY}"}}
""",
    "aws_bedrock": """
prompt: p
think:
  {provider: aws_bedrock, model: "anthropic/claude-3-5-haiku-20240307-v1:0", endpoint: {url: "https://bedrock.aws"}}
""",
    "a model of Deepgram's own": "{prompt: p, think: {provider: deepgram, model: think-fast, reasoning_mode: none}}",
    "a gateway": """
prompt: p
think:
  provider: open_ai
  model: llama
  context_length: max
  endpoint: {url: "https://llm.example.com/v1", headers: {x-key: "${LLM_KEY}", x-plain: plain}}
""",
    "a gateway with little memory": """
prompt: p
think: {provider: open_ai, model: llama, context_length: 4000, endpoint: {url: "https://llm.example.com/v1"}}
""",
    "models to fall back to": """
prompt: Hello {{ call.caller_name }}.
functions: [end_call]
think:
  - {provider: open_ai, model: gpt-4o-mini, temperature: 0.3}
  - {provider: anthropic, model: claude-haiku-4-5}
  - {provider: open_ai, model: llama, endpoint: {url: "https://llm.example.com/v1", headers: {x-key: "${LLM_KEY}"}}}
""",
    "an aura voice": "{prompt: p, voice: aura-2-zeus-en}",
    "an aura voice with speed": "{prompt: p, voice: {model: aura-2-zeus-en, speed: 1.2}}",
    "a flux voice": "{prompt: p, voice: flux-alexis-en}",
    "a flux voice with feeling": "{prompt: p, voice: {model: flux-alexis-en, expressivity: -2, speed: 0.5}}",
    "eleven_labs": """
prompt: p
voice:
  provider: eleven_labs
  model_id: eleven_turbo_v2_5
  language: en-US
  endpoint: {url: "wss://api.elevenlabs.io/v1/text-to-speech/x/multi-stream-input", headers: {xi-api-key: "${TTS_KEY}"}}
""",
    "cartesia": """
prompt: p
voice:
  provider: cartesia
  model_id: sonic-2
  voice: {mode: id, id: a0e99841}
  language: en
  volume: 1.5
  endpoint: {url: "https://api.cartesia.ai/tts/bytes", headers: {x-api-key: "${TTS_KEY}"}}
""",
    "a voice of open_ai": """
prompt: p
voice:
  {provider: open_ai, model: tts-1, voice: alloy, endpoint: {url: "https://api.openai.com/v1/audio/speech",
   headers: {authorization: "Bearer ${TTS_KEY}"}}}
""",
    "aws_polly": """
prompt: p
voice:
  provider: aws_polly
  voice: Matthew
  language: en-US
  engine: neural
  credentials: {type: iam, region: us-east-1, access_key_id: "${AWS_ID}", secret_access_key: "${AWS_SECRET}"}
  endpoint: {url: "https://polly.us-east-1.amazonaws.com/v1/speech"}
""",
    "voices to fall back to": """
prompt: p
voice:
  - aura-2-thalia-en
  - flux-alexis-en
  - {provider: open_ai, model: tts-1, voice: alloy, endpoint: {url: "https://api.openai.com/v1/audio/speech"}}
""",
    "functions of every kind": """
prompt: p
plugins: [plugins.tools]
functions:
  - price
  - {name: order, defer: true, filler: One moment., timeout: 5, on_interrupt: cancel}
  - end_call
  - name: weather
    description: Weather of a city.
    parameters: {type: object, properties: {city: {type: string, enum: [Rome, Oslo]}}, required: [city]}
    http: {url: "https://api.example.com/weather/{{ city }}", headers: {x-key: "${LLM_KEY}"}}
  - name: report
    description: File a report.
    parameters: {type: object, properties: {text: {type: string}}, additionalProperties: false}
    http: {method: POST, url: "https://api.example.com/reports", json: {text: "{{ text }}"}}
  - name: lookup_order
    description: Deepgram calls this one.
    parameters: {type: object, properties: {order_id: {type: string}}, required: [order_id]}
    endpoint: {url: "https://api.example.com/orders", method: get, headers: {authorization: "Bearer ${LLM_KEY}"}}
  - name: ping
    description: The shortest there is.
    endpoint: {url: "https://api.example.com/ping"}
""",
    "texts from the call": """
prompt: |
  You talk with {{ call.caller_name }} ({{ call.from }}) on {{ call.started.strftime("%A %d %B") }}.
  {% if call.city %}They are in {{ call.city }}.{% endif %}{% if call.params.tier %}{{ call.params.tier }}{% endif %}
greeting: Hello {{ call.caller_name }}, this is {{ store }}!
variables: {store: "Corner & Söhne"}
""",
    "settings of one's own": """
prompt: p
settings:
  mip_opt_out: true
  experimental: true
  tags: [tenant]
  flags: {history: true}
  agent:
    greeting: Overridden.
    think:
      provider: {temperature: 0.1}
      context_length: 100
      endpoint: {url: "https://x.com", headers: {k: "${LLM_KEY}"}}
    context: {messages: [{type: History, role: user, content: Hi.}]}
""",
}

#: Deepgram's package 7.17.0 does not know what its documentation does.
ONLY_DOCUMENTED = {"nvidia": "{prompt: p, think: {provider: nvidia, model: nemotron, temperature: 0.5}}"}


def loaded(root: Path, text: str) -> Agent:
    return agent_of(root, text, PLUGIN, ENVIRONMENT)


def message_of(root: Path, text: str, call: Call = CALL) -> dict[str, Any]:
    """What goes to Deepgram, secrets and all."""
    message: dict[str, Any] = json.loads(encoded(settings(loaded(root, text), call)))
    return message


def unknown_keys(value: object, path: str = "") -> list[str]:
    """Keys that Deepgram's package has no name for; it accepts them, but the service does not."""
    if isinstance(value, pydantic.BaseModel):
        found = [f"{path}.{key}" for key in value.model_extra or {}]
        fields = type(value).model_fields
        return found + [k for field in fields for k in unknown_keys(getattr(value, field, None), f"{path}.{field}")]
    items = value if isinstance(value, list | tuple) else ()
    return [key for index, item in enumerate(items) for key in unknown_keys(item, f"{path}[{index}]")]


def all_of(one_or_many: Any) -> list[Any]:
    return one_or_many if isinstance(one_or_many, list) else [one_or_many]


@pytest.mark.parametrize("name", AGENTS)
def test_deepgrams_package_takes_the_settings(tmp_path: Path, name: str) -> None:
    message = message_of(tmp_path, AGENTS[name])

    validated = AgentV1Settings.model_validate(message)

    assert unknown_keys(validated) == []
    assert json.loads(json.dumps(validated.dict())) == message


@pytest.mark.parametrize("text", [*AGENTS.values(), *ONLY_DOCUMENTED.values()], ids=[*AGENTS, *ONLY_DOCUMENTED])
def test_deepgrams_specification_allows_the_settings(tmp_path: Path, text: str) -> None:
    message = message_of(tmp_path, text)

    assert [f"{mistake.json_path}: {mistake.message}" for mistake in SPECIFICATION.iter_errors(message)] == []


@pytest.mark.parametrize("text", AGENTS.values(), ids=AGENTS)
def test_what_live_calls_taught_is_kept_in_every_message(tmp_path: Path, text: str) -> None:
    message = message_of(tmp_path, text)
    agent, provider = message["agent"], message["agent"]["listen"]["provider"]

    assert message["audio"]["input"] == {"encoding": "mulaw", "sample_rate": 8000}
    assert message["audio"]["output"] == {"encoding": "mulaw", "sample_rate": 8000, "container": "none"}
    assert "language" not in agent
    if provider["model"].startswith("flux-"):
        assert provider["version"] == "v2"
        assert not provider.keys() & {"language", "smart_format"}
    else:
        assert provider["version"] == "v1"
        assert provider["language"]
    for speak in all_of(agent["speak"]):
        assert speak["provider"]["type"] == "deepgram" or speak["endpoint"]["url"]
        assert (speak["provider"].get("version") == "v2") == speak["provider"].get("model", "").startswith("flux-")


# What stands where


def test_the_smallest_agent_is_the_defaults(tmp_path: Path) -> None:
    assert message_of(tmp_path, "prompt: You are a test.") == {
        "type": "Settings",
        "tags": ["agent:a"],
        "flags": {"history": False},
        "audio": {
            "input": {"encoding": "mulaw", "sample_rate": 8000},
            "output": {"encoding": "mulaw", "sample_rate": 8000, "container": "none"},
        },
        "agent": {
            "listen": {"provider": {"type": "deepgram", "version": "v1", "model": "nova-3", "language": "en"}},
            "think": {"provider": {"type": "open_ai", "model": "gpt-4o-mini"}, "prompt": "You are a test."},
            "speak": {"provider": {"type": "deepgram", "model": "aura-2-thalia-en"}},
        },
    }


@pytest.mark.parametrize(
    ("name", "provider"),
    [
        (
            "nova with options",
            {"version": "v1", "model": "nova-3", "language": "en-GB", "keyterms": ["Zoë", "IVR"], "smart_format": True},
        ),
        (
            "nova without smart format",
            {"version": "v1", "model": "nova-3", "language": "en", "smart_format": False},
        ),
        ("several languages", {"version": "v1", "model": "nova-3", "language": "multi"}),
        ("flux", {"version": "v2", "model": "flux-general-en"}),
        (
            "flux with options",
            {
                "version": "v2",
                "model": "flux-general-en",
                "keyterms": ["Corner"],
                "eot_threshold": 0.8,
                "eager_eot_threshold": 0.4,
                "eot_timeout_ms": 900,
            },
        ),
        (
            "flux in several languages",
            {"version": "v2", "model": "flux-general-multi", "language_hints": ["en", "es"]},
        ),
    ],
)
def test_listening_is_what_the_file_says(tmp_path: Path, name: str, provider: dict[str, Any]) -> None:
    message = message_of(tmp_path, AGENTS[name])

    assert message["agent"]["listen"] == {"provider": {"type": "deepgram"} | provider}


@pytest.mark.parametrize(
    ("name", "think"),
    [
        (
            "open_ai",
            {"provider": {"type": "open_ai", "model": "gpt-5-mini", "temperature": 0, "reasoning_mode": "low"}},
        ),
        (
            "a gateway",
            {
                "provider": {"type": "open_ai", "model": "llama"},
                "endpoint": {
                    "url": "https://llm.example.com/v1",
                    "headers": {"x-key": "sk-llm-4711", "x-plain": "plain"},
                },
                "context_length": "max",
            },
        ),
        (
            "a gateway with little memory",
            {
                "provider": {"type": "open_ai", "model": "llama"},
                "endpoint": {"url": "https://llm.example.com/v1", "headers": {}},
                "context_length": 4000,
            },
        ),
    ],
)
def test_thinking_is_what_the_file_says(tmp_path: Path, name: str, think: dict[str, Any]) -> None:
    message = message_of(tmp_path, AGENTS[name])

    assert message["agent"]["think"] == {"prompt": "p"} | think


def test_prompt_and_functions_stand_in_every_model(tmp_path: Path) -> None:
    first, *fallbacks = message_of(tmp_path, AGENTS["models to fall back to"])["agent"]["think"]

    assert first["prompt"] == "Hello Zoë."
    assert [function["name"] for function in first["functions"]] == ["end_call"]
    assert [(think["prompt"], think["functions"]) for think in fallbacks] == [(first["prompt"], first["functions"])] * 2
    assert [think["provider"]["type"] for think in (first, *fallbacks)] == ["open_ai", "anthropic", "open_ai"]
    assert ["endpoint" in think for think in (first, *fallbacks)] == [False, False, True]


def test_functions_have_what_the_model_needs_and_nothing_of_ours(tmp_path: Path) -> None:
    functions = message_of(tmp_path, AGENTS["functions of every kind"])["agent"]["think"]["functions"]

    by_name = {function["name"]: function for function in functions}
    assert list(by_name) == ["price", "order", "end_call", "weather", "report", "lookup_order", "ping"]
    assert by_name["price"] == {
        "name": "price",
        "description": "What one drug costs.",
        "parameters": {
            "type": "object",
            "properties": {
                "drug_name": {"type": "string", "description": "Drug, lower case."},
                "amount": {"type": "integer", "default": 1},
                "unit": {"enum": ["mg", "g"], "default": "mg"},
            },
            "required": ["drug_name"],
        },
    }
    assert by_name["order"].keys() == {"name", "description", "parameters", "defer_until_eot"}
    assert by_name["lookup_order"]["endpoint"] == {
        "url": "https://api.example.com/orders",
        "method": "get",
        "headers": {"authorization": "Bearer sk-llm-4711"},
    }
    assert by_name["ping"]["parameters"] == {"type": "object", "properties": {}}


def test_what_changes_something_outside_waits_for_the_end_of_the_turn(tmp_path: Path) -> None:
    functions = message_of(tmp_path, AGENTS["functions of every kind"])["agent"]["think"]["functions"]

    deferred = [function["name"] for function in functions if function.get("defer_until_eot")]
    assert deferred == ["order", "end_call", "report"]


def test_several_voices_are_a_list_and_one_is_none(tmp_path: Path) -> None:
    one = message_of(tmp_path, AGENTS["a flux voice with feeling"])["agent"]["speak"]
    several = message_of(tmp_path, AGENTS["voices to fall back to"])["agent"]["speak"]

    flux = {"type": "deepgram", "version": "v2", "model": "flux-alexis-en"}
    assert one == {"provider": flux | {"expressivity": -2, "speed": 0.5}}
    assert [voice["provider"] for voice in several] == [
        {"type": "deepgram", "model": "aura-2-thalia-en"},
        flux,
        {"type": "open_ai", "model": "tts-1", "voice": "alloy"},
    ]


def test_settings_of_ones_own_lie_over_everything(tmp_path: Path) -> None:
    message = message_of(tmp_path, AGENTS["settings of one's own"])

    assert message["mip_opt_out"] is True
    assert message["flags"] == {"history": True}
    assert message["agent"]["greeting"] == "Overridden."
    assert message["agent"]["think"] == {
        "provider": {"type": "open_ai", "model": "gpt-4o-mini", "temperature": 0.1},
        "prompt": "p",
        "context_length": 100,
        "endpoint": {"url": "https://x.com", "headers": {"k": "sk-llm-4711"}},
    }


def test_rendering_leaves_the_agent_as_it_was_for_the_next_call(tmp_path: Path) -> None:
    agent = loaded(tmp_path, AGENTS["settings of one's own"])
    before = shown(settings(agent, CALL))

    settings(agent, CALL)["agent"]["think"]["provider"]["model"] = "spoilt"
    settings(agent, CALL)["audio"]["input"]["encoding"] = "spoilt"

    assert shown(settings(agent, CALL)) == before


# Templates


def test_texts_are_rendered_with_the_facts_of_this_call(tmp_path: Path) -> None:
    agent = message_of(tmp_path, AGENTS["texts from the call"])["agent"]

    assert agent["greeting"] == "Hello Zoë, this is Corner & Söhne!"
    assert agent["think"]["prompt"] == "You talk with Zoë (+15550100099) on Wednesday 25 November.\ngold"


def test_what_the_network_did_not_send_is_an_empty_text(tmp_path: Path) -> None:
    text = """
prompt: "[{{ call.from }}{{ call.caller_name }}{{ call.city }}{{ call.params.tier }}{{ call.params['x-y'] }}]"
greeting: "{% if call.state or call.params.tier %}never{% endif %}"
"""
    agent = message_of(tmp_path, text, Call(id="CA1"))["agent"]

    assert agent["think"]["prompt"] == "[]"
    assert agent["greeting"] == ""


@examples(database=None, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text() | st.sampled_from(["{{ secrets }}", "{% for x in y %}", "{# #}", "${LLM_KEY}", "{{ 7 * 7 }}"]))
def test_whatever_a_caller_is_called_stays_text(named: Agent, name: str) -> None:
    message = json.loads(encoded(settings(named, Call(id="CA1", caller_name=name, params={"p": name}))))

    assert message["agent"]["greeting"] == f"[{name}]"
    assert message["agent"]["think"]["prompt"] == f"[{name}]"


@pytest.fixture
def named(tmp_path: Path) -> Agent:
    return loaded(tmp_path, 'prompt: "[{{ call.caller_name }}]"\ngreeting: "[{{ call.params.p }}]"')


@pytest.mark.parametrize(
    "template", ["{{ 1 // (call.city | length) }}", "{% if call.caller_name == 'Zoë' %}{{ 1 // 0 }}{% endif %}"]
)
def test_a_text_that_a_call_breaks_is_the_authors_mistake(tmp_path: Path, template: str) -> None:
    agent = loaded(tmp_path, json.dumps({"prompt": template, "notice": template}))

    with pytest.raises(ConfigError):
        settings(agent, CALL)
    with pytest.raises(ConfigError):
        rendered(agent.notice, agent, CALL)


def test_a_notice_is_rendered_and_none_is_empty(tmp_path: Path) -> None:
    agent = loaded(tmp_path, 'prompt: p\nnotice: "{{ call.to }} may be recorded."')

    assert rendered(agent.notice, agent, CALL) == "+15550100001 may be recorded."
    assert rendered(agent.greeting, agent, CALL) == ""


# Secrets


HUSHED = """
numbers: ["+15550100001"]
prompt: p
deepgram: {api_key: "${LLM_KEY}", url: "wss://${TTS_KEY}.example.com"}
think: {provider: open_ai, model: m, endpoint: {url: "https://x.com/${LLM_KEY}", headers: {a: "Bearer ${LLM_KEY}"}}}
voice:
  provider: aws_polly
  voice: Matthew
  language: en-US
  engine: neural
  credentials: {type: iam, region: eu, access_key_id: "${AWS_ID}", secret_access_key: "${AWS_SECRET}"}
  endpoint: {url: "https://polly.aws"}
functions:
  - name: f
    description: d
    parameters: {type: object, properties: {}}
    http:
      {method: POST, url: "https://x.com/${LLM_KEY}", headers: {a: "${LLM_KEY}"}, query: {k: "${TTS_KEY}"},
       json: {id: "${AWS_ID}"}}
  - {name: g, description: d, endpoint: {url: "https://x.com", headers: {a: "Bearer ${TTS_KEY}"}}}
settings: {agent: {think: {endpoint: {headers: {b: "${AWS_SECRET}"}}}}}
"""


def test_a_secret_is_in_place_on_the_wire(tmp_path: Path) -> None:
    message = message_of(tmp_path, HUSHED)

    think, speak = message["agent"]["think"], message["agent"]["speak"]
    assert think["endpoint"]["url"] == "https://x.com/sk-llm-4711"
    assert think["endpoint"]["headers"] == {"a": "Bearer sk-llm-4711", "b": "aws-hush"}
    assert think["functions"][1]["endpoint"]["headers"] == {"a": "Bearer sk-tts-0815"}
    assert speak["provider"]["credentials"]["secret_access_key"] == "aws-hush"


def test_a_secret_is_shown_by_its_name(tmp_path: Path) -> None:
    message = json.loads(shown(settings(loaded(tmp_path, HUSHED), CALL)))

    assert message["agent"]["think"]["endpoint"]["headers"] == {"a": "Bearer ${LLM_KEY}", "b": "${AWS_SECRET}"}
    assert message["agent"]["speak"]["provider"]["credentials"]["access_key_id"] == "${AWS_ID}"


def test_no_dump_holds_a_secret(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    agent = loaded(tmp_path, HUSHED)
    message = settings(agent, CALL)
    logging.getLogger("test").info("%s %r %s %r", agent, agent, message, [agent.api_key, agent.functions])

    dumps = [caplog.text, repr(agent), str(agent), f"{agent.api_key}", repr(message), str(message), shown(message)]

    assert [(value, dump) for dump in dumps for value in ENVIRONMENT.values() if value in dump] == []
    assert "${LLM_KEY}" in repr(agent)


def test_what_has_no_place_in_json_is_not_made_up() -> None:
    with pytest.raises(TypeError, match="datetime has no place in JSON"):
        encoded({"type": datetime.now(UTC)})
