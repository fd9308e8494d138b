"""Why a text is no YAML, in words for somebody who does not know YAML."""

import yaml

from dialplan.config.problems import Place, Problem

_QUOTE = "put quotes around the text"

#: What PyYAML says → what a person can act on. The first whose left side is found in the parser's words is taken.
_IN_WORDS = (
    ("'\\t'", "a tab stands here; YAML is indented with spaces", "replace the tab by spaces"),
    (
        "mapping values are not allowed",
        "a second colon in one line, or a line indented too far",
        'text with ": " in it needs quotes around it',
    ),
    (
        "could not find expected ':'",
        "this line is no key and no text that goes on",
        'a key is followed by a colon and a space: "voice: …"',
    ),
    (
        "expected <block end>",
        "this line does not fit the indentation of the lines above",
        "lines of one level begin in one column",
    ),
    ("unexpected end of stream", "a quote is opened and never closed", "add the closing quote"),
    ("while scanning an alias", "* means something special to YAML", 'put quotes around it: "*"'),
    ("while scanning an anchor", "& means something special to YAML", _QUOTE),
    (
        "unknown escape character",
        "a backslash inside double quotes begins a special character",
        "use single quotes, or write \\\\",
    ),
    (
        "expected ',' or '}'",
        "a { is opened here and not closed",
        'put quotes around a text with { or } in it, such as "${NAME}" or "{{ name }}"',
    ),
    ("expected ',' or ']'", "a [ is opened and not closed before this", "add the closing ]"),
    ("cannot start any token", "a text cannot begin with this character", _QUOTE),
    (
        "expected the node content",
        "a value is missing, or begins with a character that means something to YAML",
        _QUOTE,
    ),
)


def syntax_problem(file: str, text: str) -> Problem:
    """The first thing that keeps the text from being YAML, with its place."""
    try:
        # The pure Python parser words its errors better than libyaml, and the same on every machine.
        for _ in yaml.parse(text, Loader=yaml.SafeLoader):
            pass
    except yaml.MarkedYAMLError as exc:
        return _marked_problem(file, exc)
    except yaml.reader.ReaderError as exc:
        return _character_problem(file, text, exc)
    return Problem("E002", Place(file), "the YAML cannot be understood")


def _marked_problem(file: str, exc: yaml.MarkedYAMLError) -> Problem:
    mark = exc.problem_mark or exc.context_mark
    # Where something is never closed, its beginning is the place to look at, not the end of the file.
    if "end of stream" in str(exc.problem) and exc.context_mark is not None:
        mark = exc.context_mark
    if mark is None:
        return Problem("E002", Place(file), f"the YAML cannot be understood: {exc.problem}")
    place = Place(file, mark.line + 1, mark.column + 1, mark.line + 1, mark.column + 2)
    said = f"{exc.context} {exc.problem}"
    for words, message, help_text in _IN_WORDS:
        if words in said:
            return Problem("E002", place, message, help_text)
    return Problem("E002", place, f"the YAML cannot be understood: {exc.problem}")


def _character_problem(file: str, text: str, exc: yaml.reader.ReaderError) -> Problem:
    before = text[: exc.position]
    line, column = before.count("\n") + 1, exc.position - before.rfind("\n")
    place = Place(file, line, column, line, column + 1)
    return Problem("E002", place, f"the character U+{int(exc.character):04X} cannot stand in YAML", "remove it")
