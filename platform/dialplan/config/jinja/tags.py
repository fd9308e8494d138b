"""Where the tags of a template stand, and the words in them. Jinja itself knows the line only."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import jinja2

from dialplan.config.jinja.templates import ENVIRONMENT


@dataclass(frozen=True, slots=True)
class Word:
    """A name, number, text or sign inside a tag."""

    kind: str
    text: str
    start: int
    line: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)


@dataclass(slots=True)
class Tag:
    """`{{ … }}`, `{% … %}` or `{# … #}`."""

    opening: str
    start: int
    line: int
    end: int = 0
    closed: bool = False
    words: list[Word] = field(default_factory=list)

    @property
    def closing(self) -> str:
        """What ends it."""
        return _CLOSING[self.opening]

    @property
    def name(self) -> str:
        """The first word: `if`, `endif`, …"""
        return self.words[0].text if self.words else ""


#: Whether the word at an index of a tag's words is the one that is looked for.
IsIt = Callable[[Sequence[Word], int], bool]


class Tagged:
    """A template's text with its tags. Offsets are those of `source`, which ends its lines as Jinja does."""

    def __init__(self, written: str) -> None:
        self.written = written
        self.source = re.sub(r"\r\n|\r", "\n", written)
        self.tags = _tags(self.source)
        self._found: set[int] = set()

    def find(self, line: int, is_it: IsIt) -> Word | None:
        """The next word that fits, of a line where it has one; each is found once."""
        fitting = (
            word
            for tag in self.tags
            for index, word in enumerate(tag.words)
            if word.start not in self._found and is_it(tag.words, index)
        )
        elsewhere: Word | None = None
        for word in fitting:
            if word.line == line:
                self._found.add(word.start)
                return word
            elsewhere = elsewhere or word
        return elsewhere

    def tag_in(self, line: int) -> Tag:
        """The first tag that begins in a line, else the last one before it."""
        before = [tag for tag in self.tags if tag.line < line]
        return next((tag for tag in self.tags if tag.line == line), before[-1] if before else self._nowhere())

    def last_line(self, tag: Tag) -> int:
        """The line in which a tag ends."""
        return tag.line + self.source.count("\n", tag.start, tag.end)

    def first(self) -> Tag:
        """The first tag."""
        return self.tags[0] if self.tags else self._nowhere()

    def in_written(self, offset: int) -> int:
        """An offset of `source` in the text as it was written, where a line may end with two characters."""
        for match in re.finditer("\r\n", self.written):
            if match.start() >= offset:
                break
            offset += 1
        return offset

    def _nowhere(self) -> Tag:
        return Tag("{{", 0, 1, end=len(self.source))


_CLOSING = {"{{": "}}", "{%": "%}", "{#": "#}"}
_BEGIN = {"variable_begin": "{{", "block_begin": "{%", "comment_begin": "{#", "raw_begin": "{%"}
_END = ("variable_end", "block_end", "comment_end")


def _tags(source: str) -> list[Tag]:
    tags: list[Tag] = []
    position = 0
    for line, kind, text in _pieces(source):
        # Spaces that a `-` in a tag swallows are missing in the pieces.
        start = source.find(text, position) if text.strip() else position
        position = start + len(text) if start >= 0 else position
        if kind in _BEGIN:
            tags.append(Tag(_BEGIN[kind], start, line))
        if kind == "raw_begin":
            tags[-1].words.append(Word("name", "raw", start, line))
        if kind in (*_END, "raw_begin"):
            tags[-1].end, tags[-1].closed = start + len(text.rstrip()), True
        elif kind not in (*_BEGIN, "data", "whitespace", "comment", "raw_end"):
            tags[-1].words.append(Word(kind, text, start, line))
    if tags and not tags[-1].closed:
        _end_of_broken(source, tags[-1])
    return tags


def _pieces(source: str) -> Iterator[tuple[int, str, str]]:
    """What Jinja's lexer makes of the text, as far as it gets."""
    try:
        yield from ENVIRONMENT.lexer.tokeniter(source, None)
    except jinja2.TemplateSyntaxError:
        return


def _end_of_broken(source: str, tag: Tag) -> None:
    """The lexer gave up inside this tag; its end is looked for in the text."""
    line = source[tag.start :].partition("\n")[0]
    end, another = source.find(tag.closing, tag.start), source.find(tag.opening, tag.start + 2)
    tag.closed = end >= 0 and not 0 <= another < end
    if tag.closed:
        tag.end = end + 2
    else:
        tag.end = tag.start + (line.find("}") + 1 or len(line))
