"""Jinja templates of agent files: sandboxed, strict, every name checked when the file is loaded.

Values are data: a template is rendered once, so a caller whose name is `{{ secrets }}` stays text.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import quote

import jinja2
from jinja2 import meta, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from dialplan.config.problems import did_you_mean
from dialplan.errors import ConfigError
from dialplan.facts import FACT_NAMES


class Params(dict[str, str]):
    """Custom parameters of a stream, in a template: one that was not sent is an empty text, so `{% if %}` works."""

    def __missing__(self, name: str) -> str:
        return ""


@dataclass(frozen=True, slots=True)
class Template:
    """A text with `{{ }}` in it. Its names were checked when it was loaded."""

    source: str
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Further names, which only templates for the wire (`http`) have."""

    def render(self, names: Mapping[str, object]) -> str:
        """The text for one call.

        Raises:
            ConfigError: a value is not what the template takes it for.
        """
        try:
            return _compiled(self.source).render(names, **self.secrets)
        except Exception as exc:  # noqa: BLE001 -- what an author's template does to a value can raise anything
            raise ConfigError(f"a template cannot be rendered: {exc}") from exc

    def render_url(self, names: Mapping[str, object]) -> str:
        """The text as part of a URL: every value quoted, so that it can neither add a path nor a parameter."""
        return _quoting(self.source).render(names, **self.secrets)

    def render_value(self, names: Mapping[str, object]) -> object:
        """As `render`; but where the template is one expression as a whole, its value with its own type."""
        whole = _WHOLE.fullmatch(self.source)
        if whole is None:
            return self.render(names)
        return _ENVIRONMENT.compile_expression(whole[1], undefined_to_none=False)(names, **self.secrets)


@dataclass(frozen=True, slots=True)
class TemplateMistake:
    """What is wrong in a template and where in its text; `offset` and `length` in characters."""

    code: str
    offset: int
    length: int
    message: str
    help: str = ""


def mistakes(source: str, names: Iterable[str]) -> list[TemplateMistake]:
    """Everything wrong with a template that may use `names`, `call` and `now`."""
    try:
        tree = _ENVIRONMENT.parse(source)
    except jinja2.TemplateSyntaxError as exc:
        return [_syntax_mistake(source, exc)]
    known = {*names, "call", "now", *_ENVIRONMENT.globals}
    found = [*_other_files(source, tree), *_unknown_filters(source, tree)]
    found += [_unknown_name(source, node, known) for node in _undeclared(tree, known)]
    found += [_unknown_fact(source, node) for node in _accesses(tree) if _is_unknown_fact(node)]
    return sorted(found, key=lambda mistake: mistake.offset)


def is_template(text: str) -> bool:
    """Whether a text has anything that Jinja would act on."""
    return "{{" in text or "{%" in text or "{#" in text


_WHOLE = re.compile(r"\s*\{\{((?:(?!\}\}).)*)\}\}\s*", re.DOTALL)
_ENVIRONMENT = ImmutableSandboxedEnvironment(undefined=jinja2.StrictUndefined)
# What Jinja brings along for web pages and cannot help in a prompt.
for _name in ("lipsum", "cycler", "joiner", "namespace"):
    _ENVIRONMENT.globals.pop(_name)
_QUOTING = _ENVIRONMENT.overlay(finalize=lambda value: quote(str(value), safe=""))


@lru_cache(maxsize=4096)
def _compiled(source: str) -> jinja2.Template:
    return _ENVIRONMENT.from_string(source)


@lru_cache(maxsize=4096)
def _quoting(source: str) -> jinja2.Template:
    return _QUOTING.from_string(source)


def _undeclared(tree: nodes.Template, known: set[str]) -> list[nodes.Name]:
    unknown = meta.find_undeclared_variables(tree) - known
    return [node for node in tree.find_all(nodes.Name) if node.ctx == "load" and node.name in unknown]


def _unknown_name(source: str, node: nodes.Name, known: set[str]) -> TemplateMistake:
    offset = _offset(source, node.lineno, node.name)
    suggestion = did_you_mean(node.name, known) or "put it under variables:, or correct the name"
    return TemplateMistake("E202", offset, len(node.name), f'there is no name "{node.name}"', suggestion)


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


def _unknown_fact(source: str, node: nodes.Getattr | nodes.Getitem) -> TemplateMistake:
    fact = _attribute(node)
    suggestion = did_you_mean(fact, FACT_NAMES) or f"a call has: {', '.join(FACT_NAMES)}"
    return TemplateMistake("E203", _offset(source, node.lineno, fact), len(fact), f'a call has no "{fact}"', suggestion)


def _unknown_filters(source: str, tree: nodes.Template) -> Iterator[TemplateMistake]:
    for kind, what, known in (
        (nodes.Filter, "filter", _ENVIRONMENT.filters),
        (nodes.Test, "test", _ENVIRONMENT.tests),
    ):
        for node in tree.find_all(kind):
            if node.name not in known:
                offset = _offset(source, node.lineno, node.name)
                suggestion = did_you_mean(node.name, known)
                yield TemplateMistake("E202", offset, len(node.name), f'there is no {what} "{node.name}"', suggestion)
                # So that the search for unknown names, which stops at an unknown filter, finds the other mistakes.
                node.name = next(iter(known))


def _other_files(source: str, tree: nodes.Template) -> Iterator[TemplateMistake]:
    for node in tree.find_all((nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)):
        start, end = _line_span(source, node.lineno)
        yield TemplateMistake(
            "E201", start, end - start, "a template cannot use another file", "write {file: …} instead"
        )


def _syntax_mistake(source: str, exc: jinja2.TemplateSyntaxError) -> TemplateMistake:
    """Jinja knows the line only; of that, the first tag is the place to look at."""
    start, end = _line_span(source, exc.lineno)
    tag = re.compile(r"\{[{%#]").search(source, start, end)
    offset = tag.start() if tag else start
    message = f"the template cannot be understood: {exc.message or 'a tag is wrong'}".rstrip(".")
    return TemplateMistake("E201", offset, max(1, len(source[offset:end].rstrip())), message)


def _offset(source: str, line: int, word: str) -> int:
    """Where a word stands, as a word of its own and inside a tag, in a line of the source or just after it."""
    start, _ = _line_span(source, line)
    match = re.compile(rf"(?<![A-Za-z0-9_]){re.escape(word)}(?![A-Za-z0-9_])").search(source, _tag_start(source, start))
    return match.start() if match else start


def _tag_start(source: str, line_start: int) -> int:
    """The line's first tag; the line's own beginning where a tag from above goes on in it."""
    opened, closed = source.rfind("{", 0, line_start), source.rfind("}", 0, line_start)
    if opened > closed:
        return line_start
    tag = re.compile(r"\{[{%]").search(source, line_start)
    return tag.start() if tag else line_start


def _line_span(source: str, line: int) -> tuple[int, int]:
    start = 0
    for _ in range(line - 1):
        start = source.find("\n", start) + 1
    end = source.find("\n", start)
    return start, len(source) if end < 0 else end
