"""Secrets in Deepgram's Settings: they become `${NAME}`, and no value gets out."""

import json
from pathlib import Path
from typing import Any

import pytest

from dialplan.config.writing.hiding import Hiding
from tests.config.writing.test_from_settings import EARLY, drafted


def endpoint(url: str, **headers: str) -> dict[str, Any]:
    return {"endpoint": {"url": url, "headers": headers}}


@pytest.mark.parametrize(
    ("part", "hidden", "names"),
    [
        (
            endpoint("https://api.openai.com/v1", authorization="Bearer sk-hush"),
            endpoint("https://api.openai.com/v1", authorization="Bearer ${OPENAI_API_KEY}"),
            ("OPENAI_API_KEY",),
        ),
        (
            endpoint("https://llm.example.com/v1", **{"x-api-key": "hush", "Content-Type": "application/json"}),
            endpoint(
                "https://llm.example.com/v1",
                **{"x-api-key": "${LLM_EXAMPLE_COM_API_KEY}", "Content-Type": "application/json"},
            ),
            ("LLM_EXAMPLE_COM_API_KEY",),
        ),
        (
            endpoint("https://api.elevenlabs.io/v1", **{"xi-api-key": "hush", "x-team": "hush-too"}),
            endpoint(
                "https://api.elevenlabs.io/v1",
                **{"xi-api-key": "${ELEVENLABS_API_KEY}", "x-team": "${ELEVENLABS_X_TEAM}"},
            ),
            ("ELEVENLABS_API_KEY", "ELEVENLABS_X_TEAM"),
        ),
        (
            endpoint("https://u:hush@127.0.0.1/a?b=c&key=hush-too&d=e#f"),
            endpoint("https://${_127_0_0_1_LOGIN}@127.0.0.1/a?b=c&key=${_127_0_0_1_API_KEY}&d=e#f"),
            ("_127_0_0_1_API_KEY", "_127_0_0_1_LOGIN"),
        ),
        (
            {
                "credentials": {
                    "type": "iam",
                    "region": "us-east-1",
                    "access_key_id": "hush",
                    "secret_access_key": "hush2",
                }
            },
            {
                "credentials": {
                    "type": "iam",
                    "region": "us-east-1",
                    "access_key_id": "${AWS_ACCESS_KEY_ID}",
                    "secret_access_key": "${AWS_SECRET_ACCESS_KEY}",
                }
            },
            ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
        ),
        ({"api_key": "hush"}, {"api_key": "${DEEPGRAM_API_KEY}"}, ("DEEPGRAM_API_KEY",)),
        (
            endpoint("https://x", authorization="Bearer ${MINE}"),
            endpoint("https://x", authorization="Bearer ${MINE}"),
            (),
        ),
        ({"keyterms": ["x"], "model": "m"}, {"keyterms": ["x"], "model": "m"}, ()),
        ({"prompt": "Say ${X} and token: y"}, {"prompt": "Say ${X} and token: y"}, ()),
        (
            {"parameters": {"properties": {"token": {"type": "string", "default": "x"}}}},
            {"parameters": {"properties": {"token": {"type": "string", "default": "x"}}}},
            (),
        ),
    ],
)
def test_a_secret_becomes_a_name_and_nothing_else_does(part: Any, hidden: Any, names: tuple[str, ...]) -> None:
    hiding = Hiding()

    assert hiding.hidden(part) == hidden
    assert hiding.names == names
    assert "hush" not in repr(hiding)


def test_one_secret_has_one_name_and_two_have_two() -> None:
    url = "https://api.openai.com/v1"
    parts = [endpoint(url, authorization=f"Bearer {key}") for key in ("hush", "hush", "other-hush")]
    hiding = Hiding()

    found = hiding.hidden(parts)

    keys = [part["endpoint"]["headers"]["authorization"] for part in found]
    assert keys == ["Bearer ${OPENAI_API_KEY}", "Bearer ${OPENAI_API_KEY}", "Bearer ${OPENAI_API_KEY_2}"]


def test_no_secret_gets_into_a_draft() -> None:
    bedrock = {
        "provider": {
            "type": "aws_bedrock",
            "model": "m",
            "credentials": {"type": "iam", "secret_access_key": "aws-hush"},
        },
        "endpoint": {"url": "https://bedrock.example.com/?api_key=url-hush", "headers": {"x": "x-hush"}},
    }
    custom = {"provider": {"type": "custom", "url": "https://llm.example.com", "key": "custom-hush"}, "model": "m"}

    for think in (bedrock, custom):
        draft = drafted({"type": "Settings", "agent": {"think": {**think, "prompt": "p"}}})
        assert draft.secrets
        assert "hush" not in json.dumps([dict(draft.keys), draft.notes, draft.secrets])

    assert "hush" not in json.dumps(dict(drafted(EARLY).keys))


def test_a_variable_that_is_read_is_one_that_was_told(tmp_path: Path) -> None:
    assert set(drafted(EARLY).secrets) == {"OFFICE_EXAMPLE_COM_API_KEY", "OFFICE_EXAMPLE_COM_API_KEY_2"}
