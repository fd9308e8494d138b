"""The Settings message's specification, which makes the stand-in as strict as the service."""

import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

FIXTURES = Path(__file__).parents[1] / "fixtures"
SCHEMA = json.loads(resources.files("dialplan.rehearsal").joinpath("settings.schema.json").read_text("utf-8"))
SPECIFICATION = Draft7Validator(SCHEMA)


def changed(message: Mapping[str, Any], path: str, value: Any = None) -> dict[str, Any]:
    """The message with something put at a path, or with what is there taken out."""
    copy: dict[str, Any] = json.loads(json.dumps(message))
    *way, last = path.split(".")
    at: Any = copy
    for step in way:
        at = at[int(step) if isinstance(at, list) else step]
    if value is None:
        del at[last]
    else:
        at[last] = value
    return copy


def example() -> dict[str, Any]:
    message: dict[str, Any] = json.loads((FIXTURES / "deepgram-settings.json").read_text("utf-8"))
    return message


def test_the_specification_is_a_schema_and_names_its_source() -> None:
    Draft7Validator.check_schema(SCHEMA)

    assert "github.com/deepgram/deepgram-api-specs @4ba987c" in SCHEMA["$comment"]
    assert "CC-BY-4.0" in SCHEMA["$comment"]


def test_the_specification_allows_deepgrams_example() -> None:
    assert SPECIFICATION.is_valid(example())


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("type", "settings"),
        ("type", None),
        ("audio", None),
        ("agent", None),
        ("agent", "not-a-uuid"),
        ("settings", {}),
        ("audio.input_encoding", "mulaw"),
        ("audio.input.encoding", "ulaw"),
        ("audio.input.encoding", None),
        ("audio.input.sample_rate", None),
        ("audio.input.sample_rate", "8000"),
        ("audio.output.container", "mp4"),
        ("audio.output.channels", 1),
        ("tags", "tenant"),
        ("flags.histories", True),
        ("agent.prompt", "p"),
        ("agent.functions", []),
        ("agent.speaking", {}),
        ("agent.mip_opt_out", True),
        ("agent.think_live", {"provider": {"type": "deepgram"}}),
        ("agent.greeting", 1),
        ("agent.listen.model", "nova-3"),
        ("agent.listen.provider.smart_format", True),
        ("agent.listen.provider.language", "en"),
        ("agent.listen.provider.version", None),
        ("agent.listen.provider.version", "v1"),
        ("agent.listen.provider.model", "nova-3"),
        ("agent.listen.provider.model", None),
        ("agent.listen.provider.eot_threshold", 5),
        ("agent.think", []),
        ("agent.think.0.provider", None),
        ("agent.think.0.provider.type", "openai"),
        ("agent.think.0.provider.model", None),
        ("agent.think.0.provider.temperature", 2.1),
        ("agent.think.0.instructions", "p"),
        ("agent.think.0.context_length", "min"),
        ("agent.think.0.endpoint", {"headers": {}}),
        ("agent.think.0.functions.0.client_side", True),
        ("agent.think.0.functions.0.timeout", 5),
        ("agent.think.0.functions.0.agent_filler_max_count", 1),
        ("agent.think.0.functions.0.parameters", "none"),
        ("agent.think.0.functions.1.defer_until_eot", "yes"),
        ("agent.think.1.provider.temperature", 1.5),
        ("agent.think.1.provider.reasoning_mode", "low"),
        ("agent.think.1.provider.type", "groq"),
        ("agent.speak.0.provider.language", "en"),
        ("agent.speak.0.provider.expressivity", 1),
        ("agent.speak.0.provider.model", "flux-alexis-en"),
        ("agent.speak.1.provider.voice", None),
        ("agent.speak.1.endpoint", None),
        ("agent.context.messages.0.type", "history"),
        ("agent.context.messages.1.function_calls", None),
    ],
)
def test_the_specification_refuses_what_deepgram_refuses(path: str, value: Any) -> None:
    assert not SPECIFICATION.is_valid(changed(example(), path, value))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("agent", "fc553ec9-5874-49ca-a47c-b670d525a4b1"),
        ("agent.greeting", None),
        ("agent.context", None),
        ("agent.listen.provider", {"type": "deepgram", "version": "v1", "model": "nova-3", "smart_format": True}),
        ("agent.listen.provider", {"type": "deepgram"}),
        ("agent.think.0.functions.0.parameters", {"type": "object", "anything": ["at", "all"]}),
        ("agent.think.0.provider.model", "gpt-9"),
        ("agent.think.0.provider", {"type": "nvidia", "model": "nemotron"}),
        ("agent.think.0.provider", {"type": "deepgram", "model": "think-fast"}),
        ("agent.speak.0.provider", {"type": "deepgram", "version": "v2", "model": "flux-new-en", "expressivity": 2}),
    ],
)
def test_the_specification_allows_what_deepgram_allows(path: str, value: Any) -> None:
    assert SPECIFICATION.is_valid(changed(example(), path, value))
