"""Jinja templates of agent files: sandboxed, strict, filled in once.

Values are data: a caller whose name is `{{ secrets }}` stays text. What is wrong in a template is found and worded in
template_mistakes.py.
"""

import inspect
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import quote

import jinja2
from jinja2 import nodes
from jinja2.environment import TemplateExpression
from jinja2.sandbox import ImmutableSandboxedEnvironment

from dialplan.config.jinja.budget import Spending, counting, priced
from dialplan.errors import ConfigError


class Params(dict[str, str]):
    """Custom parameters of a stream, in a template: one that was not sent is an empty text, so `{% if %}` works."""

    def __missing__(self, name: str) -> str:
        return ""


class Verbatim(str):
    """A value that goes into a URL as it is: a whole host, which quoting would break."""

    __slots__ = ()


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
        except Exception as exc:  # What an author's template does to a value can raise anything.
            raise ConfigError(f"a template cannot be rendered: {exc}") from exc

    def render_url(self, names: Mapping[str, object]) -> str:
        """The text as part of a URL: every value quoted, so that it can neither add a path nor a parameter."""
        return _quoting(self.source).render(names, **self.secrets)

    def render_value(self, names: Mapping[str, object]) -> object:
        """As `render`; but where the template is one expression as a whole, its value with its own type."""
        expression = _expression(self.source)
        if expression is None:
            return self.render(names)
        value = expression(names, **self.secrets)
        return str(value) if isinstance(value, jinja2.Undefined) else value


def is_template(text: str) -> bool:
    """Whether a text has anything that Jinja would act on."""
    return "{{" in text or "{%" in text or "{#" in text


#: What Jinja would act on, a line break that it would change, and what would be taken for a `${NAME}`. Braces right
#: before one belong to it, since those and the `{{` that is put there would be read together.
_SPECIAL = re.compile(r"\{*\r\n?|\{+[%#]|\{*\$\{(?=[A-Za-z_])|\{{2,}|\{*\n\Z")


def literal(text: str) -> str:
    """A template that renders to this text, whatever stands in it."""
    return _SPECIAL.sub(lambda special: f"{{{{ {json.dumps(special[0])} }}}}", text)


class _Sandbox(ImmutableSandboxedEnvironment):
    context_class = Spending
    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def call_binop(self, context: Spending, operator: str, left: Any, right: Any) -> Any:  # type: ignore[override]
        context.allow_operation(operator, left, right)
        return context.paid(super().call_binop(context, operator, left, right))

    def call(self, context: Spending, obj: Any, /, *args: Any, **named: Any) -> Any:  # type: ignore[override]
        text = getattr(getattr(obj, "__wrapped__", obj), "__self__", None)  # Whose method it is.
        context.allow(getattr(obj, "__name__", ""), [text, *args, *named.values()])
        return context.paid(super().call(context, obj, *args, **named))

    def _generate(self, source: nodes.Template, *args: Any, **named: Any) -> str:
        return super()._generate(counting(source), *args, **named)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """A variable's own keys come before what Python mappings can do: `{{ menu.items }}` is the menu's items."""
        if isinstance(obj, Mapping) and attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute)


@jinja2.pass_context
def _printed(context: Spending, value: object) -> object:
    """`{{ store.upper }}` without its () would be read out as `<built-in method …>`."""
    if inspect.isroutine(value):
        raise TypeError(f"{value.__name__} is a function: () is missing behind it")
    return context.paid(value)


@jinja2.pass_context
def _quoted(context: Spending, value: object) -> object:
    return context.paid(value if isinstance(value, Verbatim) else quote(str(value), ""))


ENVIRONMENT = _Sandbox(undefined=jinja2.StrictUndefined, finalize=_printed)
ENVIRONMENT.filters = priced(ENVIRONMENT.filters)
# What Jinja brings along for web pages and cannot help in a prompt.
for _name in ("lipsum", "cycler", "joiner", "namespace"):
    ENVIRONMENT.globals.pop(_name)
_QUOTING = ENVIRONMENT.overlay(finalize=_quoted)


@lru_cache(maxsize=4096)
def _compiled(source: str) -> jinja2.Template:
    return ENVIRONMENT.from_string(source)


@lru_cache(maxsize=4096)
def _quoting(source: str) -> jinja2.Template:
    return _QUOTING.from_string(source)


@lru_cache(maxsize=4096)
def _expression(source: str) -> TemplateExpression | None:
    """The template's one expression, where it has nothing else."""
    body = ENVIRONMENT.parse(source).body
    if len(body) != 1 or not isinstance(body[0], nodes.Output):
        return None
    parts = [part for part in body[0].nodes if not (isinstance(part, nodes.TemplateData) and part.data.isspace())]
    if len(parts) != 1 or isinstance(parts[0], nodes.TemplateData):
        return None
    result = nodes.Assign(nodes.Name("result", "store"), parts[0], lineno=1)
    return TemplateExpression(ENVIRONMENT.from_string(nodes.Template([result], lineno=1)), undefined_to_none=False)
