"""Small projects for tests: files in a folder, read as the server reads them."""

from collections.abc import Mapping
from pathlib import Path

from dialplan.config.loading import Loading, load
from dialplan.config.model import Agent

#: An agent that nothing is wrong with; tests add to it.
PLAIN = 'numbers: ["+15550100001"]\nprompt: Be brief.\n'


def write(root: Path, files: Mapping[str, str | bytes]) -> Path:
    """The files under a folder, byte by byte as they are given."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return root


def loaded(root: Path, files: Mapping[str, str | bytes], environment: Mapping[str, str] | None = None) -> Loading:
    """A project with these files, loaded with an environment that is empty unless given."""
    return load(write(root, files), {} if environment is None else environment)


def agent_of(loading: Loading, name: str = "a") -> Agent:
    """An agent of a project that nothing is wrong with; small functions of tests have no docstring (W302)."""
    assert {problem.code for problem in loading.problems} <= {"W302"}, told(loading)
    return loading.dialplan.agents[name]


def told(loading: Loading) -> list[str]:
    """The problems, short: `a.yaml:3:1 E104 unknown key "voise"`."""
    return [
        f"{p.place.file.removeprefix('agents/')}:{p.place.line}:{p.place.column} {p.code} {p.message}"
        for p in loading.problems
    ]


def codes(loading: Loading) -> list[str]:
    """The problems' codes, in their order."""
    return [problem.code for problem in loading.problems]


def under(loading: Loading) -> list[str]:
    """What the carets stand under, problem by problem; of a place over several lines, its first line."""
    found = []
    for problem in loading.problems:
        place = problem.place
        line = loading.texts[place.file].split("\n")[place.line - 1]
        found.append(line[place.column - 1 : place.end_column - 1 if place.end_line == place.line else None])
    return found
