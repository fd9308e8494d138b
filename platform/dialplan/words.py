"""How commands put things before people: counts, columns, paths, and nothing that would move the cursor. And how
people put things before commands, where they list several.
"""

import re
from collections.abc import Sequence
from pathlib import Path


def counted(number: int, word: str) -> str:
    """`1 agent`, `2 agents`, `2 entries`."""
    plural = word[:-1] + "ies" if word.endswith("y") else word + "s"
    return f"{number} {word if number == 1 else plural}"


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """A line for each row, the cells of all below each other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def printable(text: str, instead: str) -> str:
    """The text with another character for each that a terminal would take for a command, or not show."""
    return "".join(character if character.isprintable() else instead for character in text)


def from_here(path: Path) -> Path:
    """A path as somebody in this folder would type it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def listed(text: str) -> list[str]:
    """What a variable lists: its parts stand behind each other, with commas or spaces between."""
    return [part for part in re.split(r"[,\s]+", text) if part]
