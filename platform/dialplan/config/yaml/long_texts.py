"""A text of several lines as somebody meant it, where YAML sees none: its lines are not indented, or the | is missing.

Looks at lines only; what the keys mean is not known here.
"""

import re
from dataclasses import dataclass

_KEY = re.compile(r" *(?:- +)*([\w-]+):(?:\s+(.*?))?\s*$")
_BAR = re.compile(r"[|>][-+0-9]*(\s+#.*)?$")


@dataclass(frozen=True, slots=True)
class LongText:
    """The text that ended above a line."""

    key: str
    line: int
    """Of the key, from 1."""
    indented: int
    """With how many spaces its lines begin, or should."""
    has_bar: bool

    def words(self) -> tuple[str, str]:
        """What to say of a line that belongs to it: a message and its help."""
        if self.has_bar:
            message = f"a line of the text of {self.key}: (line {self.line}) must be indented"
            return message, f"begin it with {self.indented} spaces, as every line of that text"
        message = f"{self.key}: (line {self.line}) is a text of several lines, which begins with |"
        return message, f"write {self.key}: | and the text in the lines below, each indented by {self.indented} spaces"


def text_above(lines: list[str], at: int) -> LongText | None:
    """The text to which a line may belong that fits nothing where it stands; None where there is none.

    Args:
        lines: of the file.
        at: which of them, from 0.
    """
    between: list[str] = []
    for index in range(at - 1, -1, -1):
        line = lines[index]
        if not line.strip() or line.startswith("#"):
            continue
        key = _KEY.match(line)
        if key and _BAR.match(key[2] or "") and all(_indent(one) > _indent(line) for one in between):
            return _below(lines, index, key[1], has_bar=True)
        if _indent(line) == 0:
            is_text = key and _is_text(key[2] or "", between)
            return _below(lines, index, key[1], has_bar=False) if key and is_text else None
        between.append(line)
    return None


def sounds_like_text(line: str) -> bool:
    """Whether a line is rather a sentence than a key and its value."""
    return len(line.split()) > 2 or bool(re.search(r"\w[.!?,;]$", line.rstrip()))


def _is_text(value: str, between: list[str]) -> bool:
    """Whether a key without a bar has a text: of some words, or in the lines below."""
    if value:
        return sounds_like_text(value) and value[0].isalpha()
    return all(line.lstrip()[0].isalpha() and not _KEY.match(line) for line in between)


def _below(lines: list[str], index: int, key: str, *, has_bar: bool) -> LongText:
    own = _indent(lines[index])
    first = next((line for line in lines[index + 1 :] if line.strip()), "")
    return LongText(key, index + 1, _indent(first) if _indent(first) > own else own + 2, has_bar)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))
