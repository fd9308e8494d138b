"""What is wrong in a template, with its place in the text, in words for somebody who does not know Jinja."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import jinja2
from jinja2 import meta, nodes
from jinja2.exceptions import SecurityError

from dialplan.config.jinja.tags import IsIt, Tag, Tagged
from dialplan.config.jinja.templates import ENVIRONMENT, Params, Template
from dialplan.config.problems import did_you_mean
from dialplan.errors import ConfigError
from dialplan.facts import FACT_NAMES, Call


@dataclass(frozen=True, slots=True)
class TemplateMistake:
    """What is wrong in a template and where in its text; `offset` and `length` in characters."""

    code: str
    offset: int
    length: int
    message: str
    help: str = ""


_Words = tuple[str, str]
"""A message and its help."""


#: Mistakes of one text that are told at once.
_MOST = 100


def mistakes(written: str, names: Collection[str] | None) -> Sequence[TemplateMistake]:
    """Everything wrong with a template.

    Args:
        written: its text.
        names: what it may use beside `call` and `now`; None where that is not known.
    """
    return _all_mistakes(written, None if names is None else frozenset(names))


@lru_cache(maxsize=1024)
def _all_mistakes(written: str, names: frozenset[str] | None) -> Sequence[TemplateMistake]:
    text = Tagged(written)
    try:
        return _mistakes(text, names)
    except jinja2.TemplateSyntaxError as exc:
        tag = _culprit(text, exc)
        return [_at_tag(text, tag, "E201", _syntax_words(str(exc.message), tag))]
    except (RecursionError, MemoryError, SyntaxError):  # The last two come from Python, which Jinja compiles to.
        return [_at_tag(text, text.first(), "E201", ("the tags are nested too deeply", "make it simpler"))]
    except ValueError:
        return [_at_tag(text, text.first(), "E201", ("a number is too long", "put quotes around it"))]


def filling_mistakes(written: str, variables: Mapping[str, object]) -> list[TemplateMistake]:
    """What keeps a template, which has no other mistake, from being filled in, whoever calls."""
    reasons: list[BaseException] = []
    for names in (_RICH, _BARE):
        try:
            Template(written).render({**variables, **names})
        except ConfigError as exc:
            reasons.append(exc.__cause__ or exc)
        else:
            return []
    return [_filling_mistake(Tagged(written), reasons[0])]


def single_braces(written: str, names: Collection[str]) -> list[TemplateMistake]:
    """Variables in single braces, as other systems have them: nothing fills them in, and they are read out."""
    found = []
    for match in _SINGLE_BRACES.finditer(written) if "{" in written else ():
        if match[1] in names or match[1] in _FACTS:
            words = (f"{match[0]} is not filled in, and is read out as it stands", f"write {{{{ {match[1]} }}}}")
            found.append(TemplateMistake("W203", match.start(), len(match[0]), *words))
    return found[:_MOST]


_FACTS = frozenset(f"call.{name}" for name in FACT_NAMES)
_SINGLE_BRACES = re.compile(r"(?<![{\\$])\{ ?([A-Za-z_][A-Za-z0-9_.]*) ?\}(?!\})")


class _Anything(Params):
    def __missing__(self, name: str) -> str:
        return "1"


def _example(text: str, params: Params) -> dict[str, object]:
    facts: dict[str, Any] = {fact.name: text for fact in fields(Call) if fact.type is str}
    call = Call(**facts, params=params, started=_NOW)
    return {"call": call.for_templates(), "now": _NOW}


_NOW = datetime(2026, 11, 25, 10, 10, tzinfo=UTC)
#: What a template may be given: a call with all its facts, and one with none.
_RICH = _example("+15550100000", _Anything())
_BARE = _example("", Params())


def _mistakes(text: Tagged, names: frozenset[str] | None) -> list[TemplateMistake]:
    tree = ENVIRONMENT.parse(text.source)
    known = {*(names or ()), "call", "now", *ENVIRONMENT.globals}
    # Filters first: the search for names stops at an unknown one, so it is replaced.
    found = [*_other_files(text, tree), *_unknown_filters(text, tree)]
    if names is not None:
        found += [_unknown_name(text, node, known) for node in _undeclared(tree, known)[:_MOST]]
    found += [_unknown_fact(text, node) for node in [n for n in _accesses(tree) if _is_unknown_fact(n)][:_MOST]]
    if not found:
        ENVIRONMENT.from_string(text.source)
    return sorted(found, key=lambda mistake: mistake.offset)


def _at_tag(text: Tagged, tag: Tag, code: str, words: _Words) -> TemplateMistake:
    start, end = text.in_written(tag.start), text.in_written(tag.end)
    return TemplateMistake(code, start, max(1, end - start), *words)


def _at_word(text: Tagged, line: int, is_it: IsIt, code: str, words: _Words) -> TemplateMistake:
    """The mistake at a word of a tag; at the line's tag where it cannot be found."""
    word = text.find(line, is_it)
    if word is None:
        return _at_tag(text, text.tag_in(line), code, words)
    quote = word.kind == "string"
    start, end = text.in_written(word.start + quote), text.in_written(word.end - quote)
    return TemplateMistake(code, start, max(1, end - start), *words)


def _undeclared(tree: nodes.Template, known: set[str]) -> list[nodes.Name]:
    """Every use of a name that nothing defines."""
    unknown = meta.find_undeclared_variables(tree) - known
    if not unknown:
        return []
    uses = [node for node in tree.find_all(nodes.Name) if node.ctx == "load" and node.name in unknown]
    free = [node for node in _free(tree, frozenset()) if node.ctx == "load" and node.name in unknown]
    found = {node.name for node in free}
    return free + [node for node in uses if node.name not in found]


def _free(node: nodes.Node, bound: frozenset[str]) -> Iterator[nodes.Name]:
    """Names that are no variable of a loop around them."""
    if isinstance(node, nodes.Name) and node.name not in bound:
        yield node
    if isinstance(node, nodes.For):
        bound |= {target.name for target in [node.target, *node.target.find_all(nodes.Name)] if hasattr(target, "name")}
    for child in node.iter_child_nodes():
        yield from _free(child, bound)


def _unknown_name(text: Tagged, node: nodes.Name, known: set[str]) -> TemplateMistake:
    help_text = _meant_name(node.name, known) or "put it under variables:, or correct the name"
    words = (f'there is no name "{node.name}"', help_text)

    def is_it(tag: Any, index: int) -> bool:
        before, after = _sign(tag, index - 1), _sign(tag, index + 1)
        return _sign(tag, index) == node.name and before not in (".", "|") and after != "="

    return _at_word(text, node.lineno, is_it, "E202", words)


def _meant_name(name: str, known: set[str]) -> str:
    """A variable of nearly this name, or a fact of the call without its `call.`."""
    fact = _ALSO_CALLED.get(name.lower(), name)
    if fact in FACT_NAMES:
        return f"write call.{fact}"
    if name == "variables":
        return "write the variable's name alone"
    if name in ("today", "date", "time", "datetime"):
        return "write now, as in now.strftime('%A, %d %B')"
    near = did_you_mean(name, known)
    return near or did_you_mean(name, FACT_NAMES).replace('"', '"call.', 1)


#: What people call the facts of a call.
_ALSO_CALLED = dict.fromkeys(("caller", "phone", "phone_number", "caller_number", "caller_id", "from_"), "from")


def _sign(words: Any, index: int) -> str:
    return words[index].text if 0 <= index < len(words) else ""


def _accesses(tree: nodes.Template) -> Iterator[nodes.Getattr | nodes.Getitem]:
    yield from tree.find_all(nodes.Getattr)
    yield from tree.find_all(nodes.Getitem)


def _is_unknown_fact(node: nodes.Getattr | nodes.Getitem) -> bool:
    of_call = isinstance(node.node, nodes.Name) and node.node.name == "call"
    return of_call and isinstance(_attribute(node), str) and _attribute(node) not in FACT_NAMES


def _attribute(node: nodes.Getattr | nodes.Getitem) -> Any:
    if isinstance(node, nodes.Getattr):
        return node.attr
    return node.arg.value if isinstance(node.arg, nodes.Const) else None


def _unknown_fact(text: Tagged, node: nodes.Getattr | nodes.Getitem) -> TemplateMistake:
    fact = _attribute(node)
    help_text = did_you_mean(fact, FACT_NAMES) or f"a call has: {', '.join(FACT_NAMES)}"

    def is_it(tag: Any, index: int) -> bool:
        follows = (_sign(tag, index - 2), _sign(tag, index - 1)) in (("call", "."), ("call", "["))
        return follows and _sign(tag, index).strip("'\"") == fact

    return _at_word(text, node.lineno, is_it, "E203", (f'a call has no "{fact}"', help_text))


def _unknown_filters(text: Tagged, tree: nodes.Template) -> Iterator[TemplateMistake]:
    for kind, what, known, before in (
        (nodes.Filter, "filter", ENVIRONMENT.filters, ("|", "filter")),
        (nodes.Test, "test", ENVIRONMENT.tests, ("is", "not")),
    ):
        for node in tree.find_all(kind):
            if node.name not in known:
                words = (f'there is no {what} "{node.name}"', did_you_mean(node.name, known))
                yield _at_word(text, node.lineno, _named(node.name, before), "E202", words)
                node.name = next(iter(known))


def _named(name: str, before: Collection[str]) -> IsIt:
    # A filter's name may have dots in it, which are words of their own.
    return lambda tag, index: _sign(tag, index) == name.partition(".")[0] and _sign(tag, index - 1) in before


def _other_files(text: Tagged, tree: nodes.Template) -> Iterator[TemplateMistake]:
    for node in tree.find_all((nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)):
        words = ("a template cannot use another file", "to read the whole text from a file, write {file: …}")
        yield _at_tag(text, text.tag_in(node.lineno), "E201", words)


def _culprit(text: Tagged, exc: jinja2.TemplateSyntaxError) -> Tag:
    """The tag that Jinja could not understand."""
    said = str(exc.message)
    named, got = re.search(r"unknown tag '(\w+)'", said), re.search(r"got '(\w+)'", said)
    in_line = [tag for tag in text.tags if tag.line <= exc.lineno <= text.last_line(tag)]
    if named:
        # Of several ends the last is the one too many.
        suspects = [tag for tag in in_line if tag.name == named[1]][:: -1 if named[1] in _TAGS else 1]
    else:
        suspects = [tag for tag in text.tags if not tag.closed] or _never_ended(text, said)
    suspects = suspects or [tag for tag in in_line if _is_wrong(text.source[tag.start : tag.end])]
    if got:
        suspects = suspects or [tag for tag in in_line if got[1] in [word.text for word in tag.words[1:]]]
    return next(iter(suspects or in_line), text.tag_in(exc.lineno))


def _is_wrong(tag: str) -> bool:
    """Whether a tag cannot be understood by itself, leaving aside that its beginning or end is missing."""
    try:
        ENVIRONMENT.parse(tag)
    except jinja2.TemplateSyntaxError as exc:
        return not re.match("Unexpected end of template|Encountered unknown tag", str(exc.message))
    return False


def _never_ended(text: Tagged, message: str) -> list[Tag]:
    """The innermost tag that wants an `{% end… %}` and has none."""
    opened: list[Tag] = []
    wanted = re.search(r"Unexpected end of template.*'(\w+)'\.?$|Missing end of (raw)", message)
    if not wanted:
        return []
    for tag in text.tags:
        if tag.name == (wanted[1] or wanted[2]) and (tag.name != "set" or "=" not in [word.text for word in tag.words]):
            opened.append(tag)
        elif tag.name == f"end{wanted[1] or wanted[2]}" and opened:
            opened.pop()
    return opened[-1:]


_TAGS = ("if", "elif", "else", "endif", "for", "endfor", "set", "endset", "raw", "endraw", "with", "endwith", "macro")


def _syntax_words(said: str, tag: Tag) -> _Words:
    if not tag.closed:
        return f"{tag.opening} is opened here and never closed", f"close it with {tag.closing}"
    for pattern, words in _IN_WORDS:
        match = re.search(pattern, said)
        if match:
            return words(match, tag)
    return "this tag cannot be understood", ""


def _never_ended_words(match: re.Match[str], tag: Tag) -> _Words:
    return f"{{% {match[1]} %}} is never ended", f"add {{% end{match[1]} %}} where it ends"


def _mismatch(match: re.Match[str], tag: Tag) -> _Words:
    name, block = match[1], match[2]
    if name in _TAGS:
        return f"{{% {name} %}} stands here, and {{% end{block} %}} is expected", f"end the {{% {block} %}} first"
    return _no_such_tag(match, tag)


def _no_such_tag(match: re.Match[str], tag: Tag) -> _Words:
    name = match[1]
    if name in _TAGS:
        return f"{{% {name} %}} stands here, and nothing before it that it belongs to", "remove it"
    return f'there is no tag "{name}"', did_you_mean(name, _TAGS)


def _one_too_many(match: re.Match[str], tag: Tag) -> _Words:
    if match[1] == "=":
        return "= does not compare", "write =="
    if tag.name == "else" and match[1] == "if":
        return "{% else %} takes no condition", "write {% elif … %}"
    return f'"{match[1]}" cannot stand here', "a name is one word, as in first_name"


def _something_missing(match: re.Match[str], tag: Tag) -> _Words:
    return ("nothing stands in this tag" if not tag.words else "something is missing in this tag"), ""


def _character(match: re.Match[str], tag: Tag) -> _Words:
    character = match[1] or match[2]
    if character in "\"'":
        return "a quote is opened in this tag and not closed", "add the closing quote"
    help_text = "write straight quotes" if character in "“”„‘’«»" else ""
    return f"{character} cannot stand in a tag", help_text


#: What Jinja says → our words. The first pattern that is found is taken.
_IN_WORDS: tuple[tuple[str, Callable[[re.Match[str], Tag], _Words]], ...] = (
    (r"Unexpected end of template.*'(\w+)'\.?$", _never_ended_words),
    (r"Missing end of (raw)", _never_ended_words),
    (r"unknown tag '(\w+)'.*that needs to be closed is '(\w+)'", _mismatch),
    (r"unknown tag '(\w+)'", _no_such_tag),
    (r"expected token 'end of .*', got '(.+)'", _one_too_many),
    (r"Expected an expression, got", _something_missing),
    (r"tag name expected", _something_missing),
    (r"expected name or number", lambda match, tag: ("after the dot a name is missing", "")),
    (r"expected token 'name', got", lambda match, tag: ("a name is missing in this tag", "")),
    (r"expected token '(.+)', got 'end of", lambda match, tag: (f'"{match[1]}" is missing in this tag', "")),
    (r"expected token '(.+)', got '(.+)'", lambda match, tag: (f'"{match[2]}" stands where "{match[1]}" belongs', "")),
    (r"unexpected char (?:'(.+)'|\"(')\")", _character),
    (r"unexpected '(.)', expected '(.)'", lambda match, tag: (f"a {match[2]} is missing before {match[1]}", "")),
    (r"unexpected '(.)'", lambda match, tag: (f"one {match[1]} too many", "")),
)


def _filling_mistake(text: Tagged, cause: BaseException) -> TemplateMistake:
    line = _line_of(cause)
    missing = re.search(r"has no attribute '(\w+)'|has no element '?(\w+)'?", str(cause))
    if isinstance(cause, jinja2.UndefinedError) and missing:
        name = missing[1] or missing[2]
        words = (f'there is no "{name}" in it', "correct the name")
        return _at_word(text, line, _accessed(name), "E202", words)
    return _at_tag(text, text.tag_in(line), "E206", _filling_words(cause))


def _accessed(name: str) -> IsIt:
    return lambda tag, index: _sign(tag, index).strip("'\"") == name and _sign(tag, index - 1) in (".", "[")


def _line_of(cause: BaseException) -> int:
    """The template's line that raised; Jinja puts it into the traceback."""
    line, trace = 1, cause.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<template>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def _filling_words(cause: BaseException) -> _Words:
    match cause:
        case SecurityError():
            return "this is not allowed in a template", ""
        case ZeroDivisionError():
            return "this divides by zero", ""
        case OverflowError() | MemoryError():
            return "the result would be too large", ""
        case TypeError() if "is a function" in str(cause):
            return "this is a function: () is missing behind it", "as in call.started.strftime(…)"
        case jinja2.UndefinedError():
            return "this uses something that is not there", ""
    return (
        "this cannot be filled in: the values are of the wrong kind for it",
        "text and numbers do not add up; see | int",
    )
