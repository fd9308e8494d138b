"""`${NAME}` and `{{ }}` in every text of a file: where they may stand, and whether anything fills them in."""

from pathlib import Path
from typing import Any

import pytest

from dialplan.config import secret
from dialplan.config.loading import load
from dialplan.config.problems import as_github, as_json, as_text
from dialplan.config.secret import Secret
from tests.config.files import PLAIN, agent_of, codes, loaded, told, under, write

ENVIRONMENT = {"KEY": "s3cr3t", "EMPTY": ""}


def read(root: Path, text: str, environment: dict[str, str] | None = None) -> Any:
    return loaded(root, {"agents/a.yaml": PLAIN + text + "\n"}, ENVIRONMENT if environment is None else environment)


# Secrets.


def test_a_secret_shows_its_name_and_reveals_its_value() -> None:
    found = secret.resolve("Bearer ${KEY} ${OTHER:-or this} ${NOTHING}.", ENVIRONMENT)

    assert isinstance(found, Secret)
    assert str(found) == "Bearer ${KEY} ${OTHER:-or this} ${NOTHING}."
    assert "s3cr3t" not in repr(found)
    assert secret.reveal(found) == "Bearer s3cr3t or this ."
    assert secret.resolve("none", ENVIRONMENT) == "none"
    assert secret.reveal("none") == "none"


@pytest.mark.parametrize("text", ["$KEY", "${}", "${1A}", "${A-B}", "$ {KEY}", "${KEY", "${KEY:default}"])
def test_what_is_no_reference_is_text(text: str) -> None:
    assert secret.resolve(text, ENVIRONMENT) == text


def test_a_tenants_own_project(tmp_path: Path) -> None:
    agent = agent_of(read(tmp_path, 'deepgram: {api_key: "${KEY}", url: "wss://${REGION:-api.eu}.deepgram.com/x"}'))

    assert secret.reveal(agent.api_key) == "s3cr3t"
    assert secret.reveal(agent.deepgram_url) == "wss://api.eu.deepgram.com/x"
    assert "s3cr3t" not in repr(agent)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('deepgram: {api_key: "${NOT_SET}"}', "NOT_SET is not set"),
        ('deepgram: {api_key: "${EMPTY}"}', "EMPTY is empty"),
        ('deepgram: {api_key: "${NOT_SET:-}"}', ""),
        ('deepgram: {api_key: "${EMPTY:-x}"}', ""),
        ('think: {provider: open_ai, model: "${NOT_SET}"}', "NOT_SET is not set"),
        ('settings: {tags: ["${NOT_SET}"]}', "NOT_SET is not set"),
        ('functions: [{name: f, http: {url: "https://a.b", json: {k: "${NOT_SET}"}}}]', "NOT_SET is not set"),
        ('x-mine: "${NOT_SET}"', ""),
    ],
)
def test_a_variable_that_is_not_set_is_told(tmp_path: Path, text: str, message: str) -> None:
    assert [p.message for p in read(tmp_path, text).problems] == ([message] if message else [])


def test_without_an_environment_nothing_is_asked_of_it(tmp_path: Path) -> None:
    """As in `check --no-env`."""
    text = PLAIN + 'deepgram: {api_key: "${NOT_SET}"}\nfunctions: [{name: f, http: {url: "${ALSO_NOT}/x"}}]\n'
    write(tmp_path, {"agents/a.yaml": text})

    loading = load(tmp_path, None)

    assert told(loading) == []
    assert str(loading.dialplan.agents["a"].api_key) == "${NOT_SET}"


def test_without_an_environment_a_secret_is_still_refused_where_it_would_be_heard(tmp_path: Path) -> None:
    write(tmp_path, {"agents/a.yaml": PLAIN + "greeting: ${KEY}\n"})

    assert codes(load(tmp_path, None)) == ["E204"]


HEARD = [
    "description: of ${KEY}",
    "greeting: ${KEY}",
    "greeting: {file: prompts/secret.md}",
    "notice: ${KEY:-x}",
    "variables: {key: ${KEY}}".replace("${KEY}", '"${KEY}"'),
    'variables: {key: [{deep: "${KEY}"}]}',
    "language: ${KEY}",
    "timezone: ${KEY}",
    'listen: {model: nova-3, keyterms: ["${KEY}"]}',
    "functions: [{name: end_call, description: '${KEY}'}]",
    "functions: [{name: end_call, filler: '${KEY}'}]",
    "functions: [{name: end_call, parameters: {type: object, properties: {a: {type: string, enum: ['${KEY}']}}}}]",
    "settings: {agent: {greeting: '${KEY}'}}",
    "settings: {agent: {think: {prompt: 'x ${KEY}'}}}",
    "settings: {agent: {context: {messages: [{content: '${KEY}'}]}}}",
    "rehearsals: [{name: '${KEY}', turns: [{caller: Hi., agent: Hello.}]}]",
    "rehearsals: [{name: x, turns: [{caller: Hi., agent: '${KEY}'}]}]",
]


@pytest.mark.parametrize("text", HEARD)
def test_a_secret_is_refused_where_a_model_or_a_caller_would_get_it(tmp_path: Path, text: str) -> None:
    write(tmp_path, {"prompts/secret.md": "The key is ${KEY}."})

    loading = read(tmp_path, text)

    assert set(codes(loading)) <= {"E204", "E107"}
    assert codes(loading)
    assert "s3cr3t" not in str(loading.problems)


def test_a_secret_in_the_prompt_is_refused(tmp_path: Path) -> None:
    text = 'numbers: ["*"]\nprompt: |\n  Say ${KEY} and ${KEY}.\n'

    loading = loaded(tmp_path, {"agents/a.yaml": text}, ENVIRONMENT)

    assert (codes(loading), under(loading)) == (["E204", "E204"], ["${KEY}", "${KEY}"])


def test_a_secret_under_an_alias_is_refused_too(tmp_path: Path) -> None:
    loading = read(tmp_path, 'deepgram: {api_key: &key "${KEY}"}\nvariables: {key: *key}')

    assert told(loading) == ["a.yaml:3:27 E204 ${KEY} cannot stand in variables: the model or the caller would get it"]


def test_a_key_in_the_file_itself_is_a_doubt(tmp_path: Path) -> None:
    loading = read(tmp_path, "deepgram: {api_key: 0123abcd}")

    assert (codes(loading), under(loading)) == (["W601"], ["0123abcd"])
    assert loading.set_aside == ()


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("deepgram: {api_key: 0123abcd}", '"${A_DEEPGRAM_KEY}"'),
        ('settings: {x: {authorization: "Bearer 3f9c0a7d51e84b26"}}', '"Bearer ${API_KEY}"'),
        ('settings: {x: {client_secret: "3f9c0a7d51e84b26"}}', '"${SECRET}"'),
        (
            "think: {provider: open_ai, model: x, endpoint: {url: 'https://api.openai.com/v1', headers: "
            "{authorization: Bearer 3f9c0a7d51e84b26}}}",
            '"Bearer ${OPENAI_API_KEY}"',
        ),
        (
            "voice: {provider: eleven_labs, model_id: x, endpoint: "
            "{url: '${URL:-}', headers: {xi-api-key: 3f9c0a7d51e84b26}}}",
            '"${ELEVEN_LABS_API_KEY}"',
        ),
        (
            'functions: [{name: f, http: {url: "https://shop.example.com/x", headers: {x-token: 3f9c0a7d51e84b26}}}]',
            '"${EXAMPLE_TOKEN}"',
        ),
        (
            'functions: [{name: f, http: {url: "https://a:hunter22@1.2.3.4/x"}}]',
            '"https://a:${KEY_3_API_KEY}@1.2.3.4/x"',
        ),
    ],
)
def test_in_place_of_a_key_a_name_that_fits_is_shown(tmp_path: Path, text: str, written: str) -> None:
    (problem,) = read(tmp_path, text).problems

    assert (problem.code, problem.help) == ("W601", f"put it into .env, and write {written}")


def test_no_form_of_a_report_shows_a_key(tmp_path: Path) -> None:
    secret = "sk-proj-abcdEFGH1234abcdEFGH1234abcd"
    number = "1234567890123456"
    wrong = read(
        tmp_path / "a",
        f"voise: {secret}\n"
        f"think: {{provider: {secret}, model: x}}\n"
        f"listen: {{model: nova-3, smart_format: {secret}}}\n"
        f"timezone: {secret}\n"
        f"streams: [{secret}]\n"
        f"deepgram: {{api_key: {number}}}\n",
    )
    broken = read(tmp_path / "b", f"greeting: a: {secret}")
    unknown = read(tmp_path / "c", f"notice: {secret} {{{{ nme }}}}\nfunctions: [{secret}]\nplugins: [{secret}]")

    for one in (wrong, broken, unknown):
        assert one.problems
        reports = (as_text(one.problems, one.texts), as_json(one.problems), as_github(one.problems), str(one.problems))
        assert not any(word in report for report in reports[1:] for word in (secret, number, secret[8:20]))
        assert secret not in reports[0]


# Templates where none is filled in.


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("description: For {{ store }}.", "For {{ store }}."),
        ("variables: {store: x, line: '{{ store }}!'}", "'{{ store }}!'"),
        ("functions: [{name: end_call, filler: 'Bye from {{ store }}'}]", "'Bye from {{ store }}'"),
        ("functions: [{name: end_call, description: '{% if x %}'}]", "'{% if x %}'"),
        ("rehearsals: [{name: x, turns: [{caller: '{{ x }}', agent: Hi.}]}]", "'{{ x }}'"),
        ("x-mine: '{{ x }}'", None),
        ("description: 'A brace { and { one'", None),
    ],
)
def test_braces_that_nothing_fills_in_are_a_doubt(tmp_path: Path, text: str, at: str | None) -> None:
    loading = read(tmp_path, text)

    assert (codes(loading), under(loading)) == ((["W202"], [at]) if at else ([], []))
