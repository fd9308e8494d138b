"""An agent, as everything behind config/ sees it: frozen values, checked, nothing left to look up.

Text that may hold a secret is `str | Secret`; JSON that is passed on to Deepgram as it is stays a mapping that nobody
changes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from jsonschema import Draft7Validator

from dialplan.config.jinja.templates import Template
from dialplan.config.plugins.loader import PluginFunction
from dialplan.config.problems import Place
from dialplan.config.secret import Secret

#: JSON whose texts may be secrets.
Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address that Deepgram calls."""

    url: str | Secret
    method: str = ""
    headers: Mapping[str, str | Secret] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Listen:
    """How the agent hears; options that the file leaves out are None and Deepgram's defaults hold."""

    model: str
    keyterms: tuple[str, ...] = ()
    smart_format: bool | None = None
    eot_threshold: float | None = None
    eager_eot_threshold: float | None = None
    eot_timeout_ms: int | None = None
    language_hints: tuple[str, ...] = ()

    @property
    def flux(self) -> bool:
        """Flux models live behind version v2 of Deepgram's API."""
        return self.model.startswith("flux-")


@dataclass(frozen=True, slots=True)
class Think:
    """One model that thinks."""

    provider: str
    model: str
    temperature: float | None = None
    reasoning_mode: str = ""
    endpoint: Endpoint | None = None
    context_length: int | str | None = None


@dataclass(frozen=True, slots=True)
class Voice:
    """One voice; `options` are the provider's own, by Deepgram's names."""

    provider: str
    options: Json
    endpoint: Endpoint | None = None


@dataclass(frozen=True, slots=True)
class Http:
    """A function that is an HTTP request; every text is a template over the arguments."""

    method: str
    url: Template
    headers: Mapping[str, Template]
    query: Mapping[str, Template]
    json: Any
    """JSON with templates in place of texts; None for no body."""


class Builtin(StrEnum):
    """What the agent can do without any plugin."""

    END_CALL = "end_call"


class OnInterrupt(StrEnum):
    """What becomes of a running function when the caller interrupts."""

    FINISH = "finish"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True)
class Function:
    """What the model may call."""

    name: str
    description: str
    parameters: Json
    runs: PluginFunction | Http | Endpoint | Builtin
    arguments: Draft7Validator
    """Checks arguments against `parameters`."""
    timeout: float = 10.0
    """Seconds."""
    filler: str = ""
    defer: bool = False
    on_interrupt: OnInterrupt = OnInterrupt.FINISH

    @property
    def idempotent(self) -> bool:
        """Whether it may be run again where nobody knows what came of it."""
        match self.runs:
            case PluginFunction(idempotent=idempotent):
                return idempotent
            case Http(method=method):
                return method.upper() in ("GET", "HEAD")
        return False


@dataclass(frozen=True, slots=True)
class Limits:
    """How many calls at once (None: no limit), how long (minutes), how quiet (seconds)."""

    calls: int | None = None
    minutes: float = 60.0
    silence: float = 30.0


@dataclass(frozen=True, slots=True)
class Fallback:
    """What the phone network does in the agent's place when the speech service cannot be had."""

    say: Template | None = None
    transfer: str = ""
    """A number, `sip:…` or `client:…`; empty for the end of the call."""


@dataclass(frozen=True, slots=True)
class Records:
    """What is kept of a call, and for how many days (None: until somebody deletes it)."""

    transcripts: bool = True
    keep_days: int | None = None


class Failure(StrEnum):
    """How a rehearsed function fails."""

    TIMEOUT = "timeout"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Turn:
    """One exchange of a rehearsal."""

    caller: str = ""
    interrupts: bool = False
    functions: tuple[tuple[str, Json], ...] = ()
    """Names and arguments."""
    fails: Failure | None = None
    agent: Template | None = None
    place: Place | None = field(default=None, compare=False)
    """Of what the agent says, else of the turn."""


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """An example conversation."""

    name: str
    turns: tuple[Turn, ...]


@dataclass(frozen=True, slots=True)
class Agent:
    """One agent file, resolved."""

    name: str
    """The file's stem, with its folder: `acme/pharmacy`."""
    place: Place
    description: str
    numbers: tuple[tuple[str, Place], ...]
    streams: tuple[tuple[str, Place], ...]
    timezone: ZoneInfo
    language: str
    listen: Listen
    think: tuple[Think, ...]
    voices: tuple[Voice, ...]
    variables: Json
    greeting: Template | None
    prompt: Template
    notice: Template | None
    busy: Template | None
    """Said to a caller whose call cannot be taken; None for the busy tone."""
    resumed: Template
    """Said first when the call goes on after its server was lost."""
    fallback: Fallback
    plugins: tuple[str, ...]
    """The modules that it takes functions from."""
    functions: Mapping[str, Function]
    limits: Limits
    records: Records
    api_key: Secret | str
    """Of the agent's own Deepgram project; empty for the server's."""
    deepgram_url: Secret | str
    settings: Json
    rehearsals: tuple[Rehearsal, ...]
