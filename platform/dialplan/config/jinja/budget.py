"""What filling in a template may cost: a loop too many in a file must not hold up who is on the line.

It keeps mistakes from hurting others, and is no wall against an author who means harm: plugins can do more.
"""

import functools
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from math import prod
from typing import Any

from jinja2 import nodes, pass_context
from jinja2.runtime import Context
from jinja2.utils import _PassArg
from jinja2.visitor import NodeTransformer

#: What one text may cost: each turn of a loop and each function is a step, and so are fifty characters.
MOST_STEPS = 50_000
CHARACTERS = 50

#: Characters, or entries, of anything that comes out of a function, and of what goes in, one by the other.
MOST_SIZE = 1_000_000
MOST_PRODUCT = 100 * MOST_SIZE

#: How wide a text may be made, and how often it may be repeated.
MOST_WIDTH = 10_000

#: Functions and filters whose numbers are widths or repeats.
_WIDENING = frozenset({"center", "ljust", "rjust", "zfill", "expandtabs", "indent", "batch", "slice", "wordwrap"})

#: A width in a format that is as large, or that is taken from elsewhere.
_WIDE_FORMAT = re.compile(r"[0-9]{5,}|%[^a-zA-Z%]*\*|\{[^{}]*\{")

#: Names of filters that no template can write.
_COUNTED, _JOINED = "counted loop", "joined texts"


class Spending(Context):
    """What is known while one text is filled in, and what that has cost."""

    steps = 0

    def spend(self, steps: int) -> None:
        """Raises OverflowError: it costs too much."""
        self.steps += steps
        if self.steps > MOST_STEPS:
            raise OverflowError("the text would be too long, or take too long to fill in")

    def paid(self, value: Any) -> Any:
        """Something that was made; it is small enough."""
        size = _size(value)
        if size > MOST_SIZE:
            raise _too_large()
        self.spend(1 + size // CHARACTERS)
        return value

    def allow(self, name: str, given: Collection[Any]) -> None:
        """A function or filter is about to be given this."""
        wide = name in _WIDENING and any(isinstance(one, int) and one > MOST_WIDTH for one in given)
        if wide or prod(map(_size, given)) > MOST_PRODUCT or (name.startswith("format") and _is_wide(given)):
            raise _too_large()

    def allow_operation(self, operator: str, left: Any, right: Any) -> None:
        """Two values are about to be combined."""
        sizes = [one if isinstance(one, int) else _size(one) for one in (left, right)]
        repeated = operator == "*" and not all(isinstance(one, int | float) for one in (left, right))
        if (operator == "**" and max(sizes) > MOST_WIDTH) or (repeated and prod(sizes) > MOST_SIZE):
            raise _too_large()
        if operator == "%" and isinstance(left, str) and _is_wide([left]):
            raise _too_large()


def _too_large() -> OverflowError:
    return OverflowError("the result would be too large")


def _is_wide(given: Iterable[Any]) -> bool:
    return any(isinstance(one, str) and _WIDE_FORMAT.search(one) for one in given)


def _size(value: Any) -> int:
    return max(1, len(value)) if isinstance(value, str | list | tuple | dict | set | range) else 1


@pass_context
def _counted(context: Spending, values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        context.spend(1)
        yield value


@pass_context
def _joined(context: Spending, values: Iterable[Any]) -> str:
    return str(context.paid("".join(map(str, values))))


def _priced(name: str, made: Callable[..., Any]) -> Callable[..., Any]:
    """A filter, and what it costs."""
    passed = _PassArg.from_obj(made)

    @pass_context
    @functools.wraps(made)
    def price(context: Spending, *args: Any, **named: Any) -> Any:
        context.allow(name, [*args, *named.values()])
        first = {
            _PassArg.context: context,
            _PassArg.eval_context: context.eval_ctx,
            _PassArg.environment: context.environment,
        }
        return context.paid(made(*([first[passed]] if passed else ()), *args, **named))

    return price


def priced(filters: Mapping[str, Callable[..., Any]]) -> dict[str, Callable[..., Any]]:
    """Filters that count what they cost, and those that `counting` puts in."""
    return {name: _priced(name, made) for name, made in filters.items()} | {_COUNTED: _counted, _JOINED: _joined}


def counting(template: nodes.Template) -> nodes.Template:
    """The template, so that it counts its loops, and what it joins by `~`."""
    counted = _Counting().visit(template)
    counted.set_environment(template.environment)
    assert isinstance(counted, nodes.Template)
    return counted


class _Counting(NodeTransformer):
    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802 -- Jinja's name
        self.generic_visit(node)
        node.iter = _filtered(node.iter, _COUNTED)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _filtered(nodes.List(node.nodes, lineno=node.lineno), _JOINED)


def _filtered(node: nodes.Node, name: str) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)
