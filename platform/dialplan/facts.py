"""What is known of a call when it starts. It never changes afterwards.

Stands on the ground floor because three rooms need it: templates check names against it, plugins are given it,
and the call carries it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from types import MappingProxyType
from typing import NewType, TypeVar

#: Facts that a stream's `<Parameter>` may carry, by their name in templates.
CARRIED = ("from", "to", "direction", "caller_name", "city", "state", "country")


IdempotencyKey = NewType("IdempotencyKey", str)
"""Names one request of the model. A function that takes one gets the same again where the request is run again, since
the process was lost that ran it first; so it can tell that it has done the work already, and is `idempotent`."""

_Function = TypeVar("_Function", bound=Callable[..., object])


def idempotent(function: _Function) -> _Function:
    """Declare that a plugin's function may be run again with the same arguments, which does no more than once.

    Where a process is lost in the middle of it, the one that carries the call on runs it again.
    """
    function.__dict__["__dialplan_idempotent__"] = True
    return function


def is_idempotent(function: Callable[..., object]) -> bool:
    """Whether that was declared."""
    return getattr(function, "__dialplan_idempotent__", False) is True


@dataclass(frozen=True, slots=True)
class Call:
    """The facts of one phone call, as plugins and templates see them.

    What the network did not send is an empty string. In templates `from_` is written `from`.
    """

    id: str
    """Twilio's CallSid, or a name of our own for a stream that did not bring one."""
    from_: str = ""
    """The caller: E.164, `sip:…`, `client:…`, `whatsapp:…`, or what a caller who hides the number shows."""
    to: str = ""
    """The number that was called."""
    direction: str = "inbound"
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    """When it came in, in the agent's time zone."""
    caller_name: str = ""
    city: str = ""
    state: str = ""
    country: str = ""
    params: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Custom parameters of the stream (`<Parameter>` in TwiML)."""

    def for_templates(self) -> dict[str, object]:
        """The facts under the names that templates use."""
        return {template_name(f.name): getattr(self, f.name) for f in fields(self)}


def template_name(field_name: str) -> str:
    """`from` is a keyword in Python only, so there the field has an underscore."""
    return field_name.rstrip("_")


#: The names after `call.` in a template.
FACT_NAMES = tuple(template_name(f.name) for f in fields(Call))
