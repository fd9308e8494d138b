"""Why a text is no YAML, in words for somebody who does not know YAML."""

import re
from collections.abc import Callable
from dataclasses import dataclass

import yaml

from dialplan.config.problems import Place, Problem, lines_of

_QUOTES = "put quotes around the whole text"
_INDENT = "lines of one level begin in one column"
_ESCAPE = (
    "a backslash inside double quotes begins a special character",
    "use single quotes around the text, or write \\\\",
)
_UNCLOSED = ("a quote is opened here and never closed", "add the closing quote")
_AFTER_BLOCK = ("after | or > nothing else stands in the line", "begin the text in the next line, indented")
_UNKNOWN = ("the YAML cannot be understood here", _QUOTES)


def syntax_problem(file: str, text: str, exc: yaml.YAMLError) -> Problem:
    """The first thing that keeps the text from being YAML, with its place.

    Args:
        file: the file's name.
        text: its content.
        exc: what the parser of this machine said.
    """
    try:
        # The pure Python parser words its errors better than libyaml, and the same on every machine.
        for _ in yaml.parse(text, Loader=yaml.SafeLoader):
            pass
    except yaml.YAMLError as said:
        exc = said
    if isinstance(exc, yaml.reader.ReaderError):
        return character_problem(file, text, exc.position)
    if isinstance(exc, yaml.MarkedYAMLError):
        return _explained(file, text, exc)
    return Problem("E002", Place(file), *_UNKNOWN)


def character_problem(file: str, text: str, position: int) -> Problem:
    """A character that cannot stand in a YAML file at all."""
    before = lines_of(text[:position])
    place = Place(file, len(before), len(before[-1]) + 1, len(before), len(before[-1]) + 2)
    number = ord(text[position]) if position < len(text) else 0
    message = f"the invisible character U+{number:04X} cannot stand in YAML"
    return Problem("E002", place, message, "delete it, and type the text around it again")


def braces_problem(place: Place, text: str) -> Problem:
    """A text that begins with `{{` and has no quotes around it."""
    line = lines_of(text)[place.line - 1]
    before, value = line[: place.column - 1], line[place.column - 1 :].rstrip()
    quote = "'" if '"' in value else '"'
    message = "a text that begins with {{ needs quotes around the whole of it"
    end = max(place.column + 1, len(line.rstrip()) + 1)
    whole = Place(place.file, place.line, place.column, place.line, end)
    return Problem("E005", whole, message, f"write: {before.lstrip()}{quote}{value}{quote}")


@dataclass(frozen=True, slots=True)
class _Spot:
    """Where the parser gave up."""

    said: str
    line: str
    """The text of the line."""
    before: str
    """That line up to the place."""
    same_line: bool
    """What the parser was reading began in the same line."""


_Words = tuple[str, str]


def _explained(file: str, text: str, exc: yaml.MarkedYAMLError) -> Problem:
    lines = lines_of(text)
    mark, begun = exc.problem_mark or exc.context_mark, exc.context_mark or exc.problem_mark
    if mark is None or begun is None:
        return Problem("E002", Place(file), *_UNKNOWN)
    line = lines[mark.line] if mark.line < len(lines) else ""
    braces = _UNQUOTED_BRACES.match(line)
    if braces and mark.column >= braces.start(1):
        return braces_problem(Place(file, mark.line + 1, braces.start(1) + 1), text)
    spot = _Spot(f"{exc.context} {exc.problem}", line, line[: mark.column], begun.line == mark.line)
    for said, at_beginning, words in _IN_WORDS:
        if said in spot.said:
            found = words if isinstance(words, tuple) else words(spot)
            place = begun if at_beginning and not (said.startswith("expected ',") and spot.same_line) else mark
            return Problem("E002", _place(file, lines, place), *found)
    return Problem("E002", _place(file, lines, mark), *_UNKNOWN)


_UNQUOTED_BRACES = re.compile(r"\s*(?:- +)*(?:[^\s:#'\"{\[][^:#'\"{\[]*: +)?(\{\{)")


def _place(file: str, lines: list[str], mark: yaml.Mark) -> Place:
    """The word that begins at the mark; one character where none does."""
    number = min(mark.line, len(lines) - 1)
    column = min(mark.column, len(lines[number])) if mark.line < len(lines) else len(lines[number])
    word = re.compile(r"[\w.+$-]*").match(lines[number], column)
    return Place(file, number + 1, column + 1, number + 1, column + 1 + max(1, len(word[0]) if word else 1))


def _second_colon(spot: _Spot) -> _Words:
    key = re.match(r"\s*(?:- +)*([^\s:'\"][^:]*: +)(?=\S)", spot.line)
    if key is None or key.end() > len(spot.before):
        return "this line is indented too far for a key", _INDENT
    value = spot.line[key.end() :].rstrip()
    quote = "'" if '"' in value else '"'
    return "a second colon in one line", f"write: {spot.line[: key.end()].lstrip()}{quote}{value}{quote}"


def _left_over(spot: _Spot) -> _Words:
    """Something stands where neither a key nor an item can."""
    before = spot.before.rstrip()
    if before.endswith(("'", '"')):
        return "the quotes end before this, and the text goes on", f"{_QUOTES}; a ' inside '…' is written twice"
    if before.endswith(("}", "]")):
        return "this goes on after a closing bracket", f"{_QUOTES} if it begins with {{ or ["
    if spot.line.strip()[:1] in ("}", "]"):
        return "a closing bracket without an opening one", "remove it"
    return "this line does not fit the indentation of the lines above", _INDENT


def _flow(spot: _Spot) -> _Words:
    """Inside { } or [ ]."""
    if re.search(r"(?<![\"'])\$\{", spot.line):
        return "inside { } and [ ], ${NAME} needs quotes", 'write "${NAME}"'
    if spot.same_line:
        return "a comma or a closing bracket is missing before this", "as in {model: nova-3, smart_format: true}"
    return "a bracket is opened here and not closed", "add the closing bracket at the end of the line"


def _special(spot: _Spot) -> _Words:
    character = spot.line[len(spot.before) : len(spot.before) + 1]
    return f"a text cannot begin with {character}", _QUOTES


#: What PyYAML says; whether the beginning of what it was reading is the place to look at; our words.
#: The first whose left side is found in the parser's words is taken.
_IN_WORDS: tuple[tuple[str, bool, _Words | Callable[[_Spot], _Words]], ...] = (
    ("'\\t'", False, ("a tab stands here; YAML is indented with spaces", "replace the tab by spaces")),
    ("mapping values are not allowed", False, _second_colon),
    ("could not find expected ':'", True, ("this line has no colon", 'a key is followed by ": ", as in voice: …')),
    (
        "sequence entries are not allowed",
        False,
        ("a list cannot begin in the line of its key", f"{_QUOTES}, or begin the list in the next line"),
    ),
    ("mapping keys are not allowed", False, ("? means something special to YAML", _QUOTES)),
    ("expected <block end>", False, _left_over),
    ("unexpected end of stream", True, _UNCLOSED),
    ("unexpected document separator", True, _UNCLOSED),
    ("while scanning an alias", True, ("* means something special to YAML", 'put quotes around it: "*"')),
    ("while scanning an anchor", True, ("& means something special to YAML", _QUOTES)),
    ("unknown escape character", False, _ESCAPE),
    ("expected escape sequence", False, _ESCAPE),
    ("while scanning a block scalar", False, _AFTER_BLOCK),
    ("expected ',' or '}'", True, _flow),
    ("expected ',' or ']'", True, _flow),
    ("cannot start any token", False, _special),
    ("expected the node content", False, ("a value is missing here, or begins with a special character", _QUOTES)),
    ("while scanning a directive", True, ("a line cannot begin with %", _QUOTES)),
    ("incompatible YAML document", False, ("this version of YAML is not known", "remove the line")),
    ("YAML directive", False, ("a line cannot begin with %", "remove it")),
    ("'<document start>'", False, ("the file has ended before this line", "remove the line with … above")),
    ("tag", True, ("a word that begins with ! means something special to YAML", _QUOTES)),
)
