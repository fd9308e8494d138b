"""listen, think and voice: what each of Deepgram's providers demands and does not know."""

from pathlib import Path
from typing import Any

import pytest

from dialplan.config.model import Listen
from dialplan.config.secret import Secret
from tests.config.files import PLAIN, agent_of, codes, loaded, under

KEY = {"KEY": "secret"}


def read(root: Path, text: str) -> Any:
    return loaded(root, {"agents/a.yaml": PLAIN + text + "\n"}, KEY)


@pytest.mark.parametrize(
    ("text", "listen"),
    [
        ("", Listen("nova-3")),
        ("listen: nova-2", Listen("nova-2")),
        ("listen: {model: nova-3, keyterms: [a, b], smart_format: true}", Listen("nova-3", ("a", "b"), True)),
        ("listen: flux-general-en", Listen("flux-general-en")),
        (
            "listen: {model: flux-general-multi, eot_threshold: 0.8, eager_eot_threshold: 0.8, eot_timeout_ms: 900, "
            "language_hints: [en, es]}",
            Listen("flux-general-multi", (), None, 0.8, 0.8, 900, ("en", "es")),
        ),
        ("listen: {model: flux-general-en, eager_eot_threshold: 0.7}", Listen("flux-general-en", (), None, None, 0.7)),
    ],
)
def test_how_the_agent_hears(tmp_path: Path, text: str, listen: Listen) -> None:
    assert agent_of(read(tmp_path, text)).listen == listen


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("listen: flux-general-en\nlanguage: en", [("E401", "language")]),
        ("listen: {model: flux-general-en}\nlanguage: de", [("E401", "language")]),
        ("listen: {model: flux-general-en, smart_format: false}", [("E401", "smart_format")]),
        ("listen: {model: flux-general-en, language_hints: [en]}", [("E401", "language_hints")]),
        ("listen: {model: nova-3, eot_threshold: 0.7}", [("E401", "eot_threshold")]),
        (
            "listen: {model: nova-3, eot_timeout_ms: 500, language_hints: []}",
            [("E401", "eot_timeout_ms"), ("E401", "language_hints")],
        ),
        ("listen: {model: flux-general-en, eager_eot_threshold: 0.71}", [("E403", "0.71")]),
        ("listen: {model: flux-general-en, eager_eot_threshold: 0.6, eot_threshold: 0.5}", [("E403", "0.6")]),
        ("listen: nova-3\nlanguage: multi", []),
    ],
)
def test_options_of_another_listen_model_are_told(tmp_path: Path, text: str, problems: list[tuple[str, str]]) -> None:
    loading = read(tmp_path, text)

    assert list(zip(codes(loading), under(loading), strict=True)) == problems


def test_a_model_that_thinks_and_its_fallbacks(tmp_path: Path) -> None:
    text = """think:
  - {provider: open_ai, model: gpt-4o, temperature: 0, reasoning_mode: low}
  - provider: groq
    model: openai/gpt-oss-20b
    context_length: 9000
    endpoint: {url: "https://a.b", headers: {authorization: "Bearer ${KEY}"}}
"""

    first, second = agent_of(read(tmp_path, text)).think

    assert (first.provider, first.model, first.temperature, first.reasoning_mode) == ("open_ai", "gpt-4o", 0, "low")
    assert (first.endpoint, first.context_length) == (None, None)
    assert second.context_length == 9000
    assert second.endpoint is not None
    authorization = second.endpoint.headers["authorization"]
    assert isinstance(authorization, Secret)
    assert authorization.reveal() == "Bearer secret"
    assert "secret" not in repr(second)


def test_one_model_needs_no_list(tmp_path: Path) -> None:
    assert len(agent_of(read(tmp_path, "think: {provider: google, model: gemini-2.5-flash}")).think) == 1


@pytest.mark.parametrize(
    ("think", "problems"),
    [
        ("{provider: groq, model: x}", [("E402", "groq")]),
        ("{provider: aws_bedrock, model: x}", [("E402", "aws_bedrock")]),
        ("{provider: nvidia, model: x}", []),
        ("{provider: open_ai, model: gpt-5, context_length: max}", [("E402", "context_length")]),
        ("{provider: anthropic, model: claude-sonnet-5, temperature: 1}", []),
        ("{provider: anthropic, model: claude-sonnet-5, temperature: 1.1}", [("E106", "1.1")]),
        ("{provider: google, model: gemini-3.5-flash, temperature: 2}", []),
        ("{provider: google, model: gemini-3.5-flash, reasoning_mode: low}", [("E405", "reasoning_mode")]),
        ("{provider: anthropic, model: claude-sonnet-5, reasoning_mode: low}", [("E405", "reasoning_mode")]),
        ("{provider: groq, model: x, reasoning_mode: low, endpoint: {url: 'https://a.b'}}", []),
        ("{provider: groq, model: x, endpoint: {url: 5}}", [("E103", "5")]),
    ],
)
def test_what_a_models_provider_does_not_take_is_told(
    tmp_path: Path, think: str, problems: list[tuple[str, str]]
) -> None:
    loading = read(tmp_path, f"think: {think}")

    assert list(zip(codes(loading), under(loading), strict=True)) == problems


def test_a_voice_and_its_fallbacks(tmp_path: Path) -> None:
    text = """voice:
  - aura-2-arcas-en
  - {model: flux-alexis-en, expressivity: -1}
  - {provider: cartesia, model_id: sonic-2, voice: {mode: id, id: abc}, volume: 1.5, endpoint: {url: "wss://a.b/${KEY}"}}
"""

    first, second, third = agent_of(read(tmp_path, text)).voices

    assert (first.provider, first.options) == ("deepgram", {"model": "aura-2-arcas-en"})
    assert (second.provider, second.options) == ("deepgram", {"model": "flux-alexis-en", "expressivity": -1})
    assert (third.provider, third.options) == (
        "cartesia",
        {"model_id": "sonic-2", "voice": {"mode": "id", "id": "abc"}, "volume": 1.5},
    )
    assert third.endpoint is not None
    assert str(third.endpoint.url) == "wss://a.b/${KEY}"


@pytest.mark.parametrize(
    ("voice", "problems"),
    [
        ("{speed: 1.1}", [("E402", "{")]),
        ("{provider: deepgram}", [("E402", "deepgram")]),
        ("{model: aura-2-thalia-en, language: en}", [("E405", "language")]),
        ("{model: aura-2-thalia-en, voice: x}", [("E405", "voice")]),
        ("{provider: eleven_labs, model_id: x}", [("E402", "eleven_labs")]),
        ("{provider: eleven_labs, model_id: x, voice: y, endpoint: {url: 'https://a.b'}}", [("E405", "voice")]),
        ("{provider: cartesia, model_id: x, endpoint: {url: 'https://a.b'}}", [("E402", "cartesia")]),
        ("{provider: cartesia, model_id: x, voice: y, endpoint: {url: 'https://a.b'}}", [("E402", "y")]),
        ("{provider: cartesia, model_id: x, voice: {id: y}, endpoint: {url: 'https://a.b'}}", [("E402", "{id: y}")]),
        ("{provider: open_ai, model: tts-1, voice: alloy}", [("E402", "open_ai")]),
        ("{provider: open_ai, model: tts-1, voice: {id: x}, endpoint: {url: 'https://a.b'}}", [("E103", "{")]),
        ("{provider: aws_polly}", [("E402", "aws_polly")] * 5),
        ("[aura-2-thalia-en, {provider: open_ai}]", [("E402", "open_ai")] * 3),
        ("{provider: elevenlabs, model_id: x, endpoint: {url: 'https://a.b'}}", [("E105", "elevenlabs")]),
        ("{model: aura-2-thalia-en, expressivity: 1}", [("E405", "expressivity")]),
        ("{model: flux-alexis-en, expressivity: 0.5}", [("E103", "0.5")]),
    ],
)
def test_what_a_voices_provider_does_not_take_is_told(
    tmp_path: Path, voice: str, problems: list[tuple[str, str]]
) -> None:
    loading = read(tmp_path, f"voice: {voice}")

    assert list(zip(codes(loading), under(loading), strict=True)) == problems
