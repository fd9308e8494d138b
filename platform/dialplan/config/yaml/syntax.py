"""Why a text is no YAML, in words for somebody who does not know YAML."""

import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import yaml

from dialplan.config.problems import Place, Problem, lines_of
from dialplan.config.yaml.long_texts import sounds_like_text, text_above


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
    except (
        ValueError,
        OverflowError,
    ):  # A number is too large for it, in `%YAML 9…` or in an escape (`U` and eight F).
        pass
    except yaml.YAMLError as said:
        # It refuses a little more than libyaml does, such as {caller: Really?}, which then is not what is wrong.
        exc = exc if _line(said) < _line(exc) else said
    if isinstance(exc, yaml.reader.ReaderError):
        return character_problem(file, text, exc.position)
    if isinstance(exc, yaml.MarkedYAMLError):
        return _explained(file, text, exc)
    return Problem("E002", Place(file), *_UNKNOWN)


def _line(exc: yaml.YAMLError) -> int:
    mark = exc.problem_mark if isinstance(exc, yaml.MarkedYAMLError) else None
    return mark.line if mark else sys.maxsize


def character_problem(file: str, text: str, position: int) -> Problem:
    """A character that cannot stand in a YAML file at all."""
    before = lines_of(text[:position])
    place = Place(file, len(before), len(before[-1]) + 1, len(before), len(before[-1]) + 2)
    number = ord(text[position]) if position < len(text) else 0
    message = f"the invisible character U+{number:04X} cannot stand in YAML"
    return Problem("E002", place, message, "delete it, and type the text around it again")


def braces_problem(place: Place, text: str) -> Problem:
    """A text that begins with `{{` and has no quotes around it."""
    line = _COMMENT.sub("", lines_of(text)[place.line - 1])
    before, value = line[: place.column - 1], line[place.column - 1 :]
    message = "a text that begins with {{ needs quotes around the whole of it"
    whole = Place(place.file, place.line, place.column, place.line, place.column + max(1, len(value)))
    return Problem("E005", whole, message, f"write: {before.lstrip()}{_quoted(value)}")


_COMMENT = re.compile(r"\s+(#.*)?$")


def _quoted(text: str) -> str:
    # Quotes of a word processor around the whole were meant to be quotes.
    text = text.strip().strip("“”„‟") if re.fullmatch(r"\s*[“”„‟][^“”„‟]*[“”„‟]\s*", text) else text
    quote = "'" if '"' in text else '"'
    return f"{quote}{text}{quote}"


@dataclass(frozen=True, slots=True)
class _Spot:
    """Where the parser gave up."""

    said: str
    line: str
    """The text of the line."""
    at: tuple[int, int]
    """Line and column, from 0."""
    begun: tuple[int, int]
    """Where that begins which it was reading."""
    begun_line: str
    """The text of the line in which that begins."""
    lines: list[str]
    """Of the whole file."""

    @property
    def before(self) -> str:
        """The line up to the place."""
        return self.line[: self.at[1]]

    @property
    def in_one_line(self) -> bool:
        return self.at[0] == self.begun[0]


_Words = tuple[str, str]
"""A message and its help."""


def _explained(file: str, text: str, exc: yaml.MarkedYAMLError) -> Problem:
    lines = lines_of(text)
    mark = exc.problem_mark or exc.context_mark
    if mark is None:
        return Problem("E002", Place(file), *_UNKNOWN)
    begun = exc.context_mark or mark
    line = lines[mark.line] if mark.line < len(lines) else ""
    spot = _Spot(
        f"{exc.context} {exc.problem}",
        line,
        (mark.line, mark.column),
        (begun.line, begun.column),
        lines[begun.line] if begun.line < len(lines) else "",
        lines,
    )
    braces = _UNQUOTED_BRACES.match(line)
    if braces and mark.column >= braces.start(1):
        return braces_problem(Place(file, mark.line + 1, braces.start(1) + 1), text)
    quote = _swallowing_quote(text, mark.line)
    if quote is not None:
        message = f"a quote is opened here and closed only in line {mark.line + 1}"
        return Problem("E002", _word_at(file, lines, quote.line, quote.column), message, "add the closing quote")
    opened = _still_open(text) if "<stream end>" in spot.said else None
    if opened is not None:
        return Problem("E002", _word_at(file, lines, opened.line, opened.column), *_OPEN)
    where, words = next(((where, words) for said, where, words in _IN_WORDS if said in spot.said), (_here, _UNKNOWN))
    return Problem("E002", _word_at(file, lines, *where(spot)), *(words if isinstance(words, tuple) else words(spot)))


#: Brackets in each other that are looked into: for each token the scanner looks through all that are open.
_MOST_BRACKETS = 200


def _tokens(text: str) -> Iterator[yaml.Token]:
    """Raises yaml.YAMLError: here the text is no YAML."""
    loader = yaml.SafeLoader(text)
    while loader.check_token() and loader.flow_level <= _MOST_BRACKETS:
        yield loader.get_token()  # type: ignore[no-untyped-call]


def _swallowing_quote(text: str, line: int) -> yaml.Mark | None:
    """The beginning of a quoted text that swallowed the lines down to this one, as one does whose closing quote is
    missing: the next quote, wherever it stands, ends it."""
    try:
        for token in _tokens(text):
            if token.start_mark.line > line:
                break
            quoted = isinstance(token, yaml.ScalarToken) and token.style in ("'", '"')
            if quoted and token.start_mark.line < token.end_mark.line == line:
                opened: yaml.Mark = token.start_mark
                return opened
    except (yaml.YAMLError, ValueError, OverflowError):
        pass
    return None


def _still_open(text: str) -> yaml.Mark | None:
    """The last bracket that is open where the file ends."""
    opened: list[yaml.Mark] = []
    try:
        for token in _tokens(text):
            if isinstance(token, yaml.FlowSequenceStartToken | yaml.FlowMappingStartToken):
                opened.append(token.start_mark)
            elif isinstance(token, yaml.FlowSequenceEndToken | yaml.FlowMappingEndToken) and opened:
                opened.pop()
    except (yaml.YAMLError, ValueError, OverflowError):
        pass
    return opened[-1] if opened else None


_UNQUOTED_BRACES = re.compile(r"\s*(?:- +)*(?:[^\s:#'\"{\[][^:#'\"{\[]*: +)?(\{\{)")


def _word_at(file: str, lines: list[str], line: int, column: int) -> Place:
    """The word that begins there; one character where none does."""
    if line >= len(lines):
        line, column = len(lines) - 1, len(lines[-1])
    column = min(column, len(lines[line]))
    word = re.compile(r"[\w+$-]*").match(lines[line], column)
    return Place(file, line + 1, column + 1, line + 1, column + 1 + max(1, len(word[0]) if word else 1))


# Where to look.


def _here(spot: _Spot) -> tuple[int, int]:
    return spot.at


def _beginning(spot: _Spot) -> tuple[int, int]:
    """Where something is never closed, its end tells nothing."""
    return spot.begun


def _bracket(spot: _Spot) -> tuple[int, int]:
    if not spot.in_one_line:
        return spot.begun
    # Before a colon stands the key, and before the key the comma is missing.
    word = re.search(r"[\w-]+$", spot.before) if spot.line[spot.at[1] :].startswith(":") else None
    return spot.at[0], word.start() if word else spot.at[1]


def _colon(spot: _Spot) -> tuple[int, int]:
    """The second colon; of a line that is indented too far, its first word."""
    return spot.at if _first_key(spot) else (spot.at[0], len(spot.line) - len(spot.line.lstrip()))


# What to say.


def _first_key(spot: _Spot) -> re.Match[str] | None:
    """The key of the line, where it stands before the place."""
    key = re.match(r"\s*(?:- +)*([^\s:'\"][^:]*: +)(?=\S)", spot.line)
    return key if key and key.end() <= len(spot.before) else None


def _second_colon(spot: _Spot) -> _Words:
    key = _first_key(spot)
    if key is None:
        above = text_above(spot.lines, spot.at[0])
        or_text = f"; or, if it is text: {above.words()[1]}" if above else ""
        return "this line is indented too far for a key", _INDENT + or_text
    value = _COMMENT.sub("", spot.line[key.end() :])
    if re.match(r"[\w.-]+, *\w+: ", value):
        return "a second key in one line", f"write: {key[1].rstrip()} {{…: {value}}}, or each key in a line of its own"
    return "a second colon in one line", f"write: {spot.line[: key.end()].lstrip()}{_quoted(value)}"


def _no_colon(spot: _Spot) -> _Words:
    """A line in which a key and its value are not told apart, mostly because of one character."""
    line = _COMMENT.sub("", spot.begun_line)
    for said, pattern in _ALMOST_A_COLON:
        key = re.match(rf"\s*((?:- +)*)([\w-]+){pattern}(.*)", line)
        if key:
            return said, f"write: {key[1]}{key[2]}: {key[3].strip()}"
    return _no_dash(spot, line.strip()) or _outside_of_its_text(spot, line) or _NO_COLON


def _no_dash(spot: _Spot, item: str) -> _Words | None:
    """An item of a list whose dash is missing, or touches it."""
    if re.match(r"-[^\s-]", item):
        return "behind the dash a space is missing", f"write: - {item[1:]}"
    above = next((line for line in reversed(spot.lines[: spot.begun[0]]) if line.strip()), "")
    if above.startswith(spot.begun_line[: spot.begun[1]] + "- ") and not sounds_like_text(item):
        return "a dash is missing before this item of the list", f"write: - {item}"
    return None


def _outside_of_its_text(spot: _Spot, line: str) -> _Words | None:
    above = text_above(spot.lines, spot.begun[0]) if sounds_like_text(line) else None
    return above.words() if above else None


_ALMOST_A_COLON = (
    ("the colon in this line is another character that looks like one", r"\s*[：﹕︓∶꞉]\s*"),
    ("behind the colon stands an invisible character that is no space", r":[\u00a0\u2000-\u200b\u202f\u3000\ufeff]\s*"),
    ("behind the colon a space is missing", r":(?=[^\s:/])"),
    ("between a key and its value stands a colon, not =", r"\s*=\s*"),
)


def _left_over(spot: _Spot) -> _Words:
    """Something stands where neither a key nor an item can."""
    before = spot.before.rstrip()
    if before.endswith(("'", '"')):
        return "the quotes end before this, and the text goes on", f"{_QUOTES}; a ' inside '…' is written twice"
    if before.endswith(("}", "]")):
        return "this goes on after a closing bracket", f"{_QUOTES} if it begins with {{ or ["
    if spot.line.strip()[:1] in ("}", "]"):
        return "a closing bracket without an opening one", "remove it"
    above = text_above(spot.lines, spot.at[0])
    if above:
        return above.words()
    return "this line does not fit the indentation of the lines above", _INDENT


def _in_brackets(spot: _Spot) -> _Words:
    if re.search(r"(?<![\"'])\$\{", spot.line):
        return "inside { } and [ ], ${NAME} needs quotes", 'write "${NAME}"'
    if spot.in_one_line:
        return "a comma or a closing bracket is missing before this", "as in {model: nova-3, smart_format: true}"
    return _OPEN


def _special(spot: _Spot) -> _Words:
    return f"a text cannot begin with {spot.line[spot.at[1] : spot.at[1] + 1]}", _QUOTES


_QUOTES = "put quotes around the whole text"
_INDENT = "lines of one level begin in one column"
_UNKNOWN = ("the YAML cannot be understood here", _QUOTES)
_OPEN = ("a bracket is opened here and not closed", "add the closing bracket at the end of the line")
_UNCLOSED = ("a quote is opened here and never closed", "add the closing quote")
_NO_COLON = ("this line has no colon", 'a key is followed by ": ", as in voice: …')
_LIST = ("a list cannot begin in the line of its key", f"{_QUOTES}, or begin the list in the next line")
_AFTER_BLOCK = ("after | or > nothing else stands in the line", "begin the text in the next line, indented")
_NO_VALUE = ("a value is missing here, or begins with a special character", _QUOTES)
_ESCAPE = (
    "a backslash inside double quotes begins a special character",
    "use single quotes around the text, or write \\\\",
)

_Row = tuple[str, Callable[[_Spot], tuple[int, int]], _Words | Callable[[_Spot], _Words]]

#: What PyYAML says, where to look, what to say. The first whose left side is found in the parser's words is taken.
_IN_WORDS: tuple[_Row, ...] = (
    ("'\\t'", _here, ("a tab stands here; YAML is indented with spaces", "replace the tab by spaces")),
    ("mapping values are not allowed", _colon, _second_colon),
    ("could not find expected ':'", _beginning, _no_colon),
    ("sequence entries are not allowed", _here, _LIST),
    ("mapping keys are not allowed", _here, ("? means something special to YAML", _QUOTES)),
    ("expected <block end>", _here, _left_over),
    ("expected key", _here, _left_over),  # In libyaml's words, here and in the next one.
    ("expected '-' indicator", _here, _left_over),
    ("unexpected end of stream", _beginning, _UNCLOSED),
    ("unexpected document separator", _beginning, _UNCLOSED),
    ("while scanning an alias", _beginning, ("* means something special to YAML", f'{_QUOTES}, as in "*"')),
    ("while scanning an anchor", _beginning, ("& means something special to YAML", _QUOTES)),
    ("unknown escape character", _here, _ESCAPE),
    ("expected escape sequence", _here, _ESCAPE),
    ("while scanning a block scalar", _here, _AFTER_BLOCK),
    ("expected ',' or '}'", _bracket, _in_brackets),
    ("expected ',' or ']'", _bracket, _in_brackets),
    ("cannot start any token", _here, _special),
    ("expected the node content", _here, _NO_VALUE),
    ("while scanning a directive", _beginning, ("a line cannot begin with %", _QUOTES)),
    ("incompatible YAML document", _here, ("this version of YAML is not known", "remove the line")),
    ("YAML directive", _here, ("a line cannot begin with %", "remove it")),
    ("<document start>", _here, ("nothing can stand here", "remove the line above that begins with ... or %")),
    ("tag", _beginning, ("a word that begins with ! means something special to YAML", _QUOTES)),
)
