"""An agent's file as it counts: defaults and all that lies under it, each value with its place."""

import json
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st

from dialplan.config.files import Files
from dialplan.config.layers import Layers
from dialplan.config.writing import resolved
from dialplan.config.yaml import source
from dialplan.config.yaml.source import Node
from tests.config.expectations import GOOD
from tests.config.files import PLAIN, loaded, write


def tree_of(root: Path, files: dict[str, str], name: str = "a") -> Node:
    tree = resolved.resolved(write(root, files), name)
    assert tree is not None
    return tree


def test_each_value_stands_with_the_file_and_line_that_it_came_from(tmp_path: Path) -> None:
    files = {
        "agents/_defaults.yaml": "limits: {minutes: 10}\nvariables:\n  store: Corner\n",
        "agents/_base.yaml": "voice: aura-2-arcas-en\nvariables:\n  city: Bonn\n",
        "agents/a.yaml": PLAIN
        + "extends: _base\nvariables: {store: Elm}\nfunctions: [end_call]\ndeepgram: {api_key: '${K}'}\n",
    }

    shown = resolved.as_yaml(tree_of(tmp_path, files)).splitlines()

    assert [" ".join(line.split()) for line in shown] == [
        "numbers:",
        '- "+15550100001" # agents/a.yaml:1',
        "timezone: UTC # default",
        "language: en # default",
        "listen: nova-3 # default",
        "think:",
        "provider: open_ai # default",
        "model: gpt-4o-mini # default",
        "voice: aura-2-arcas-en # agents/_base.yaml:1",
        "variables:",
        "store: Elm # agents/a.yaml:4",
        "city: Bonn # agents/_base.yaml:3",
        "prompt: Be brief. # agents/a.yaml:2",
        'resumed: "Sorry, we were cut off for a moment. Where were we?" # default',
        "functions:",
        "- end_call # agents/a.yaml:5",
        "limits:",
        "minutes: 10 # agents/_defaults.yaml:1",
        "silence: 30 # default",
        "records:",
        "transcripts: true # default",
        "deepgram:",
        'api_key: "${K}" # agents/a.yaml:6',
    ]


def test_no_default_is_shown_that_does_not_count(tmp_path: Path) -> None:
    for listen in ("flux-general-en", "{model: flux-general-en}"):
        tree = tree_of(tmp_path, {"agents/a.yaml": PLAIN + f"listen: {listen}\n"})

        assert tree.get("language") is None


def test_the_text_is_an_agent_file_that_means_the_same(tmp_path: Path) -> None:
    layers = Layers(GOOD, Files())
    for file in layers.agent_files():
        name = layers.agent_name(file)
        tree = resolved.resolved(GOOD, name)
        assert tree is not None

        again, problems = source.read("shown", resolved.as_yaml(tree))

        assert problems == []
        assert again is not None
        assert again.plain() == tree.plain()


def test_a_file_with_mistakes_is_shown_and_one_that_is_no_yaml_is_not(tmp_path: Path) -> None:
    assert tree_of(tmp_path, {"agents/a.yaml": "voise: x\n"}).at("voise").raw == "x"
    for text in ("a: b: c", "{", "- x: [", "\x00"):
        assert resolved.resolved(write(tmp_path, {"agents/a.yaml": text}), "a") is None
    assert resolved.resolved(tmp_path, "nobody") is None


def test_for_a_program_every_value_has_its_path(tmp_path: Path) -> None:
    tree = tree_of(tmp_path, {"agents/a.yaml": PLAIN + "functions: []\nx-a: [1, {b: null}]\n"})

    rows = {row["path"]: row for row in json.loads(resolved.as_json(tree))}

    assert rows["numbers.0"] == {"path": "numbers.0", "value": "+15550100001", "file": "agents/a.yaml", "line": 1}
    assert rows["functions"]["value"] == []
    assert (rows["x-a.0"]["value"], rows["x-a.1.b"]["value"]) == (1, None)
    assert (rows["voice"]["file"], rows["voice"]["value"]) == ("default", "aura-2-thalia-en")


_TEXTS = st.one_of(
    st.text(),
    st.text(alphabet="a \n\t:#-|>'\"{}[]&*!%@`,?", max_size=20),
    st.sampled_from(
        ["no", "Yes", "0123", "17:30", "1e3", "0o17", "1_000", "~", "", "=", "<<", "2026-11-24", ".5", "on"]
    ),
)
_VALUES = st.recursive(
    st.one_of(_TEXTS, st.integers(), st.booleans(), st.none(), st.floats(allow_nan=False)),
    lambda inside: st.one_of(st.lists(inside, max_size=3), st.dictionaries(_TEXTS.filter(bool), inside, max_size=3)),
    max_leaves=8,
)


def node_of(value: object) -> Node:
    return resolved._node(value)


@example({"a": "0\n"})
@given(st.dictionaries(st.sampled_from(["a", "b", "x y"]), _VALUES, min_size=1, max_size=3))
def test_whatever_the_values_are_they_are_read_back(values: dict[str, object]) -> None:
    text = resolved.as_yaml(node_of(values))

    again, problems = source.read("shown", text)

    assert problems == []
    assert again is not None
    assert again.plain() == values


def test_the_shown_file_can_stand_in_the_place_of_the_agents_own(tmp_path: Path) -> None:
    files = {"agents/_base.yaml": "greeting: Hello.\n", "agents/a.yaml": PLAIN + "extends: _base\n"}
    shown = resolved.as_yaml(tree_of(tmp_path / "one", files))

    loading = loaded(tmp_path / "two", {"agents/a.yaml": shown})

    assert loading.problems == ()
    greeting = loading.dialplan.agents["a"].greeting
    assert greeting is not None
    assert greeting.source == "Hello."
