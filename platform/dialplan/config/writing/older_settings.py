"""Settings as tutorials and early versions of Deepgram's API have them → the form of today. Pure.

Three are in use: `agent.prompt` and the like directly in `agent`; SettingsConfiguration of early access, where a model
stood beside its provider; and today's, which passes unchanged. Of the first two Deepgram understands none any more.
From Deepgram's migration guide and from what tutorials' `config.json` look like.
"""

from collections.abc import Mapping
from typing import Any

_Json = dict[str, Any]


def modern(settings: Mapping[str, Any]) -> _Json:
    """The same message in today's form; what is of another shape than expected is left for others to refuse."""
    message = dict(settings)
    agent = message.get("agent")
    if not isinstance(agent, Mapping):
        return message
    found = dict(agent)
    _lift(found)
    if "context" in message:
        context = message.pop("context")
        found.setdefault("context", _context(context))
    for key, form in (("listen", _listen), ("think", _think), ("speak", _speak)):
        if key in found:
            found[key] = _each(found[key], form)
    return message | {"agent": found}


def _lift(agent: _Json) -> None:
    """Put what stands in `agent` itself where it belongs."""
    for old, new in (("transcription", "listen"), ("speaking", "speak")):
        if old in agent and new not in agent:
            agent[new] = agent.pop(old)
    for old, new, key in _LIFTED:
        if old in agent and isinstance(agent.get(new, {}), Mapping):
            agent[new] = {key: agent.pop(old), **agent.get(new, {})}


_LIFTED = (
    ("prompt", "think", "prompt"),
    ("instructions", "think", "prompt"),
    ("functions", "think", "functions"),
    ("think_model", "think", "model"),
    ("listen_model", "listen", "model"),
    ("speak_model", "speak", "model"),
)


def _each(value: Any, form: Any) -> Any:
    """One, or each of several: the first choice and its fallbacks."""
    if isinstance(value, list):
        return [_each(one, form) for one in value]
    return form(dict(value)) if isinstance(value, Mapping) else value


def _listen(listen: _Json) -> _Json:
    return _with_provider(listen, ("model", "language", "keyterms", "smart_format"), {"type": "deepgram"})


def _think(think: _Json) -> _Json:
    if "instructions" in think:
        think.setdefault("prompt", think.pop("instructions"))
    think = _with_provider(think, ("model", "temperature"), {"type": "open_ai"} if "model" in think else {})
    provider = think.get("provider")
    if isinstance(provider, Mapping) and provider.get("type") == "custom":
        think |= _custom(dict(provider))
    if isinstance(think.get("functions"), list):
        think["functions"] = [_function(function) for function in think["functions"]]
    return _with_endpoint(think)


def _custom(provider: _Json) -> _Json:
    """A model of one's own, which speaks as OpenAI's do."""
    endpoint: _Json = {"url": provider.pop("url", "")}
    if "key" in provider:
        endpoint["headers"] = {"authorization": f"Bearer {provider.pop('key')}"}
    return {"provider": provider | {"type": "open_ai"}, "endpoint": endpoint}


def _speak(speak: _Json) -> _Json:
    if isinstance(speak.get("provider"), str):
        speak["provider"] = {"type": speak["provider"]}
    speak = _with_provider(speak, ("model", "model_id", "voice", "voice_id", "language_code"), {"type": "deepgram"})
    return _with_endpoint(speak)


def _with_provider(part: _Json, keys: tuple[str, ...], usual: _Json) -> _Json:
    """What stood beside the provider moves into it."""
    moved = {key: part.pop(key) for key in keys if key in part}
    provider = part.get("provider", {})
    if not isinstance(provider, Mapping) or not (moved or provider):
        return part
    return part | {"provider": {**usual, **moved, **provider}}


def _function(function: Any) -> Any:
    """Address, method and headers of a function that Deepgram calls itself stand in its `endpoint`."""
    if not isinstance(function, Mapping) or "url" not in function:
        return function
    moved = {key: function[key] for key in ("url", "method", "headers") if key in function}
    kept = {key: value for key, value in function.items() if key not in moved}
    return _with_endpoint({"endpoint": moved, **kept})


def _with_endpoint(part: _Json) -> _Json:
    """Headers were a list of keys and values."""
    endpoint = part.get("endpoint")
    if not isinstance(endpoint, Mapping) or not isinstance(endpoint.get("headers"), list):
        return part
    pairs = [pair for pair in endpoint["headers"] if isinstance(pair, Mapping) and "key" in pair]
    return part | {"endpoint": {**endpoint, "headers": {str(pair["key"]): pair.get("value", "") for pair in pairs}}}


def _context(context: Any) -> Any:
    """An earlier conversation, each message with its type; whether it is played again is no longer asked."""
    if not isinstance(context, Mapping) or not isinstance(context.get("messages"), list):
        return context
    messages = [{"type": "History", **m} if isinstance(m, Mapping) else m for m in context["messages"]]
    return {"messages": messages}
