"""Deepgram's Settings → the keys of an agent file that means the same. Pure.

A field for which the agent file has a key goes there; any other one goes under `settings:`, which is merged into the
message last. What neither can say is noted in words.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dialplan.config.jinja.templates import literal
from dialplan.config.model import Builtin
from dialplan.config.problems import shown
from dialplan.config.rules import shape
from dialplan.config.writing import older_settings
from dialplan.config.writing.hiding import Hiding
from dialplan.errors import ConfigError

_Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Draft:
    """What an agent file has to say, and what it cannot."""

    keys: Mapping[str, Any]
    """As they stand in the file; `prompt` and `greeting` as templates."""
    notes: tuple[str, ...]
    secrets: tuple[str, ...]
    """Names of the variables that hold what was secret."""

    @property
    def wanting(self) -> tuple[str, ...]:
        """The functions that some plugin must have."""
        return tuple(function["name"] for function in self.keys.get("functions", ()) if wants_code(function))


def wants_code(function: Any) -> bool:
    """Whether a function of the file is neither built in nor called by Deepgram."""
    return isinstance(function, Mapping) and "endpoint" not in function and function["name"] not in list(Builtin)


def draft(settings: object) -> Draft:
    """The agent file's keys for a Settings message, of today or as old tutorials have it.

    Raises:
        ConfigError: it is no such message.
    """
    if not isinstance(settings, Mapping) or not isinstance(settings.get("agent", settings), Mapping | str):
        raise ConfigError(f"this is no message for Deepgram; {_EXPECTED}")
    if isinstance(settings.get("agent"), str):
        raise ConfigError("agent is the id of an agent that Deepgram has stored; put what it stands for into the file")
    kind = settings.get("type", "Settings")
    if "agent" not in settings or str(kind).lower() not in ("settings", "settingsconfiguration"):
        raise ConfigError(f"this is no message for Deepgram; {_EXPECTED}")
    hiding = Hiding()
    message = hiding.hidden(older_settings.modern(settings))
    translation = _Translation()
    translation.message(message)
    if hiding.altered:
        translation.notes.append("${…} in a text is written $ {…}: here it would be looked up in the environment")
    return Draft(translation.all_keys(), tuple(dict.fromkeys(translation.notes)), hiding.names)


_EXPECTED = 'expected is {"type": "Settings", "audio": {…}, "agent": {…}}, as in the config.json of the usual tutorial'

_AUDIO = {
    "input": {"encoding": "mulaw", "sample_rate": 8000},
    "output": {"encoding": "mulaw", "sample_rate": 8000, "container": "none"},
}
#: What a provider is taken for where the message does not say it.
_USUAL_VERSIONS = {"google": "v1beta", "cartesia": "2025-03-17"}
_USUAL_MODELS = {"open_ai": "gpt-4o-mini", "anthropic": "claude-haiku-4-5", "google": "gemini-2.5-flash"}
_OLD_NAMES = {"language_hint": "language_hints", "language_code": "language"}


@dataclass(slots=True)
class _Translation:
    """One message being translated."""

    keys: _Json = field(default_factory=dict)
    settings: _Json = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def all_keys(self) -> _Json:
        """The file's keys in the order in which people write them."""
        found = self.keys | ({"settings": self.settings} if self.settings else {})
        return {key: found[key] for key in _ORDER if key in found}

    def message(self, message: Mapping[str, Any]) -> None:
        """The whole message."""
        self._audio(message.get("audio"))
        for key, value in message.items():
            if key not in ("type", "audio", "agent"):
                self._keep((key,), value, known=_TOP)
        agent = message["agent"]
        self._texts(agent)
        self._listen(agent)
        self._think(agent.get("think"))
        self._speak(agent.get("speak"))
        for key, value in agent.items():
            if key not in ("language", "listen", "think", "speak", "greeting"):
                self._keep(("agent", key), value, known=("context", "think_live"))

    def _keep(self, path: tuple[str, ...], value: Any, known: tuple[str, ...] = ()) -> None:
        """Put a field under `settings:`, at its own place in the message."""
        below = self.settings
        for key in path[:-1]:
            below = below.setdefault(key, {})
        below[path[-1]] = value
        if path[-1] not in known:
            self.notes.append(f"{'.'.join(path)} is not known here: it is kept as it is, under settings:")

    def _lost(self, what: str, why: str) -> None:
        self.notes.append(f"{what} is left out: {why}")

    def _audio(self, audio: Any) -> None:
        given = audio if isinstance(audio, Mapping) else {}
        for way, usual in _AUDIO.items():
            one = given.get(way, {})
            if isinstance(one, Mapping) and {**usual, **one} != usual:
                self._lost(f"audio.{way}", "a phone call is always mulaw with 8000 samples per second")
        for key in given:
            if key not in _AUDIO:
                self._lost(f"audio.{key}", "a phone call is always mulaw with 8000 samples per second")

    def _texts(self, agent: Mapping[str, Any]) -> None:
        think = _first(agent.get("think"))
        prompt = think.get("prompt", "")
        if not isinstance(prompt, str):
            raise ConfigError(f"agent.think.prompt is a text, not {shown(str(prompt))}")
        if not prompt:
            self.notes.append("there is no prompt: write what the agent is to be")
        self.keys["prompt"] = literal(prompt) or '{{ "" }}'
        if "greeting" in agent:
            if not isinstance(agent["greeting"], str):
                raise ConfigError(f"agent.greeting is a text, not {shown(str(agent['greeting']))}")
            self.keys["greeting"] = literal(agent["greeting"])

    def _listen(self, agent: Mapping[str, Any]) -> None:
        listen = agent.get("listen", {})
        if not isinstance(listen, Mapping) or not isinstance(listen.get("provider", {}), Mapping):
            self._lost("agent.listen", "it has no provider")
            listen = {}
        provider = _renamed(listen.get("provider", {}))
        if provider.pop("type", "deepgram") != "deepgram":
            self._keep(("agent", "listen", "provider", "type"), listen["provider"]["type"])
        self._language(agent, provider)
        fitting, others = _split(provider, shape.schema()["properties"]["listen"]["properties"])
        fitting = {"model": "nova-3", **fitting}
        if others.pop("version", version := _listen_version(fitting["model"])) != version:
            self._lost("agent.listen.provider.version", f"it follows from the model, {fitting['model']}")
        self.keys["listen"] = fitting["model"] if len(fitting) == 1 else fitting
        self._keep_others(("agent", "listen"), listen, others)

    def _language(self, agent: Mapping[str, Any], provider: _Json) -> None:
        """It belongs to the listen model; in `agent` it is the old place."""
        flux = _listen_version(provider.get("model", "")) == "v2"
        language = provider.pop("language", None) or agent.get("language")
        if language and flux:
            self._lost("language", f"{provider['model']} has none; there are language_hints for flux-general-multi")
        elif language:
            self.keys["language"] = language

    def _think(self, think: Any) -> None:
        items = think if isinstance(think, list) else [think]
        found = [self._one_think(one, len(items) == 1) for one in items if isinstance(one, Mapping)]
        models = [one for one in found if one]
        self.keys["think"] = models[0] if len(models) == 1 else models
        if not models:
            del self.keys["think"]
        first = _first(think)
        functions = first.get("functions", [])
        self._functions(functions if isinstance(functions, list) else [])
        texts = [(one.get("prompt"), one.get("functions")) for one in _all(think)]
        if any(other != texts[0] for other in texts):
            self.notes.append("every model gets the prompt and the functions of the first one")

    def _one_think(self, think: Mapping[str, Any], alone: bool) -> _Json:
        provider = think.get("provider")
        if not isinstance(provider, Mapping):
            if set(think) - {"prompt", "functions"}:
                self._lost("agent.think", "it has no provider; the usual model thinks")
            return {}
        fields = dict(provider)
        kind = fields.pop("type", "")
        if fields.get("version") == _USUAL_VERSIONS.get(str(kind), "v1"):
            del fields["version"]
        fields |= {key: think[key] for key in ("endpoint", "context_length") if key in think}
        if "model" not in fields:
            fields["model"] = _USUAL_MODELS.get(str(kind), "")
            self.notes.append(f"no model of {kind} is named: {fields['model'] or 'one'} is taken")
        fitting, others = _split(fields, shape.schema()["definitions"]["think"]["properties"])
        rest = {key: value for key, value in think.items() if key not in (*_THINK, "provider")}
        self._others("think", others, rest, alone)
        return {"provider": kind, **fitting}

    def _speak(self, speak: Any) -> None:
        items = speak if isinstance(speak, list) else [speak]
        voices = [self._one_voice(one, len(items) == 1) for one in items if isinstance(one, Mapping)]
        voices = [voice for voice in voices if voice]
        if voices:
            self.keys["voice"] = voices[0] if len(voices) == 1 else voices

    def _one_voice(self, speak: Mapping[str, Any], alone: bool) -> _Json | str:
        provider = speak.get("provider")
        if not isinstance(provider, Mapping):
            self._lost("agent.speak", "it has no provider; the usual voice speaks")
            return {}
        fields = _renamed(provider)
        kind = fields.pop("type", "deepgram")
        usual = "v2" if str(fields.get("model", "")).startswith("flux-") else _USUAL_VERSIONS.get(str(kind), "v1")
        if fields.get("version") == usual:
            del fields["version"]
        if kind == "deepgram" and fields.pop("language", None):
            self._lost("language of agent.speak", "it is in the voice's name")
        if "endpoint" in speak:
            fields["endpoint"] = speak["endpoint"]
        fitting, others = _split(fields, shape.schema()["definitions"]["voice"]["properties"])
        rest = {key: value for key, value in speak.items() if key not in ("provider", "endpoint")}
        self._others("speak", others, rest, alone)
        if kind == "deepgram" and set(fitting) == {"model"}:
            return str(fitting["model"])
        return {"provider": kind, **fitting}

    def _others(self, part: str, others: Mapping[str, Any], rest: Mapping[str, Any], alone: bool) -> None:
        """What of a model or voice has no key: kept where there is one, for `settings:` cannot look into lists."""
        if alone:
            self._keep_others(("agent", part), rest, others)
            return
        for key in [*(f"provider.{key}" for key in others), *rest]:
            self._lost(f"{key} of one agent.{part}", "there is no key for it, and settings: cannot look into a list")

    def _keep_others(self, path: tuple[str, ...], part: Mapping[str, Any], others: Mapping[str, Any]) -> None:
        for key, value in others.items():
            self._keep((*path, "provider", key), value, known=("version", "credentials"))
        for key, value in part.items():
            if key not in ("provider", "endpoint"):
                self._keep((*path, key), value)

    def _functions(self, functions: list[Any]) -> None:
        named: dict[str, _Json] = {}
        for function in functions:
            name = function.get("name") if isinstance(function, Mapping) else None
            if not isinstance(name, str):
                self._lost("a function", "it has no name")
            elif name in named:
                self._lost(f"a second function {name}", "a name stands for one function")
            else:
                named[name] = self._function(name, function)
        if named:
            self.keys["functions"] = [_shortest(function) for function in named.values()]

    def _function(self, name: str, given: Mapping[str, Any]) -> _Json:
        found: _Json = {"name": name}
        found |= {key: given[key] for key in ("description", "parameters", "endpoint") if given.get(key)}
        if given.get("defer_until_eot"):
            found["defer"] = True
        elif name in list(Builtin) and "endpoint" not in found and given.get("defer_until_eot") is False:
            found["defer"] = False
        for key in given:
            if key not in ("name", "description", "parameters", "endpoint", "defer_until_eot", "client_side"):
                self._lost(f"{key} of the function {name}", "there is no key for it")
        return found


_ORDER = (
    *("language", "listen", "think", "voice", "greeting", "prompt"),
    *("plugins", "functions", "settings"),
)
_TOP = ("tags", "experimental", "mip_opt_out", "flags")
_THINK = ("endpoint", "context_length", "prompt", "functions")


def _all(part: Any) -> list[Mapping[str, Any]]:
    return [one for one in (part if isinstance(part, list) else [part]) if isinstance(one, Mapping)]


def _first(part: Any) -> Mapping[str, Any]:
    return next(iter(_all(part)), {})


def _renamed(fields: Mapping[str, Any]) -> _Json:
    return {_OLD_NAMES.get(key, key): value for key, value in fields.items()}


def _split(fields: Mapping[str, Any], known: Mapping[str, Any]) -> tuple[_Json, _Json]:
    """What the agent file has a key for, and the rest."""
    fitting = {key: value for key, value in fields.items() if key in known}
    return fitting, {key: value for key, value in fields.items() if key not in known}


def _listen_version(model: Any) -> str:
    return "v2" if str(model).startswith("flux-") else "v1"


def _shortest(function: _Json) -> _Json | str:
    """A function of which only the name is known, and which is built in, is its name."""
    return function["name"] if set(function) == {"name"} and function["name"] in list(Builtin) else function
