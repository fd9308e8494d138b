"""What lies under an agent file, which files are agents, and files that cannot be read."""

import os
import sys
from pathlib import Path

import pytest

from dialplan.config.loading import load
from tests.config.files import PLAIN, agent_of, codes, loaded, told, under, write

NUMBER = 'numbers: ["+15550100001"]\n'


# Which files are agents.


def test_every_yaml_file_is_an_agent_named_by_its_stem_and_folder(tmp_path: Path) -> None:
    files = {
        "agents/b.yaml": 'numbers: ["+15550100001"]\nprompt: x\n',
        "agents/acme/a.yaml": 'numbers: ["+15550100002"]\nprompt: x\n',
        "agents/acme/north/c.v2.yaml": 'numbers: ["+15550100003"]\nprompt: x\n',
        "agents/_base.yaml": "voise: not read",
        "agents/_drafts/d.yaml": "voise: not read",
        "agents/.hidden.yaml": "voise: not read",
        "agents/.git/e.yaml": "voise: not read",
        "agents/notes.md": "not YAML: at: all",
    }

    loading = loaded(tmp_path, files)

    assert told(loading) == []
    assert list(loading.dialplan.agents) == ["acme/a", "acme/north/c.v2", "b"]
    assert agent_of(loading, "acme/a").place.file == "agents/acme/a.yaml"


@pytest.mark.parametrize("name", ["a.yml", "a.YAML", "a.Yml", "acme/_defaults.yml", "_base.yml", "a.yaml.txt"])
def test_a_file_with_another_ending_is_told(tmp_path: Path, name: str) -> None:
    loading = loaded(tmp_path, {"agents/x.yaml": PLAIN, f"agents/{name}": PLAIN})

    assert [(p.code, p.place.file) for p in loading.problems] == [("W502", f"agents/{name}")]
    assert loading.problems[0].help == f"name it {Path(name).name.split('.')[0]}.yaml"


def test_a_folder_named_like_an_agent_is_told_and_its_files_are_agents(tmp_path: Path) -> None:
    loading = loaded(tmp_path, {"agents/acme.yaml/x.yaml": PLAIN})

    assert told(loading) == ["acme.yaml:1:1 W502 this is a folder; an agent is a file"]
    assert list(loading.dialplan.agents) == ["acme.yaml/x"]


def test_without_a_folder_for_agents_there_is_a_problem_that_names_it(tmp_path: Path) -> None:
    for root in (tmp_path, tmp_path / "nothing"):
        loading = load(root, {})

        assert [str(p) for p in loading.problems] == [
            "agents:1:1  error E007: there is no folder agents/ here (go to your project, or name it with --root)"
        ]
        assert loading.dialplan.agents == {}


def test_a_file_in_the_place_of_the_folder_is_no_folder(tmp_path: Path) -> None:
    assert codes(loaded(tmp_path, {"agents": "x"})) == ["E007"]


def test_an_empty_folder_is_a_doubt(tmp_path: Path) -> None:
    (tmp_path / "agents").mkdir()

    assert codes(load(tmp_path, {})) == ["W503"]
    assert codes(loaded(tmp_path, {"agents/_base.yaml": PLAIN, "agents/b.yml": PLAIN})) == ["W503", "W502"]


# Files that cannot be read.


def test_a_byte_that_is_no_text_at_the_beginning_of_a_line_is_told_on_that_line(tmp_path: Path) -> None:
    assert told(loaded(tmp_path, {"agents/a.yaml": b"prompt: x\n\xe9"})) == [
        "a.yaml:2:1 E001 the file is not text in UTF-8"
    ]


def test_a_file_that_is_not_utf8_is_told_with_the_place(tmp_path: Path) -> None:
    loading = loaded(tmp_path, {"agents/a.yaml": b"prompt: |\n  Caf\xe9\n", "agents/b.yaml": PLAIN.encode("utf-16")})

    assert told(loading) == [
        "a.yaml:2:6 E001 the file is not text in UTF-8",
        "b.yaml:1:1 E001 the file is not text in UTF-8",
    ]
    assert loading.set_aside == ("a", "b")


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is unreadable for root")
def test_a_file_that_may_not_be_read_is_told(tmp_path: Path) -> None:
    write(tmp_path, {"agents/a.yaml": PLAIN})
    (tmp_path / "agents" / "a.yaml").chmod(0)

    assert told(load(tmp_path, {})) == ["a.yaml:1:1 E001 the file cannot be read: permission denied"]


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="a file that nobody can read from its beginning")
def test_a_file_that_fails_to_be_read_is_told(tmp_path: Path) -> None:
    write(tmp_path, {"agents/b.yaml": PLAIN})
    (tmp_path / "agents" / "a.yaml").symlink_to("/proc/self/mem")

    loading = load(tmp_path, {})

    assert told(loading) == ["a.yaml:1:1 E001 the file cannot be read: input/output error"]
    assert list(loading.dialplan.agents) == ["b"]


def test_a_link_that_leads_nowhere_is_told(tmp_path: Path) -> None:
    write(tmp_path, {"agents/a.yaml": PLAIN})
    (tmp_path / "agents" / "b.yaml").symlink_to("nothing.yaml")
    (tmp_path / "agents" / "c.yaml").symlink_to("c.yaml")

    loading = load(tmp_path, {})

    assert [(p.code, p.place.file) for p in loading.problems] == [("E001", "agents/b.yaml"), ("E001", "agents/c.yaml")]
    assert "no such file" in loading.problems[0].message
    assert loading.set_aside == ("b", "c")


def test_a_link_to_a_file_is_an_agent(tmp_path: Path) -> None:
    write(tmp_path, {"agents/..data/a.yaml": PLAIN})
    (tmp_path / "agents" / "a.yaml").symlink_to("..data/a.yaml")

    assert list(load(tmp_path, {}).dialplan.agents) == ["a"]


@pytest.mark.skipif(sys.platform == "darwin", reason="its file system takes text only")
def test_a_name_that_is_no_text_can_be_printed(tmp_path: Path) -> None:
    (tmp_path / "agents").mkdir()
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/agents/caf\xe9.yaml")).write_text("voise: x")

    loading = load(tmp_path, {})

    assert set(codes(loading)) == {"E102", "E104", "W501"}
    assert all(problem.place.file == "agents/caf\\xe9.yaml" for problem in loading.problems)


def test_a_byte_order_mark_and_windows_line_ends_are_fine(tmp_path: Path) -> None:
    text = "\ufeffnumbers: ['+15550100001']\r\nprompt: |\r\n  one\r\n  {{ stor }}\r\n"

    loading = loaded(tmp_path, {"agents/a.yaml": text})

    assert told(loading) == ['a.yaml:4:6 E202 there is no name "stor"']
    assert under(loading) == ["stor"]


# _defaults.yaml.


def test_defaults_lie_under_every_agent_those_of_the_folder_over_those_of_the_root(tmp_path: Path) -> None:
    files = {
        "agents/_defaults.yaml": (
            "voice: aura-2-lara-de\nlanguage: de\nlimits: {minutes: 5, silence: 5}\nvariables: {a: root, b: root}\n"
        ),
        "agents/acme/_defaults.yaml": "voice: aura-2-kara-de\nlimits: {silence: 6}\nvariables: {b: acme, c: acme}\n",
        "agents/x.yaml": f"{NUMBER}prompt: x\n",
        "agents/acme/y.yaml": 'numbers: ["+15550100002"]\nprompt: y\nvariables: {c: own}\n',
        "agents/other/z.yaml": 'numbers: ["+15550100003"]\nprompt: z\n',
    }

    loading = loaded(tmp_path, files)

    x, y, z = (agent_of(loading, name) for name in ("x", "acme/y", "other/z"))
    assert [agent.voices[0].options["model"] for agent in (x, y, z)] == [
        "aura-2-lara-de",
        "aura-2-kara-de",
        "aura-2-lara-de",
    ]
    assert (y.limits.minutes, y.limits.silence, y.language) == (5, 6, "de")
    assert y.variables == {"a": "root", "b": "acme", "c": "own"}
    assert x.variables == {"a": "root", "b": "root"}


def test_lists_and_single_values_replace(tmp_path: Path) -> None:
    files = {
        "agents/_defaults.yaml": "prompt: x\nfunctions: [end_call]\nlisten: {model: nova-2, keyterms: [a, b]}\n",
        "agents/a.yaml": f"{NUMBER}functions: []\nlisten: {{keyterms: [c]}}\n",
    }

    agent = agent_of(loaded(tmp_path, files))

    assert agent.functions == {}
    assert (agent.listen.model, agent.listen.keyterms) == ("nova-2", ("c",))


def test_a_model_by_name_replaces_a_mapping(tmp_path: Path) -> None:
    files = {
        "agents/_defaults.yaml": "prompt: x\nlisten: {model: flux-general-en, eot_threshold: 0.7}\n",
        "agents/a.yaml": f"{NUMBER}listen: nova-3\n",
    }

    assert agent_of(loaded(tmp_path, files)).listen.eot_threshold is None


def test_a_mistake_in_a_shared_file_is_told_once_and_there(tmp_path: Path) -> None:
    agents = {f"agents/{n}.yaml": f'numbers: ["+1555010000{n}"]\n' for n in "123"}
    shared = 'voise: x\nprompt: "{{ stor }}"\ndeepgram: {api_key: "${KEY}"}\nfunctions: [nothing]\n'

    loading = loaded(tmp_path, {**agents, "agents/_defaults.yaml": shared})

    assert told(loading) == [
        '_defaults.yaml:1:1 E104 unknown key "voise"',
        '_defaults.yaml:2:13 E202 there is no name "stor"',
        "_defaults.yaml:3:22 E601 KEY is not set",
        "_defaults.yaml:4:13 E303 no plugin has a function nothing",
    ]
    assert loading.set_aside == ("1", "2", "3")


def test_defaults_that_are_no_yaml_are_told_once_beside_the_agents_own_mistakes(tmp_path: Path) -> None:
    files = {
        "agents/_defaults.yaml": "voice: [\n",
        "agents/a.yaml": f"{NUMBER}voise: x\ngreeting: '{{{{ store }}}}'\n",
        "agents/b.yaml": "language: 5\n",
    }

    loading = loaded(tmp_path, files)

    assert told(loading) == [
        "_defaults.yaml:1:8 E002 a bracket is opened here and not closed",
        'a.yaml:2:1 E104 unknown key "voise"',
        "b.yaml:1:11 E103 this must be text, not the number 5",
    ]


# extends.


def test_a_file_is_built_on_the_one_that_it_extends(tmp_path: Path) -> None:
    files = {
        "agents/_defaults.yaml": "variables: {a: defaults, b: defaults, c: defaults}\nlanguage: en-GB\n",
        "agents/_two.yaml": "prompt: two\nvariables: {b: two, c: two}\n",
        "agents/_one.yaml": "extends: _two\ngreeting: one\nvariables: {c: one}\n",
        "agents/a.yaml": f"extends: _one\n{NUMBER}",
    }

    agent = agent_of(loaded(tmp_path, files))

    assert agent.variables == {"a": "defaults", "b": "two", "c": "one"}
    assert agent.prompt.source == "two"
    assert agent.greeting is not None
    assert agent.greeting.source == "one"
    assert agent.language == "en-GB"


def test_in_a_folder_the_file_beside_is_meant(tmp_path: Path) -> None:
    files = {
        "agents/_base.yaml": "prompt: root\n",
        "agents/acme/_base.yaml": "prompt: acme\n",
        "agents/acme/a.yaml": f"extends: _base\n{NUMBER}",
    }

    assert agent_of(loaded(tmp_path, files), "acme/a").prompt.source == "acme"


def test_a_circle_is_told_at_the_link_that_closes_it(tmp_path: Path) -> None:
    files = {
        "agents/a.yaml": f"extends: _one\n{NUMBER}prompt: x\n",
        "agents/_one.yaml": "extends: _two\n",
        "agents/_two.yaml": "extends: _one\n",
        "agents/b.yaml": 'extends: _self\nnumbers: ["+15550100002"]\nprompt: x\n',
        "agents/_self.yaml": "extends: _self\n",
    }

    assert told(loaded(tmp_path, files)) == [
        "_self.yaml:1:10 E504 _self is extended in a circle",
        "_two.yaml:1:10 E504 _one is extended in a circle",
    ]


def test_two_levels_are_the_most(tmp_path: Path) -> None:
    files = {
        "agents/_one.yaml": "extends: _two\n",
        "agents/_two.yaml": "prompt: x\n",
        "agents/_three.yaml": "prompt: y\n",
    }

    fits = loaded(tmp_path, {**files, "agents/a.yaml": f"extends: _one\n{NUMBER}"})
    too_far = loaded(tmp_path, {**files, "agents/_two.yaml": "extends: _three\n"})

    assert told(fits) == []
    assert told(too_far) == ["_two.yaml:1:10 E504 _three would be the third file under this agent; two are the most"]


@pytest.mark.parametrize(
    ("extends", "problem"),
    [
        ("_bsae", "E503 there is no file agents/_bsae.yaml"),
        ("_" + "x" * 300, "E503 there is no file agents/_" + "x" * 92),
        ('"_\\0"', "E503 there is no file agents/_\x00.yaml"),
        ("base", 'E107 "base" cannot stand here'),
        ("../_base", 'E107 "../_base" cannot stand here'),
        ("_base/..", 'E107 "_base/.." cannot stand here'),
        ("[_base]", "E103 this must be text, not a list"),
        ("", "E103 here belongs text"),
    ],
)
def test_what_cannot_be_extended_is_told_beside_the_other_mistakes(tmp_path: Path, extends: str, problem: str) -> None:
    files = {
        "agents/_base.yaml": "prompt: x\nvariables: {store: x}\n",
        "agents/a.yaml": f"extends: {extends}\n{NUMBER}greeting: '{{{{ store }}}} {{{{ call.form }}}}'\n",
    }

    loading = loaded(tmp_path, files)

    assert [line.partition(" ")[2] for line in told(loading)] == [problem, 'E203 a call has no "form"']


def test_the_near_file_is_suggested(tmp_path: Path) -> None:
    files = {"agents/_base.yaml": "prompt: x\n", "agents/a.yaml": f"extends: _bsae\n{NUMBER}"}

    assert loaded(tmp_path, files).problems[0].help == 'did you mean "_base"?'


def test_defaults_extend_nothing(tmp_path: Path) -> None:
    files = {
        "agents/_defaults.yaml": "extends: _base\nprompt: x\n",
        "agents/_base.yaml": "prompt: y\n",
        "agents/a.yaml": NUMBER,
    }

    loading = loaded(tmp_path, files)

    assert told(loading) == [
        "_defaults.yaml:1:1 E504 _defaults.yaml lies under every agent and builds on no other file"
    ]


def test_a_name_like_a_path_of_the_system_is_read_as_a_relative_root_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, {"agents/a.yaml": f"{NUMBER}prompt: {{file: prompts/a.md}}\n", "prompts/a.md": "{{ stor }}"})
    monkeypatch.chdir(tmp_path)

    loading = load(Path("."), {})

    assert [problem.place.file for problem in loading.problems] == ["prompts/a.md"]
    assert set(loading.texts) == {"agents/a.yaml", "prompts/a.md"}
