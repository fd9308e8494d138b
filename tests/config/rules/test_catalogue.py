"""Deepgram's models, voices and languages: the list holds what the SDK knows, and doubts only what it may doubt."""

import re
import typing
from pathlib import Path

import pytest
from deepgram.types.anthropic_model import AnthropicModel
from deepgram.types.deepgram_model import DeepgramModel
from deepgram.types.deepgram_think_provider_model import DeepgramThinkProviderModel
from deepgram.types.google_model import GoogleModel
from deepgram.types.listen_v1model import ListenV1Model
from deepgram.types.listen_v2model import ListenV2Model
from deepgram.types.open_ai_think_provider_model import OpenAiThinkProviderModel
from deepgram.types.speak_v1model import SpeakV1Model

from dialplan.config.rules.catalogue import catalogue
from tests.config.files import PLAIN, codes, loaded, told, under


def enum_of(kind: object) -> set[str]:
    """The ids that the SDK's type names; it takes any other one as well."""
    literals = [part for part in typing.get_args(kind) if typing.get_origin(part) is typing.Literal]
    return {one for literal in literals for one in typing.get_args(literal)}


@pytest.mark.parametrize(
    ("known", "kinds"),
    [
        (catalogue()["listen"]["models"], [ListenV1Model, ListenV2Model]),
        (catalogue()["voices"]["models"], [SpeakV1Model, DeepgramModel]),
        (catalogue()["think"]["models"]["open_ai"], [OpenAiThinkProviderModel]),
        (catalogue()["think"]["models"]["anthropic"], [AnthropicModel]),
        (catalogue()["think"]["models"]["google"], [GoogleModel]),
        (catalogue()["think"]["models"]["deepgram"], [DeepgramThinkProviderModel]),
    ],
    ids=["listen", "voices", "open_ai", "anthropic", "google", "deepgram"],
)
def test_what_the_sdk_knows_the_list_knows(known: typing.Collection[str], kinds: list[object]) -> None:
    of_sdk = {one for kind in kinds for one in enum_of(kind)}

    assert of_sdk
    assert of_sdk <= set(known)


def test_every_part_has_a_source_and_a_date() -> None:
    for part in ("listen", "voices", "think"):
        assert catalogue()[part]["source"]
        assert re.fullmatch(r"20\d\d-\d\d", catalogue()[part]["date"])


def test_the_list_is_in_itself_complete() -> None:
    listen, voices = catalogue()["listen"], catalogue()["voices"]
    languages = {code for codes in listen["languages"].values() for code in codes}

    assert {family for family in listen["models"].values() if family} == set(listen["languages"])
    assert languages <= set(catalogue()["language_names"])
    assert {voice.rpartition("-")[2] for voice in voices["models"]} <= languages
    assert set(voices["speak_also"]) <= set(voices["models"])
    assert {meant.partition("-")[0] for meant in catalogue()["often_meant"].values()} <= languages
    assert not set(catalogue()["often_meant"]) & languages


@pytest.mark.parametrize(
    "text",
    [
        "listen: nova-2-phonecall",
        "listen: 6f1c8d2e-7f0a-4c55-9d5e-2f6a0d2c9b11",
        "language: en-GB",
        "language: EN-us",
        "language: multi\nvoice: aura-2-celeste-es",
        "listen: nova\nlanguage: xx\nvoice: aura-2-celeste-es",
        "language: es\nvoice: [aura-2-celeste-es, aura-2-javier-es]",
        "voice: aura-2-javier-es",
        "listen: flux-general-multi\nvoice: aura-2-fujin-ja",
        "listen: {model: flux-general-multi, language_hints: [en-GB, pt-BR]}",
        "think: {provider: open_ai, model: gpt-4o-2024-08-06}",
        "think: {provider: anthropic, model: claude-haiku-4-5-20251001}",
        "think: {provider: anthropic, model: claude-haiku-4-5-latest}",
        "think: {provider: nvidia, model: anything}",
        'think: {provider: groq, model: anything, endpoint: {url: "https://llm.example.com"}}',
        'think: {provider: open_ai, model: anything, endpoint: {url: "https://llm.example.com"}}',
        'voice: {model: newest, endpoint: {url: "https://tts.example.com"}}',
        "deepgram: {url: wss://speech.example.com/v1/agent/converse}\nlisten: ours\nlanguage: xx\nvoice: ours",
        "listen: nova-33\nsettings: {agent: {listen: {provider: {model: nova-3}}}}",
    ],
)
def test_what_may_be_right_is_not_doubted(tmp_path: Path, text: str) -> None:
    assert told(loaded(tmp_path, {"agents/a.yaml": PLAIN + text})) == []


def test_a_server_with_a_service_of_its_own_is_not_doubted(tmp_path: Path) -> None:
    files = {"agents/a.yaml": PLAIN + "listen: ours\nvoice: ours\n"}

    assert codes(loaded(tmp_path, files, {"DEEPGRAM_URL": "wss://speech.example.com/v1/agent/converse"})) == []
    assert (
        codes(loaded(tmp_path, files, {"DEEPGRAM_URL": "wss://api.eu.deepgram.com/v1/agent/converse"})) == ["W401"] * 2
    )


@pytest.mark.parametrize(
    ("text", "word", "help_text"),
    [
        ("listen: nova3", "nova3", 'did you mean "nova-3"?'),
        ("listen: flux", "flux", 'did you mean "flux-general-en"?'),
        ("listen: whatever", "whatever", "usual are nova-3"),
        ("listen: {model: aura-2-thalia-en}", "aura-2-thalia-en", "write voice:"),
        ("voice: Thalia", "Thalia", 'did you mean "aura-2-thalia-en"?'),
        ("voice: {model: aura-2-thalia}", "aura-2-thalia", 'did you mean "aura-2-thalia-en"?'),
        ("voice: alloy", "alloy", "for example aura-2-thalia-en"),
        ("voice: nova-3", "nova-3", "write listen:"),
        ("think: {provider: open_ai, model: gpt-4o-mni}", "gpt-4o-mni", 'did you mean "gpt-4o-mini"?'),
        ("think: {provider: open_ai, model: claude-sonnet-5}", "claude-sonnet-5", "write provider: anthropic"),
        ("think: {provider: google, model: xyz}", "xyz", "for example gemini"),
        ("language: jp", "jp", "did you mean ja (Japanese)?"),
        ("language: br", "br", "did you mean pt-BR (Portuguese)?"),
        ("language: xx", "xx", "a language is written as in en"),
        ("listen: nova-2-medical\nlanguage: multi", "multi", "take listen: nova-3"),
        ("voice: aura-2-celeste-es", "aura-2-celeste-es", "add language: es"),
        (
            "voice: aura-2-celeste-es\nlanguage: en",
            "aura-2-celeste-es",
            "write language: es, or take a voice for English",
        ),
        ("listen: flux-general-en\nvoice: aura-2-fabian-de", "aura-2-fabian-de", "language_hints: [de]"),
        ("language: de", "de", "take a voice for German, such as aura-2-"),
        ("language: pl", "pl", "Deepgram has no voice for Polish"),
    ],
)
def test_what_is_doubted_comes_with_what_may_be_meant(tmp_path: Path, text: str, word: str, help_text: str) -> None:
    loading = loaded(tmp_path, {"agents/a.yaml": PLAIN + text})

    assert under(loading) == [word]
    assert help_text in loading.problems[0].help
    assert set(loading.dialplan.agents) == {"a"}


def test_a_newer_model_is_a_doubt_and_says_so(tmp_path: Path) -> None:
    (problem,) = loaded(tmp_path, {"agents/a.yaml": f"{PLAIN}listen: nova-4\n"}).problems

    assert problem.message == '"nova-4" is not in our list of models that listen (2026-10)'
    assert problem.help == 'did you mean "nova-3"? if it is newer than the list, all is well'
