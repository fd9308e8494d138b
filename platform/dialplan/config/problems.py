"""One mistake in a file: its place, its words, and the pictures of it for people, programs and GitHub.

Mistakes are collected, never thrown one by one. Every code has a section in docs/problems.md.
"""

import difflib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from dialplan.config.keys import hidden, masked
from dialplan.words import printable


class Severity(StrEnum):
    """An error sets its agent aside; a warning does not."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where something stands. Lines and columns count from 1; the end is the column after the last character."""

    file: str
    """Relative to the project's root where it lies inside, with slashes."""
    line: int = 1
    column: int = 1
    end_line: int = 1
    end_column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"

    def holds(self, other: "Place") -> bool:
        """Whether another place begins inside this one, or right behind it: there stands what is missing."""
        begin, end = (self.line, self.column), (self.end_line, self.end_column)
        return self.file == other.file and begin <= (other.line, other.column) <= end

    def beginning(self) -> "Place":
        """Its first character: a caret under fifty lines shows nothing."""
        return Place(self.file, self.line, self.column, self.line, self.column + 1)


@dataclass(frozen=True, slots=True)
class Problem:
    """A mistake (or, with a code in W, a doubt) in a file of the project."""

    code: str
    place: Place
    message: str
    help: str = ""
    note: str = ""
    """What is worth knowing besides; shown to people only."""

    def __post_init__(self) -> None:
        # Whoever words a problem may quote the file. Tickets and logs of builds are no place for a key.
        object.__setattr__(self, "message", masked(self.message))
        object.__setattr__(self, "help", masked(self.help))

    @property
    def severity(self) -> Severity:
        return Severity.WARNING if self.code.startswith("W") else Severity.ERROR

    def __str__(self) -> str:
        return f"{self.place}  {self.severity} {self.code}: {self.message}" + (f" ({self.help})" if self.help else "")


#: Every code and what it is about, in the order of docs/problems.md.
CODES: Mapping[str, str] = {
    "E001": "the file cannot be read",
    "E002": "the YAML cannot be understood",
    "E003": "a key stands twice",
    "E004": "the file is nested too deeply or too large",
    "E005": "a key is not a word",
    "E006": "a phone number without quotes",
    "E007": "a project without a folder for agents",
    "E101": "the file does not hold keys",
    "E102": "a key is missing",
    "E103": "a value of the wrong kind",
    "E104": "an unknown key",
    "E105": "not one of the possible values",
    "E106": "a number out of range",
    "E107": "a text of the wrong form",
    "E108": "a list or mapping of the wrong size",
    "E109": "parameters that are no JSON Schema",
    "E201": "the template cannot be understood",
    "E202": "a name that does not exist",
    "E203": "a fact that a call does not have",
    "E204": "a secret where it would be heard",
    "E205": "a prompt's file that cannot be read",
    "E206": "a template that cannot be filled in",
    "E301": "a plugin that is not there",
    "E302": "a plugin that cannot be imported",
    "E303": "a function that no plugin has",
    "E304": "a parameter that the function does not take",
    "E305": "a parameter that the function needs",
    "E306": "a function that two plugins have",
    "E307": "a function twice",
    "E308": "a function whose parameters cannot be described",
    "E309": "a function with two ways to run",
    "E310": "an address that the model could change",
    "E401": "options of another listen model",
    "E402": "a provider without what it needs",
    "E403": "thresholds that contradict each other",
    "E404": "an unknown time zone",
    "E405": "an option that the provider does not have",
    "E501": "a number that two agents claim",
    "E502": "a stream path that two agents claim",
    "E503": "a file to extend that is not there",
    "E504": "extending in a circle, or too far",
    "E505": "a path of the server's own",
    "E601": "an environment variable that is not set",
    "E701": "a rehearsal that expects nothing",
    "E702": "a rehearsal of a function that the agent does not have",
    "E703": "a rehearsal's arguments that do not fit the function",
    "W101": "a number that loses a part",
    "W201": "a prompt that Deepgram would cut",
    "W202": "a template where none is filled in",
    "W203": "a variable in single braces",
    "W301": "required here, optional there",
    "W302": "a function without a description",
    "W303": "a host that functions may not reach",
    "W401": "a model that Deepgram is not known to have",
    "W402": "a voice in another language",
    "W501": "an agent that nobody can reach",
    "W502": "a file that is not read",
    "W503": "a project without agents",
    "W504": "a route that is never taken",
    "W601": "a key that stands in the file",
}


def has_errors(problems: Iterable[Problem]) -> bool:
    """Whether anything in there keeps an agent from answering."""
    return any(problem.severity is Severity.ERROR for problem in problems)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`did you mean "voice"?`, or nothing where no known word is near."""
    by_lower = {one.lower(): one for one in known}
    near = difflib.get_close_matches(word.lower()[:100], by_lower, n=1, cutoff=0.6)
    return f'did you mean "{by_lower[near[0]]}"?' if near else ""


def shown(text: str, most: int = 60) -> str:
    """A piece of a file inside a message: in quotes, on one line, cut short where it is long."""
    line = " ".join(text.split())
    return f'"{line if len(line) <= most else line[: most - 1] + "…"}"'


def listed(words: Iterable[str], most: int = 12) -> str:
    """The words in alphabetical order, cut short where there are many."""
    ordered = sorted(words)
    return ", ".join(ordered[:most]) + (", …" if len(ordered) > most else "")


def picture(problem: Problem, texts: Mapping[str, str]) -> str:
    """The mistake with its line and a caret under the very word, as compilers draw it.

    Args:
        problem: the mistake.
        texts: the files' contents by name, as far as they could be read.
    """
    return as_text([problem], texts)


class Ink(StrEnum):
    """The parts of a picture that a terminal shows in colours of their own."""

    PLACE = "place"
    MESSAGE = "message"
    ERROR = "error"
    WARNING = "warning"
    GUTTER = "gutter"


#: Gives a piece of the picture its colour.
Paint = Callable[[str, Ink], str]


def _unpainted(text: str, ink: Ink) -> str:
    return text


def _picture(problem: Problem, lines: Sequence[str], paint: Paint) -> str:
    place, ink = problem.place, Ink(problem.severity.value)
    kind = paint(f"{problem.severity} {problem.code}", ink)
    head = f"{paint(str(place), Ink.PLACE)}  {kind}: {paint(problem.message, Ink.MESSAGE)}"
    if place.line > len(lines):
        return head + (f"\n  {paint('=', Ink.GUTTER)} {problem.help}" if problem.help else "")
    drawn = [head, *_excerpt(problem, lines[place.line - 1], lambda text: paint(text, ink), paint)]
    if problem.note:
        drawn.append(f"{' ' * len(str(place.line))} {paint('=', Ink.GUTTER)} {problem.note}")
    return "\n".join(drawn)


#: Columns of a line that are shown: a prompt may be one line of a thousand words.
_WIDTH = 140


def _excerpt(problem: Problem, line: str, mark: Callable[[str], str], paint: Paint) -> list[str]:
    place, number = problem.place, str(problem.place.line)
    end = place.end_column if place.end_line == place.line else len(line) + 1
    shown_line, column = _window(line, place.column)
    room = len(shown_line) + 1 - column
    carets = "^" * max(1, min(end - place.column, room))
    pointing = mark(f"{carets} {problem.help}".rstrip())
    gutter = paint(f"{' ' * len(number)} |", Ink.GUTTER)
    return [
        gutter,
        f"{paint(f'{number} |', Ink.GUTTER)} {shown_line}".rstrip(),
        f"{gutter} {' ' * (column - 1)}{pointing}",
    ]


def _window(line: str, column: int) -> tuple[str, int]:
    """The part of a line around a column, and the column in that part."""
    start = max(0, min(column - _WIDTH // 2, len(line) - _WIDTH))
    # One character stands for one, so that the caret stays under its word. Of the part only: a line may be long, and
    # have many mistakes.
    part = printable(line[start : start + _WIDTH], " ")
    before, after = "…" if start else "", "…" if start + _WIDTH < len(line) else ""
    return before + part + after, column - start + len(before)


#: Characters of a file in which mistakes are shown; one that is larger is refused as a whole.
_SHOWN = 1_000_000


def as_text(problems: Sequence[Problem], texts: Mapping[str, str], paint: Paint = _unpainted) -> str:
    """All mistakes for a person's eyes.

    Args:
        problems: the mistakes.
        texts: the files' contents by name, as far as they could be read.
        paint: colours, where a terminal has them.
    """
    files = {problem.place.file for problem in problems}
    lines = {file: lines_of(masked(texts.get(file, "")[:_SHOWN])) for file in files}
    for problem in problems:
        if problem.code == "W601":
            _hide(lines[problem.place.file], problem.place)
    return "\n\n".join(_picture(problem, lines[problem.place.file], paint) for problem in problems)


def _hide(lines: list[str], place: Place) -> None:
    """A key is not shown in the picture of its line either, nor in that of any other mistake there."""
    for number in range(place.line, min(place.end_line, len(lines)) + 1):
        line = lines[number - 1] if number <= len(lines) else ""
        begin = place.column - 1 if number == place.line else 0
        end = place.end_column - 1 if number == place.end_line else len(line)
        lines[number - 1 : number] = [line[:begin] + hidden(line[begin:end]) + line[end:]]


def as_json(problems: Sequence[Problem]) -> str:
    """All mistakes for a program: an array of objects."""
    return json.dumps([_fields(problem) for problem in problems], indent=2, ensure_ascii=False)


def as_github(problems: Sequence[Problem]) -> str:
    """All mistakes as annotations of a pull request (GitHub's workflow commands)."""
    return "\n".join(_annotation(problem) for problem in problems)


def _fields(problem: Problem) -> dict[str, str | int]:
    place = problem.place
    return {
        "file": place.file,
        "line": place.line,
        "column": place.column,
        "end_line": place.end_line,
        "end_column": place.end_column,
        "code": problem.code,
        "severity": problem.severity.value,
        "message": problem.message,
        "help": problem.help,
    }


def _annotation(problem: Problem) -> str:
    place = problem.place
    position = f"line={place.line},col={place.column},endLine={place.end_line},endColumn={place.end_column}"
    text = f"{problem.message} {problem.help}".strip().replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    file = place.file.replace("%", "%25").replace(":", "%3A").replace(",", "%2C")
    return f"::{problem.severity} file={file},{position},title={problem.code}::{text}"


def undecodable(exc: UnicodeDecodeError) -> tuple[int, int]:
    """Line and column of the first byte that is no text in UTF-8."""
    before = lines_of(exc.object[: exc.start].decode("utf-8", errors="replace"))
    return len(before), len(before[-1]) + 1


def lines_of(text: str) -> list[str]:
    """The text's lines as YAML counts them: str.splitlines would also break at form feeds and the like."""
    for line_break in ("\r\n", "\r", "\x85", "\u2028", "\u2029"):
        text = text.replace(line_break, "\n")
    return text.split("\n")
