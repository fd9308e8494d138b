"""Expectations that stand in the bad files themselves, on the very line that is wrong.

    voise: aura  # expect: E104 "voise"

says: the code E104 is reported on this line, with the caret exactly under `voise`. Several are separated by commas; a
word with quotes in it stands in the other kind of quotes; `"to"@2` is the second `to` of the line; `"{{ store…"` begins
there and ends on a later line; `after "greeting:"` is the empty place behind that. Where a comment cannot stand on the
line, it stands elsewhere in the file as `# expect line 3: …`, and for files that hold no text, in a file named EXPECT:
`agents/a.yaml:1:1 E001`.
"""

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dialplan.config.problems import Problem, lines_of

BAD = Path(__file__).parents[1] / "fixtures" / "agents" / "bad"
GOOD = BAD.with_name("good")

#: What `${NAME}` finds when the bad files are loaded.
ENVIRONMENT = {"SET": "a value", "EMPTY": ""}

_COMMENT = re.compile(r"# expect(?: line (\d+))?: (.*)$")
_ITEM = re.compile(r"""([EW]\d{3}) (after )?(?:"([^"]*)"|'([^']*)')(?:@(\d+))?""")


@dataclass(frozen=True, slots=True, order=True)
class Expected:
    """A code and its place; `end` is 0 where the place ends on a later line."""

    file: str
    line: int
    column: int
    end: int
    code: str


def cases() -> list[Path]:
    """Every bad file, and every folder that is a project with bad files."""
    return sorted(path for path in BAD.iterdir() if not path.name.startswith("."))


def project(case: Path, root: Path) -> Path:
    """The case as a project of its own."""
    if case.is_dir():
        shutil.copytree(case, root, dirs_exist_ok=True)
    else:
        (root / "agents").mkdir(parents=True)
        shutil.copy(case, root / "agents")
    return root


def expected(root: Path) -> list[Expected]:
    """What the files of a project say about themselves."""
    return sorted(one for path in root.rglob("*") if path.is_file() for one in _in_file(path, root))


def found(problem: Problem) -> Expected:
    """A problem as an expectation."""
    place = problem.place
    end = place.end_column if place.end_line == place.line else 0
    return Expected(place.file, place.line, place.column, end, problem.code)


def _in_file(path: Path, root: Path) -> Iterator[Expected]:
    name = path.relative_to(root).as_posix()
    text = path.read_bytes().decode("utf-8", errors="replace").removeprefix("\ufeff")
    if name == "EXPECT":
        yield from _listed(text)
        return
    lines = lines_of(text)
    for number, line in enumerate(lines, start=1):
        comment = _COMMENT.search(line)
        if comment:
            at = int(comment[1] or number)
            yield from _on_line(name, at, lines[at - 1], comment[2])


def _on_line(name: str, number: int, line: str, items: str) -> Iterator[Expected]:
    rest = _ITEM.sub("", items).replace(",", "").strip()
    assert not rest, f"{name}:{number}: this is no expectation: {rest}"
    for code, after, double, single, nth in _ITEM.findall(items):
        word = double or single
        begin = _nth(line, word.removesuffix("…"), int(nth or 1))
        assert begin >= 0, f"{name}:{number}: {word} does not stand in the line"
        end = 0 if word.endswith("…") else begin + len(word) + 1
        yield Expected(name, number, end if after else begin + 1, end, code)


def _nth(line: str, word: str, nth: int) -> int:
    positions = [match.start() for match in re.finditer(f"(?={re.escape(word)})", line)]
    return positions[nth - 1] if nth <= len(positions) else -1


def _listed(text: str) -> Iterator[Expected]:
    for line in text.splitlines():
        file, number, column, end, code = re.fullmatch(r"(.+):(\d+):(\d+)-(\d+) (\w+)", line).groups()  # type: ignore[union-attr]
        yield Expected(file, int(number), int(column), int(end), code)
