"""Keys that are written out: found by their looks and their place, and never shown."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialplan.config.keys import is_secret_name, masked, written_out

LETTERS = "abcdEFGH1234abcdEFGH1234abcdEFGH1234abcd"


def found(key: str, text: str) -> list[tuple[str, str]]:
    return [(text[one.start : one.end], one.name) for one in written_out(key, text)]


@pytest.mark.parametrize(
    ("secret", "name"),
    [
        (f"sk-{LETTERS}", "OPENAI_API_KEY"),
        (f"sk-proj-{LETTERS}_x-{LETTERS}", "OPENAI_API_KEY"),
        (f"sk-ant-api03-{LETTERS}", "ANTHROPIC_API_KEY"),
        (f"sk_live_{LETTERS}", "STRIPE_API_KEY"),
        (f"sk_car_{LETTERS}", "CARTESIA_API_KEY"),
        ("sk_" + "0123456789abcdef" * 3, "ELEVENLABS_API_KEY"),
        (f"gsk_{LETTERS}", "GROQ_API_KEY"),
        (f"nvapi-{LETTERS}", "NVIDIA_API_KEY"),
        (f"AIza{LETTERS[:35]}", "GOOGLE_API_KEY"),
        ("AKIAIOSFODNN7EXAMPLE", "AWS_ACCESS_KEY_ID"),
        (f"ghp_{LETTERS}", "GITHUB_TOKEN"),
        (f"github_pat_{LETTERS}", "GITHUB_TOKEN"),
        (f"glpat-{LETTERS}", "GITLAB_TOKEN"),
        ("xoxb-123456789012-abcdefABCDEF", "SLACK_TOKEN"),
        (f"hf_{LETTERS}", "HF_TOKEN"),
        (f"SG.{LETTERS}.{LETTERS}", "SENDGRID_API_KEY"),
        (f"eyJ{LETTERS}.eyJ{LETTERS}.{LETTERS}", ""),
        ("-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END", "PRIVATE_KEY"),
    ],
)
def test_a_key_of_known_form_is_found_wherever_it_stands(secret: str, name: str) -> None:
    for before, after in (("", ""), ("Our key is ", "."), ("Bearer ", ""), ("'", "'"), ("${KEY:-", "}")):
        assert found("prompt", before + secret + after) == [(secret, name)]
        assert secret not in masked(before + secret + after)


@pytest.mark.parametrize(
    ("key", "text", "secrets"),
    [
        ("authorization", "Bearer 3f9c0a7d51e84b26", ["3f9c0a7d51e84b26"]),
        (
            "Authorization",
            "Token 0123456789abcdef0123456789abcdef01234567",
            ["0123456789abcdef0123456789abcdef01234567"],
        ),
        ("authorization", "Basic dXNlcjpwYXNzd29yZA==", ["dXNlcjpwYXNzd29yZA=="]),
        ("x-api-key", "6f1c8d2e-7f0a-4c55-9d5e-2f6a0d2c9b11", ["6f1c8d2e-7f0a-4c55-9d5e-2f6a0d2c9b11"]),
        ("secret_access_key", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", ["wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"]),
        ("url", "https://me:hunter22@api.example.com/", ["hunter22"]),
        ("url", "wss://a.example.com/x?q=hello&api_key=abcd1234&sig=12ab34cd", ["abcd1234", "12ab34cd"]),
        ("url", "https://hooks.slack.com/services/T0000/B0000/abcdefghijkl", ["T0000/B0000/abcdefghijkl"]),
    ],
)
def test_a_key_where_a_key_stands_is_found(key: str, text: str, secrets: list[str]) -> None:
    assert [secret for secret, _ in found(key, text)] == secrets


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("authorization", "Bearer {{ token }}"),
        ("authorization", "Bearer ${TOKEN}"),
        ("authorization", "Bearer ${TOKEN:-abcd1234}"),
        ("authorization", "Bearer YOUR_API_KEY"),
        ("authorization", "Bearer <your-key-1>"),
        ("authorization", "Bearer xxxxxxxxxxxx"),
        ("authorization", "none"),
        ("content-type", "application/json"),
        ("x-request-id", "6f1c8d2e-7f0a-4c55-9d5e-2f6a0d2c9b11"),
        ("x-api-version", "2026-11-25abc"),
        ("etag", "3f9c0a7d51e84b26"),
        ("max_tokens", "1234abcd"),
        ("url", "https://api.example.com:8443/v1?q=abcd1234"),
        ("url", "https://${USER}:${PASSWORD}@api.example.com/?key={{ key }}"),
        ("url", "https://api.example.com/?key=${KEY}"),
        ("prompt", "Ask for the sk-number, the task-2026-report-of-the-whole-year, and the risk-free-offer-2026."),
        ("prompt", "An sk-2026-annual-report-final-version-for-all-customers is in the folder."),
        ("prompt", "The alarm's password: none. The token is a coin."),
    ],
)
def test_what_is_no_key_is_left_in_peace(key: str, text: str) -> None:
    assert found(key, text) == []


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("deepgram: {api_key: 012a3456789}", "deepgram: {api_key: •••••••••••}"),
        ("authorization: 'Bearer 3f9c0a7d51e84b26', x: y", "authorization: 'Bearer ••••••••••••••••', x: y"),
        ("x-api-key: \n  >-\n  3f9c0a7d", "x-api-key: \n  >-\n  ••••••••"),
        ('"password" : "hunter2222": x', '"password" : "••••••••••": x'),
        ("https://me:hunter22@a.b/?key=abcd1234", "https://me:••••••••@a.b/?key=••••••••"),
        ('api_key: "${NAME}"', 'api_key: "${NAME}"'),
        ("token: {type: string}", "token: {type: string}"),
        ("voice: aura-2-thalia-en", "voice: aura-2-thalia-en"),
    ],
)
def test_a_line_is_shown_with_dots_in_place_of_its_keys(line: str, shown: str) -> None:
    assert masked(line) == shown


@given(st.text(st.sampled_from("sk-ey J.:/?=@&'\"\n|#a0Z_{}$"), max_size=200))
@settings(deadline=None)
def test_a_masked_text_has_the_lines_and_columns_of_the_text(text: str) -> None:
    assert [len(line) for line in masked(text).split("\n")] == [len(line) for line in text.split("\n")]


@pytest.mark.parametrize(
    "part",
    [
        "sk-",
        "a.",
        "a-",
        "eyJ-",
        "://",
        "?key=",
        "token: ",
        "xox",
        "AKIA",
        "-----BEGIN PRIVATE KEY-----",
        "&a-",
        "://a:",
    ],
)
def test_no_text_takes_long(part: str) -> None:
    text = part * (200_000 // len(part))
    begun = time.process_time()

    masked(text)
    written_out("authorization", text)

    assert time.process_time() - begun < 2


def test_names_of_secrets() -> None:
    secret = (
        "Authorization",
        "api_key",
        "x-api-key",
        "apikey",
        "token",
        "auth_token",
        "client-secret",
        "session_token",
    )
    assert all(map(is_secret_name, secret))
    assert not any(
        map(is_secret_name, ("keyterms", "max_tokens", "tokens", "monkey", "key_id", "author", "x-secretary"))
    )
