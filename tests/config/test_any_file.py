"""No file whatever makes check fall over: agents that ship, taken apart and put together wrongly.

Random characters hardly get past the parser. Here whole values, keys and lines are exchanged, so that the rules behind
it are reached.
"""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dialplan.config.loading import Loading, load
from dialplan.config.problems import CODES, as_github, as_json, as_text, lines_of
from tests.config.files import write

ROOT = Path(__file__).parents[2]
SECRET = "sk-proj-abcdEFGH1234abcdEFGH1234abcd"

#: An agent with every key that there is, so that every rule has something to be wrong.
RICH = """
description: Everything.
extends: _base
numbers: ["+15550100001", "+1800*", "sip:desk@example.com", "whatsapp:+15550100001", "*"]
streams: [/twilio/all]
timezone: America/New_York
language: en
listen: {model: nova-3, keyterms: [Zoë], smart_format: true}
think:
  - {provider: open_ai, model: gpt-4o, temperature: 0.3, reasoning_mode: low}
  - provider: groq
    model: openai/gpt-oss-20b
    context_length: max
    endpoint: {url: "https://api.groq.com/v1", headers: {authorization: "Bearer ${KEY}"}}
voice:
  - {model: aura-2-thalia-en, speed: 1.1}
  - {provider: cartesia, model_id: sonic-2, voice: {mode: id, id: x}, volume: 1, endpoint: {url: "wss://a.example.com"}}
  - provider: aws_polly
    voice: Joanna
    language: en
    engine: neural
    credentials: {type: iam, region: us-east-1, access_key_id: "${KEY}", secret_access_key: "${KEY}"}
    endpoint: {url: "https://polly.example.com"}
variables: {store: Corner, hours: {open: "9:00", days: [monday, tuesday]}, price: 4.5}
greeting: Hello, this is {{ store }}, open at {{ hours.open }}.
notice: "{% if call.from %}{{ call.from | upper }}{% endif %}"
prompt: |
  You are {{ store }}. {% for day in hours.days %}{{ day }}{% endfor %}
  Today is {{ now.strftime("%A") }}.
plugins: [plugins.tools]
functions:
  - end_call
  - tell
  - name: book
    description: Book.
    parameters:
      type: object
      properties: {day: {type: string, enum: [monday]}, at: {$ref: "#/properties/day"}}
      required: [day]
    timeout: 5
    filler: One moment.
    defer: true
    on_interrupt: cancel
  - name: ask
    parameters: {type: object, properties: {what: {type: string}}}
    http:
      method: POST
      url: https://api.example.com/{{ what }}
      headers: {x-api-key: "${KEY}"}
      query: {a: 1}
      json: {b: ["{{ what }}"]}
  - {name: far, endpoint: {url: "https://api.example.com/", method: get, headers: {a: b}}}
limits: {calls: 3, minutes: 30, silence: 20}
records: {transcripts: true, keep_days: 90}
deepgram: {api_key: "${KEY}", url: wss://api.eu.deepgram.com/v1/agent/converse}
settings: {mip_opt_out: true, agent: {context: {messages: []}}}
rehearsals:
  - name: all
    turns:
      - {caller: Hello., function: {book: {day: monday}}, agent: "{{ result.x }} booked."}
      - {caller: Twice., interrupts: true, function: [{tell: {what: a}}, {ask: {what: b}}], fails: error, agent: Sorry.}
      - {caller: Bye., function: {end_call: {reason: done}}}
x-mine: [anything]
"""
SHIPPED = [RICH, *((ROOT / "agents" / name).read_text() for name in ("pharmacy.yaml", "clinic.yaml"))]
TOOLS = """
def tell(what: str) -> str:
    \"\"\"Tell.\"\"\"
    return what


def book(day: str, at: str = "9:00") -> str:
    \"\"\"Book.\"\"\"
    return day
"""

#: What may stand in any place by mistake.
VALUES: st.SearchStrategy[Any] = st.sampled_from(
    [
        *(None, True, False, 0, -1, 7, 3.5, 10**30, float("inf"), float("nan"), "", " ", "no", "0123", "a" * 200),
        *(
            [],
            {},
            [[]],
            [None],
            [1],
            {"": 1},
            {"a": None},
            {"file": "x.md"},
            {"file": "../../etc/passwd"},
            {"a": {"b": {}}},
        ),
        *(
            "{{ store }}",
            "{{ nme }}",
            "{{ call.form }}",
            "{{",
            "{% if %}",
            "{store}",
            "${KEY}",
            "${NOT_SET}",
            "${store}",
        ),
        *(SECRET, f"Bearer {SECRET}", f"https://a:{SECRET}@b.example.com/?key={SECRET}", "Token 3f9c0a7d51e84b26"),
        *("“curly”", "ä😀\u00a0\u2028x", "\x85", "a\nb\n", "a: b", "- a", "# a", "*a", "&a", "!a", "%a", "@a", "`a"),
        *(
            "end_call",
            "tell",
            "gpt-4o",
            "claude-sonnet-5",
            "nova-33",
            "flux-general-en",
            "aura-2-celeste-es",
            "deepgram",
        ),
        *("multi", "de", "jp", "/healthz", "/a%20b", "+1", "*", "sip:a;b*", "_base", "_no", "plugins.none", "string"),
        *(
            {"type": "object"},
            {"type": "text"},
            {"$ref": "#"},
            {"tell": {}},
            {"none": {"x": 1}},
            {"provider": "open_ai"},
        ),
    ]
)
KEYS = st.sampled_from(
    [
        *("name", "model", "voice", "url", "headers", "file", "language", "type", "properties", "required", "caller"),
        *("function", "prompt", "Prompt", "numbers", "number", "3", "<<", "endpoint", "http", "api_key", "x-a", "call"),
        *(
            "temperature",
            "now",
            "result",
            "“a”",
            "authorization",
            "password",
            "minutes",
            "name:x",
            "user",
            "first_message",
        ),
    ]
)


@st.composite
def retold(draw: st.DrawFn) -> str:
    """An agent in which keys and values are exchanged, taken out and put in, written in some way that YAML has."""
    tree = yaml.safe_load(draw(st.sampled_from(SHIPPED)))
    for _ in range(draw(st.integers(1, 4))):
        _exchange(draw, tree)
    style = draw(st.sampled_from(["", "'", '"', "|", ">"]))
    flow = draw(st.sampled_from([None, True, False]))
    return yaml.dump(tree, Dumper=_dumper(style), default_flow_style=flow, allow_unicode=True, sort_keys=False)


def _dumper(style: str) -> type[yaml.SafeDumper]:
    """Writes texts in one style, where they can be, and numbers as they are."""

    class Dumper(yaml.SafeDumper):
        pass

    Dumper.add_representer(
        str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)
    )
    return Dumper


def _exchange(draw: st.DrawFn, tree: Any) -> None:
    node = tree
    while True:
        keys = list(node) if isinstance(node, dict) else range(len(node))
        if not keys:
            return
        key = draw(st.sampled_from(keys))
        if not isinstance(node[key], dict | list) or not node[key] or draw(st.integers(0, 3)) == 0:
            break
        node = node[key]
    match draw(st.sampled_from(["replace", "replace", "remove", "rename", "add", "elsewhere"])):
        case "replace":
            node[key] = deepcopy(draw(VALUES))
        case "remove":
            del node[key]
        case "rename" if isinstance(node, dict):
            node[draw(KEYS)] = node.pop(key)
        case "add" if isinstance(node, dict):
            node[draw(KEYS)] = deepcopy(draw(VALUES))
        case "add":
            node.insert(key, deepcopy(draw(VALUES)))
        case "elsewhere":
            tree[draw(KEYS)] = node[key]  # Which YAML writes as &a and *a.


@st.composite
def rearranged(draw: st.DrawFn) -> str:
    """An agent of which lines are lost, doubled, moved, indented, joined, and words are exchanged."""
    lines = draw(st.sampled_from(SHIPPED)).splitlines()
    for _ in range(draw(st.integers(1, 5))):
        at, to = draw(st.integers(0, len(lines) - 1)), draw(st.integers(0, len(lines) - 1))
        match draw(st.sampled_from(["lose", "double", "move", "in", "out", "join", "word", "comment", "dash"])):
            case "lose" if len(lines) > 1:
                del lines[at]
            case "double":
                lines.insert(to, lines[at])
            case "move":
                lines.insert(to, lines.pop(at))
            case "in":
                lines[at] = draw(st.sampled_from([" ", "  ", "\t", "\u00a0"])) + lines[at]
            case "out":
                lines[at] = lines[at].removeprefix(draw(st.sampled_from([" ", "  ", "    "])))
            case "join":
                lines[at] += " " + lines[to].strip()
            case "word":
                words = lines[at].split(" ")
                words[draw(st.integers(0, len(words) - 1))] = str(draw(VALUES))
                lines[at] = " ".join(words)
            case "comment":
                lines[at] = lines[at].replace(
                    ": ", draw(st.sampled_from([":", " : ", "：", " = ", ": # ", ": &a ", ": *a "]))
                )
            case "dash":
                lines[at] = lines[at].replace("- ", draw(st.sampled_from(["", "-", "- - ", "+ "])))
    return "\n".join(lines)


def check_of(root: Path, text: str | bytes) -> Loading:
    files = {"agents/a.yaml": text, "agents/_base.yaml": "limits: {minutes: 5}\n", "plugins/tools.py": TOOLS}
    return load(write(root, files), {"KEY": "value"})


def assert_told_well(loading: Loading) -> None:
    assert loading.dialplan.agents.keys() | set(loading.set_aside) == {"a"}
    lines_by_file = {file: lines_of(text) for file, text in loading.texts.items()}
    for problem in loading.problems:
        assert problem.code in CODES
        assert problem.message
        if problem.place.file not in loading.texts:
            assert problem.code == "E001"  # It is no text.
            continue
        place, lines = problem.place, lines_by_file[problem.place.file]
        assert 1 <= place.line <= place.end_line <= len(lines), problem
        assert 1 <= place.column <= len(lines[place.line - 1]) + 1, problem
        assert (place.line, place.column) <= (place.end_line, place.end_column), problem
    text = as_text(loading.problems, loading.texts)
    assert text.count(" error E") + text.count(" warning W") >= len(loading.problems)
    assert len(json.loads(as_json(loading.problems))) == len(loading.problems)
    assert SECRET not in text + as_json(loading.problems) + as_github(loading.problems)


@given(text=retold())
@settings(max_examples=150, suppress_health_check=list(HealthCheck), deadline=None)
def test_an_agent_with_keys_and_values_exchanged_is_told_well(text: str, tmp_path: Path) -> None:
    assert_told_well(check_of(tmp_path, text))


@given(text=rearranged())
@settings(max_examples=150, suppress_health_check=list(HealthCheck), deadline=None)
def test_an_agent_with_its_lines_rearranged_is_told_well(text: str, tmp_path: Path) -> None:
    assert_told_well(check_of(tmp_path, text))


def test_the_agent_with_every_key_has_no_mistake(tmp_path: Path) -> None:
    assert check_of(tmp_path, RICH).problems == ()
