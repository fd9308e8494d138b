"""Files read again: what has changed is new, what has not stays the very same, and a broken file breaks nothing."""

import errno
import json
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialplan.cli.project import read_dotenv
from dialplan.config.agent_file import read_agent
from dialplan.config.dialplan import Dialplan
from dialplan.config.loading import Loader, Loading, load
from dialplan.config.secret import reveal
from tests.config.files import codes, told, write

A = 'numbers: ["+15550100001"]\nprompt: Be brief.\n'
B = 'numbers: ["+15550100002"]\nprompt: Be brief.\n'
PLUGIN = "from . import shared\n\ndef f() -> int:\n    return shared.N\n"


class Project:
    """A project whose files are changed between loadings; who answers goes from one to the next."""

    def __init__(self, root: Path, files: dict[str, str]) -> None:
        self.root = write(root, files)
        self.loader = Loader(root, {})
        self.now = self.loader.load()

    def save(self, files: dict[str, str]) -> Loading:
        write(self.root, files)
        assert self.loader.changed()
        self.now = self.loader.load(self.now.dialplan)
        assert not self.loader.changed()
        return self.now

    def delete(self, *names: str) -> Loading:
        for name in names:
            (self.root / name).unlink()
        return self.save({})

    def prompts(self) -> dict[str, str]:
        return {name: agent.prompt.source for name, agent in self.now.dialplan.agents.items()}

    def owners(self) -> dict[str, str]:
        """Who answers which of the numbers, by their last digits."""
        return {number[-2:]: route.agent.name for number, route in self.now.dialplan.numbers.items()}


# What has changed.


def test_only_what_has_changed_is_read_again(tmp_path: Path) -> None:
    project = Project(tmp_path, {"agents/a.yaml": A, "agents/b.yaml": B})
    before = project.now.dialplan

    after = project.save({"agents/b.yaml": B.replace("brief", "kind")}).dialplan

    assert after.agents["a"] is before.agents["a"]
    assert project.prompts() == {"a": "Be brief.", "b": "Be kind."}
    assert before.agents["b"].prompt.source == "Be brief."


def test_nothing_has_changed_where_nothing_was_saved(tmp_path: Path) -> None:
    project = Project(tmp_path, {"agents/a.yaml": A, "plugins/p.py": "", "notes.txt": ""})

    write(tmp_path, {"notes.txt": "more", "plugins/nobody_uses.py": ""})

    assert not project.loader.changed()


@pytest.mark.parametrize(
    ("saved", "content"),
    [
        ("agents/_defaults.yaml", "greeting: Good day.\n"),
        ("agents/_base.yaml", "greeting: Good day.\n"),
        ("agents/hello.md", "Good day."),
        ("hello.md", "Good day."),
    ],
)
def test_a_file_that_an_agent_stands_on_changes_the_agent(tmp_path: Path, saved: str, content: str) -> None:
    own = "" if saved.endswith("yaml") else "greeting: {file: hello.md}\n"
    files = {
        "agents/a.yaml": A + own + "extends: _base\n",
        "agents/_base.yaml": "description: x\n",
        "hello.md": "Hello.",
    }
    project = Project(tmp_path, files)

    after = project.save({saved: content})

    greeting = after.dialplan.agents["a"].greeting
    assert greeting is not None
    assert greeting.source == "Good day.", told(after)


def test_a_file_that_was_missing_and_is_there_now_is_found(tmp_path: Path) -> None:
    project = Project(tmp_path, {"agents/a.yaml": A + "extends: _base\nplugins: [plugins.p]\n"})
    assert codes(project.now) == ["E503", "E301"]

    project.save({"agents/_base.yaml": "description: x\n"})
    project.save({"plugins/p.py": ""})

    assert project.prompts() == {"a": "Be brief."}


def test_a_saved_plugin_is_new_code_and_who_has_the_old_one_keeps_it(
    tmp_path: Path,
) -> None:
    functions = "plugins: [plugins.p]\nfunctions: [f]\n"
    files = {"agents/a.yaml": A + functions, "agents/b.yaml": B, "plugins/p.py": PLUGIN, "plugins/shared.py": "N = 1\n"}
    project = Project(tmp_path, files)
    before = project.now.dialplan

    after = project.save({"plugins/shared.py": "N = 2\n"}).dialplan

    assert [dialplan.agents["a"].functions["f"].runs.call() for dialplan in (before, after)] == [1, 2]  # type: ignore[union-attr]
    assert after.agents["b"] is before.agents["b"]


def test_a_package_that_was_installed_meanwhile_is_found_without_a_change_to_any_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = tmp_path / "packages"
    packages.mkdir()
    monkeypatch.syspath_prepend(str(packages))
    project = Project(
        tmp_path / "project",
        {"agents/a.yaml": A + "plugins: [plugins.p]\n", "plugins/p.py": "import installed_later_4711\n"},
    )
    assert codes(project.now) == ["E302"]

    write(packages, {"installed_later_4711.py": ""})

    assert codes(project.loader.load()) == []


def test_a_value_in_dotenv_is_live_too_and_the_environment_wins(tmp_path: Path) -> None:
    secret = A + "deepgram: {api_key: '${KEY}'}\n"
    write(tmp_path, {"agents/a.yaml": secret})
    loader = Loader(tmp_path, {"OTHER": "x"})
    assert codes(loader.load()) == ["E601"]

    write(tmp_path, {".env": "KEY=one\n"})
    assert loader.changed()
    one = loader.load().dialplan.agents["a"].api_key
    write(tmp_path, {".env": "KEY=another\n"})
    another = loader.load().dialplan.agents["a"].api_key
    given = Loader(tmp_path, {"KEY": "given"}).load().dialplan.agents["a"].api_key

    assert [reveal(key) for key in (one, another, given)] == ["one", "another", "given"]


@pytest.mark.parametrize("content", [b"", b"\x00", b"not a line"])
def test_a_dotenv_that_makes_no_sense_sets_nothing(tmp_path: Path, content: bytes) -> None:
    write(tmp_path, {"agents/a.yaml": A, ".env": content})

    assert codes(load(tmp_path, {})) == []


def test_a_dotenv_is_filled_in_alike_for_commands_and_for_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, {".env": "HOST=b\nKEY=${HOST}.${OTHER}\n", "agents/a.yaml": A + "deepgram: {api_key: '${KEY}'}\n"})
    monkeypatch.setattr(os, "environ", {"HOST": "a"})

    given = read_dotenv(tmp_path)
    served, checked = Loader(tmp_path, given).load(), load(tmp_path, os.environ)

    assert [reveal(loading.dialplan.agents["a"].api_key) for loading in (served, checked)] == ["a.", "a."]
    assert os.environ["HOST"] == "a"


# Files that cannot be read for now.


@contextmanager
def no_descriptors() -> Iterator[None]:
    """Meanwhile this process cannot open any file more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_what_cannot_be_read_for_a_moment_answers_on_and_is_read_again_without_a_change_to_it(tmp_path: Path) -> None:
    project = Project(tmp_path, {"agents/a.yaml": A, "agents/acme/b.yaml": B})
    write(tmp_path, {"agents/a.yaml": A.replace("brief", "kind")})

    with no_descriptors():
        starved = project.loader.load(project.now.dialplan)
        assert not project.loader.changed()
        assert not project.loader.healed()
    assert project.loader.healed()
    assert set(codes(starved)) == {"E001"}
    assert starved.dialplan.agents == project.now.dialplan.agents
    assert sorted(starved.set_aside) == ["a", "acme/b"]

    project.now = project.loader.load(project.now.dialplan)
    assert project.prompts() == {"a": "Be kind.", "acme/b": "Be brief."}
    assert project.now.set_aside == ()


def test_a_folder_that_cannot_be_listed_keeps_its_own_agents_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = Project(tmp_path, {"agents/a.yaml": A, "agents/acme/b.yaml": B})
    listed = os.listdir

    def refuse(folder: Path) -> list[str]:
        if folder == tmp_path / "agents/acme":
            raise PermissionError(errno.EACCES, "Permission denied")
        return listed(folder)

    monkeypatch.setattr(os, "listdir", refuse)
    project.loader.load(project.now.dialplan)
    (tmp_path / "agents/a.yaml").unlink()
    after = project.loader.load(project.now.dialplan)

    assert told(after) == ["acme:1:1 E001 the folder cannot be read: permission denied"]
    assert (list(after.dialplan.agents), after.set_aside) == (["acme/b"], ("acme/b",))


@pytest.mark.parametrize("name", ["agents/bad.yaml", "plugins/p.py"])
def test_a_file_that_can_be_opened_but_not_read_keeps_nothing_else_from_being_taken(tmp_path: Path, name: str) -> None:
    project = Project(tmp_path, {"agents/a.yaml": A, "agents/b.yaml": B + "plugins: [plugins.p]\n", "plugins/p.py": ""})
    (tmp_path / name).unlink(missing_ok=True)
    (tmp_path / name).symlink_to("/proc/self/mem")

    project.save({"agents/a.yaml": A.replace("brief", "kind")})

    assert project.prompts()["a"] == "Be kind."
    assert not project.loader.healed()


def test_a_dotenv_that_cannot_be_read_changes_no_value_and_is_told(tmp_path: Path) -> None:
    keyed = A + "deepgram: {api_key: '${KEY:-another}'}\n"
    project = Project(tmp_path, {".env": "KEY=real\n", "agents/a.yaml": keyed})

    told_of = project.save({".env": "KEY=real\n".encode("utf-16")})  # type: ignore[dict-item]

    assert told(told_of) == [".env:1:1 E001 the file cannot be read: it is not text in UTF-8"]
    assert reveal(told_of.dialplan.agents["a"].api_key) == "real"
    (tmp_path / ".env").unlink()
    os.mkfifo(tmp_path / ".env")
    assert reveal(project.loader.load(told_of.dialplan).dialplan.agents["a"].api_key) == "real"


def test_what_stands_under_an_agents_name_and_is_no_file_is_told_and_the_agent_answers_on(tmp_path: Path) -> None:
    project = Project(tmp_path, {"agents/a.yaml": A})
    (tmp_path / "agents/a.yaml").unlink()
    os.mkfifo(tmp_path / "agents/a.yaml")

    piped = project.save({})

    assert (codes(piped), piped.set_aside, list(piped.dialplan.agents)) == (["E001"], ("a",), ["a"])


def test_folders_in_each_other_without_end_end_nothing(tmp_path: Path) -> None:
    project = Project(tmp_path, {"agents/a.yaml": A})
    deep = tmp_path / "agents" / "/".join("d" * 300)
    deep.mkdir(parents=True)

    assert codes(project.save({})) == ["E001"]
    assert list(project.now.dialplan.agents) == ["a"]


def test_two_names_that_are_no_text_are_two_agents(tmp_path: Path) -> None:
    write(tmp_path, {"agents/a.yaml": A})
    for name, number in ((b"\xff", "1"), (b"\xfe", "2")):
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/agents/" + name + b".yaml")).write_text(
            A.replace("0001", f"001{number}")
        )

    assert sorted(load(tmp_path, {}).dialplan.agents) == ["\\xfe", "\\xff", "a"]


def test_a_plugin_that_writes_another_one_while_it_is_imported_comes_to_rest(tmp_path: Path) -> None:
    writes = (
        "from pathlib import Path\n"
        "Path(__file__).with_name('made.py').write_text('N = 7\\n')\n"
        "def f() -> int:\n    from . import made\n    return made.N\n"
    )
    files = {
        "agents/a.yaml": A + "plugins: [plugins.p]\nfunctions: [f]\n",
        "plugins/p.py": writes,
        "plugins/made.py": "",
    }
    project = Project(tmp_path, files)

    assert not project.loader.changed()
    assert project.now.dialplan.agents["a"].functions["f"].runs.call() == 7  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "plugin",
    [
        "import importlib\nimportlib.import_module('vendor/thing')\n",
        "raise SyntaxError('x', (__file__, '5', 1, 't'))\n",
        "import os\nos.unlink(__file__)\nraise ValueError\n",
    ],
)
def test_whatever_a_plugin_raises_the_other_agents_are_read(tmp_path: Path, plugin: str) -> None:
    files = {"agents/a.yaml": A + "plugins: [plugins.p]\n", "agents/b.yaml": B, "plugins/p.py": plugin}

    loading = load(write(tmp_path, files), {})

    assert codes(loading) in (["E301"], ["E302"])
    assert list(loading.dialplan.agents) == ["b"]


def test_a_folder_agents_that_is_gone_is_a_mistake_and_nobody_stops_answering(tmp_path: Path) -> None:
    project = Project(tmp_path, {"agents/a.yaml": A})
    (tmp_path / "agents").rename(tmp_path / "elsewhere")

    gone = project.save({})
    assert (codes(gone), gone.set_aside, project.prompts()) == (["E007"], ("a",), {"a": "Be brief."})

    (tmp_path / "elsewhere").rename(tmp_path / "agents")
    assert (codes(project.save({})), project.now.set_aside) == ([], ())


def test_files_that_change_while_they_are_read_are_read_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, {"agents/a.yaml": A, "agents/b.yaml": B})
    changes = [A.replace("brief", "kind")]

    def read_and_change(project: object, file: Path) -> object:
        found = read_agent(project, file)  # type: ignore[arg-type]
        if changes and file.stem == "b":
            write(tmp_path, {"agents/a.yaml": changes.pop()})
        return found

    monkeypatch.setattr("dialplan.config.loading.read_agent", read_and_change)
    agents = Loader(tmp_path, {}).first().dialplan.agents

    assert agents["a"].prompt.source == "Be kind."


def test_files_behind_links_are_followed_and_a_swapped_folder_is_a_change(tmp_path: Path) -> None:
    """As Kubernetes mounts a ConfigMap: everything is a link through ..data, which is swapped in one step."""
    for version, prompt in (("..1", "one"), ("..2", "two")):
        write(tmp_path / "agents" / version, {"a.yaml": A.replace("Be brief", prompt), "acme/b.yaml": B})
    (tmp_path / "agents" / "..data").symlink_to("..1")
    (tmp_path / "agents" / "a.yaml").symlink_to("..data/a.yaml")
    (tmp_path / "agents" / "acme").symlink_to("..data/acme")
    project = Project(tmp_path, {})
    assert project.prompts() == {"a": "one.", "acme/b": "Be brief."}

    (tmp_path / "agents" / "..next").symlink_to("..2")
    os.replace(tmp_path / "agents" / "..next", tmp_path / "agents" / "..data")
    project.save({})

    assert project.prompts() == {"a": "two.", "acme/b": "Be brief."}


def test_a_link_that_leads_in_a_circle_is_walked_once(tmp_path: Path) -> None:
    write(tmp_path, {"agents/acme/a.yaml": A})
    (tmp_path / "agents" / "acme" / "again").symlink_to("..")

    assert "acme/a" in load(tmp_path, {}).dialplan.agents


# Files with mistakes.


def test_a_broken_file_keeps_its_last_good_version_until_it_is_mended_or_gone(tmp_path: Path) -> None:
    project = Project(tmp_path, {"agents/a.yaml": A, "agents/b.yaml": B})

    broken = project.save({"agents/a.yaml": A + "voise: x\n", "agents/b.yaml": B.replace("brief", "kind")})

    assert codes(broken) == ["E104"]
    assert broken.set_aside == ("a",)
    assert project.prompts() == {"a": "Be brief.", "b": "Be kind."}
    assert project.save({"agents/a.yaml": A.replace("brief", "quick")}).set_aside == ()
    assert project.prompts() == {"a": "Be quick.", "b": "Be kind."}
    project.delete("agents/a.yaml")
    assert project.prompts() == {"b": "Be kind."}


def test_a_broken_plugin_keeps_the_last_good_version_of_its_agents(tmp_path: Path) -> None:
    functions = "plugins: [plugins.p]\nfunctions: [f]\n"
    project = Project(tmp_path, {"agents/a.yaml": A + functions, "plugins/p.py": "def f() -> int:\n    return 1\n"})

    broken = project.save({"plugins/p.py": "def f( -> int:\n"})

    assert [(p.code, p.place.file) for p in broken.problems] == [("E302", "plugins/p.py")]
    assert broken.dialplan.agents["a"].functions["f"].runs.call() == 1  # type: ignore[union-attr]


def test_a_doubt_stays_told_while_its_file_stays_as_it_is(tmp_path: Path) -> None:
    project = Project(tmp_path, {"agents/a.yaml": "prompt: Be brief.\n", "agents/b.yaml": B})

    after = project.save({"agents/b.yaml": B + "description: x\n"})

    assert codes(after) == ["W501"]
    assert after.texts["agents/a.yaml"] == "prompt: Be brief.\n"


# Who answers, when several want to.


def numbers(*last: str) -> str:
    return f"numbers: {json.dumps([f'+155501000{two}' for two in last])}\nprompt: x\n"


def test_who_answers_a_number_keeps_it_though_another_file_comes_first(tmp_path: Path) -> None:
    project = Project(tmp_path, {"agents/m.yaml": numbers("01"), "agents/z.yaml": numbers("02")})

    after = project.save({"agents/a.yaml": numbers("01", "03"), "agents/m.yaml": numbers("01", "04")})

    assert [(p.code, p.place.file) for p in after.problems] == [("E501", "agents/a.yaml")]
    assert project.owners() == {"01": "m", "04": "m", "02": "z"}


def test_one_that_claims_anothers_number_stays_as_it_was(tmp_path: Path) -> None:
    project = Project(tmp_path, {"agents/a.yaml": numbers("01"), "agents/b.yaml": numbers("02")})

    after = project.save({"agents/a.yaml": numbers("02")})

    assert after.set_aside == ("a",)
    assert project.owners() == {"01": "a", "02": "b"}
    assert project.save({"agents/b.yaml": numbers("03")}).set_aside == ()
    assert project.owners() == {"02": "a", "03": "b"}


def test_two_agents_may_swap_their_numbers(tmp_path: Path) -> None:
    project = Project(tmp_path, {"agents/a.yaml": numbers("01"), "agents/b.yaml": numbers("02")})

    assert project.save({"agents/a.yaml": numbers("02"), "agents/b.yaml": numbers("01")}).problems == ()
    assert project.owners() == {"01": "b", "02": "a"}


def test_a_number_moves_to_a_file_of_another_name(tmp_path: Path) -> None:
    project = Project(tmp_path, {"agents/a.yaml": numbers("01")})

    (tmp_path / "agents" / "a.yaml").rename(tmp_path / "agents" / "b.yaml")
    project.save({})

    assert project.owners() == {"01": "b"}


def test_who_stays_as_it_was_keeps_its_number_from_the_next_one(tmp_path: Path) -> None:
    files = {"agents/a.yaml": numbers("01"), "agents/b.yaml": numbers("02"), "agents/c.yaml": numbers("03")}
    project = Project(tmp_path, files)

    # b wants what a keeps, and c what b would have given away.
    after = project.save({"agents/b.yaml": numbers("01"), "agents/c.yaml": numbers("02")})

    assert after.set_aside == ("b", "c")
    assert project.owners() == {"01": "a", "02": "b", "03": "c"}


def test_one_that_makes_a_shared_path_ambiguous_is_the_one_that_stays(tmp_path: Path) -> None:
    shared = "streams: [/s]\n"
    project = Project(tmp_path, {"agents/a.yaml": shared + numbers("01"), "agents/b.yaml": shared + numbers("02")})

    after = project.save({"agents/a.yaml": shared + "prompt: x\n", "agents/b.yaml": shared + numbers("03")})

    assert [(p.code, p.place.file) for p in after.problems] == [("E502", "agents/a.yaml")]
    assert project.owners() == {"01": "a", "03": "b"}


_CLAIMS = st.dictionaries(
    st.sampled_from("abcd"), st.lists(st.sampled_from(["01", "02", "03"]), unique=True, max_size=3), max_size=4
)


@settings(max_examples=60, deadline=None)
@given(st.lists(_CLAIMS, min_size=2, max_size=4))
def test_whatever_is_claimed_every_number_has_one_owner_and_whoever_answered_and_is_there_answers(
    tmp_path_factory: pytest.TempPathFactory, moments: list[dict[str, list[str]]]
) -> None:
    root = tmp_path_factory.mktemp("project")
    (root / "agents").mkdir()
    loader, before = Loader(root, {}), Dialplan()
    for claims in moments:
        for old in (root / "agents").iterdir():
            old.unlink()
        write(root, {f"agents/{name}.yaml": numbers(*claimed) for name, claimed in claims.items()})

        loading = loader.load(before)

        after = loading.dialplan
        assert set(before.agents) & set(claims) <= set(after.agents) <= set(claims)
        answered = sorted(number for agent in after.agents.values() for number, _ in agent.numbers)
        assert answered == sorted(after.numbers)
        for name, claimed in claims.items():
            as_written = name in after.agents and [n[-2:] for n, _ in after.agents[name].numbers] == claimed
            assert as_written or name in loading.set_aside
            assert name not in loading.set_aside or any(p.place.file == f"agents/{name}.yaml" for p in loading.problems)
        before = after
