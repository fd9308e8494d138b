"""Agent + Call → Deepgram's Settings message, rendered for this one call.

Pure. Fields as in Deepgram's asyncapi.yml (AgentV1Settings); what it does not know is refused by the service, so a
field that an agent leaves out is left out here too.
"""

import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from datetime import datetime
from typing import Any

from dialplan.call.actions import Opening
from dialplan.call.history import Past, Spoken
from dialplan.config.jinja.templates import Params, Template
from dialplan.config.model import Agent, Endpoint, Function, Json, Listen, Think, Voice
from dialplan.config.secret import Secret
from dialplan.facts import Call
from dialplan.wire import deepgram

#: What Twilio speaks and wants to hear: raw μ-law. A WAV container would be a click at every chunk.
_AUDIO = {
    "input": {"encoding": "mulaw", "sample_rate": 8000},
    "output": {"encoding": "mulaw", "sample_rate": 8000, "container": "none"},
}


def settings(
    agent: Agent, call: Call, opening: Opening = Opening.GREETING, past: Sequence[Past] = ()
) -> dict[str, Any]:
    """The Settings of one call. Secrets in it stay hidden until `encoded`.

    Args:
        agent: whose.
        call: the facts.
        opening: what the agent says of itself.
        past: what was said and done before this session.

    Raises:
        ConfigError: a template cannot be rendered with this call's facts.
    """
    names = template_names(agent, call)
    message: dict[str, Any] = {
        "type": "Settings",
        # By tag, Deepgram's usage reports tell agents apart; the offline service finds rehearsals by it.
        "tags": [f"agent:{agent.name}"],
        "flags": {"history": False},
        "audio": deepcopy(_AUDIO),
        "agent": {
            "listen": {"provider": _listen(agent.listen, agent.language)},
            "think": _one_or_all([_think(think, agent, names) for think in agent.think]),
            "speak": _one_or_all([_speak(voice) for voice in agent.voices]),
        },
    }
    if agent.greeting is not None:
        message["agent"]["greeting"] = agent.greeting.render(names)
    merged = _merged(message, agent.settings) | {"tags": [*message["tags"], *agent.settings.get("tags", ())]}
    if opening is not Opening.GREETING:
        merged["agent"].pop("greeting", None)
    if opening is Opening.RESUMED:
        merged["agent"]["greeting"] = agent.resumed.render(names)
    if past:
        context = merged["agent"].get("context", {})
        merged["agent"]["context"] = {**context, "messages": [*context.get("messages", ()), *map(_past, past)]}
    return merged


def _past(one: Past) -> dict[str, Any]:
    if isinstance(one, Spoken):
        return deepgram.spoken(one.role, one.text)
    return deepgram.called(one.id, one.name, one.arguments, one.response)


def template_names(agent: Agent, call: Call) -> dict[str, object]:
    """What a template may use: the agent's variables, `call` and `now`."""
    facts = call.for_templates() | {"params": Params(call.params)}
    return {**agent.variables, "call": facts, "now": datetime.now(agent.timezone)}


def rendered(template: Template | None, agent: Agent, call: Call) -> str:
    """One more text of the agent for this call; empty where it has none."""
    return template.render(template_names(agent, call)) if template is not None else ""


def encoded(message: Mapping[str, Any]) -> str:
    """The message for the wire, secrets in place."""
    return json.dumps(message, default=_revealed)


def shown(message: Mapping[str, Any]) -> str:
    """The message for people: secrets by their `${NAME}`."""
    return json.dumps(message, default=str, indent=2, ensure_ascii=False)


def recorded(message: Mapping[str, Any]) -> str:
    """The same in one line, for the record."""
    return json.dumps(message, default=str, ensure_ascii=False)


def _revealed(value: object) -> str:
    if isinstance(value, Secret):
        return value.reveal()
    raise TypeError(f"{type(value).__name__} has no place in JSON")


def _listen(listen: Listen, language: str) -> dict[str, Any]:
    """`version` follows from the model: without it a flux model would be looked for behind v1."""
    provider: dict[str, Any] = {"type": "deepgram", "version": "v2" if listen.flux else "v1", "model": listen.model}
    if not listen.flux:
        provider["language"] = language
    options = {
        "keyterms": list(listen.keyterms) or None,
        "smart_format": listen.smart_format,
        "eot_threshold": listen.eot_threshold,
        "eager_eot_threshold": listen.eager_eot_threshold,
        "eot_timeout_ms": listen.eot_timeout_ms,
        "language_hints": list(listen.language_hints) or None,
    }
    return provider | {key: value for key, value in options.items() if value is not None}


def _think(think: Think, agent: Agent, names: Mapping[str, object]) -> dict[str, Any]:
    """One model. Prompt and functions stand in each, since a fallback knows nothing of the first choice."""
    provider: dict[str, Any] = {"type": think.provider, "model": think.model}
    if think.temperature is not None:
        provider["temperature"] = think.temperature
    if think.reasoning_mode:
        provider["reasoning_mode"] = think.reasoning_mode
    fields: dict[str, Any] = {"provider": provider, "prompt": agent.prompt.render(names)}
    if think.endpoint is not None:
        fields["endpoint"] = _endpoint(think.endpoint)
    if think.context_length is not None:
        fields["context_length"] = think.context_length
    if agent.functions:
        fields["functions"] = [_function(function) for function in agent.functions.values()]
    return fields


def _function(function: Function) -> dict[str, Any]:
    """A function without an endpoint is asked of us; Settings have no other word for that."""
    fields: dict[str, Any] = {
        "name": function.name,
        "description": function.description,
        "parameters": function.parameters,
    }
    if isinstance(function.runs, Endpoint):
        fields["endpoint"] = {**_endpoint(function.runs), "method": function.runs.method}
    if function.defer:
        fields["defer_until_eot"] = True
    return fields


def _speak(voice: Voice) -> dict[str, Any]:
    provider = {"type": voice.provider, **voice.options}
    if voice.provider == "deepgram" and str(voice.options.get("model", "")).startswith("flux-"):
        provider["version"] = "v2"
    return {"provider": provider} | ({"endpoint": _endpoint(voice.endpoint)} if voice.endpoint else {})


def _endpoint(endpoint: Endpoint) -> dict[str, Any]:
    return {"url": endpoint.url, "headers": dict(endpoint.headers)}


def _one_or_all(fields: list[dict[str, Any]]) -> dict[str, Any] | list[dict[str, Any]]:
    return fields[0] if len(fields) == 1 else fields


def _merged(under: dict[str, Any], over: Json) -> dict[str, Any]:
    """`over` laid over `under`: mappings merge, everything else is replaced."""
    merged = dict(under)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = _merged(below, value) if isinstance(below, dict) and isinstance(value, Mapping) else value
    return merged
