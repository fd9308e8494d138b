"""What Deepgram's providers demand and what they do not know: an option that does not fit ends a call at its start.

From Deepgram's asyncapi.yml (ThinkSettingsV1, SpeakSettingsV1) and its pages on models.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from dialplan.config.model import Endpoint, Listen, Think, Voice
from dialplan.config.reading import Reading, entries
from dialplan.config.yaml.source import Node


def listen(reading: Reading) -> Listen:
    """How the agent hears."""
    node = reading.tree.get("listen")
    if node is None:
        return Listen("nova-3")
    if not isinstance(node.value, Mapping):
        found = Listen(node.raw)
    else:
        options: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in node.plain().items()}
        found = Listen(**options)
    _check_listen(reading, node, found)
    return found


_FLUX_ONLY = ("eot_threshold", "eager_eot_threshold", "eot_timeout_ms", "language_hints")


def _check_listen(reading: Reading, node: Node, found: Listen) -> None:
    if found.flux:
        _check_flux(reading, node, found)
        return
    for key in _FLUX_ONLY:
        if node.get(key) is not None:
            help_text = (
                f"remove it, or take model: {'flux-general-multi' if key == 'language_hints' else 'flux-general-en'}"
            )
            reading.problem(
                "E401", node.key_place(key), f"{found.model} has no {key}; that is for flux models", help_text
            )


def _check_flux(reading: Reading, node: Node, found: Listen) -> None:
    if found.smart_format is not None:
        message = f"{found.model} has no smart_format; that is for nova models"
        reading.problem("E401", node.key_place("smart_format"), message, "remove it")
    if reading.tree.get("language") is not None:
        message = f"{found.model} takes no language"
        help_text = "remove it, or use listen: {model: flux-general-multi, language_hints: [en]}"
        reading.problem("E401", reading.tree.key_place("language"), message, help_text)
    if found.language_hints and found.model != "flux-general-multi":
        message = f"{found.model} has no language_hints; they are for flux-general-multi"
        reading.problem("E401", node.key_place("language_hints"), message, "remove them, or change the model")
    eager, sure = found.eager_eot_threshold, found.eot_threshold
    if eager is not None and eager > (0.7 if sure is None else sure):
        shown = "0.7, unless set" if sure is None else sure
        message = f"eager_eot_threshold ({eager}) is higher than eot_threshold ({shown})"
        reading.problem("E403", node.at("eager_eot_threshold").place, message, "make it the lower of the two")


#: What a model's provider knows besides provider, model, temperature, endpoint and context_length.
_THINK_ALSO: Mapping[str, tuple[str, ...]] = {
    "open_ai": ("reasoning_mode",),
    "groq": ("reasoning_mode",),
    "deepgram": ("reasoning_mode",),
}
_THINK_NEEDS: Mapping[str, tuple[str, ...]] = {"groq": ("endpoint",), "aws_bedrock": ("endpoint",)}
_HOTTEST = {"anthropic": 1}


def thinks(reading: Reading) -> tuple[Think, ...]:
    """The models that think: the first choice, then its fallbacks."""
    node = reading.tree.get("think")
    if node is None:
        return (Think("open_ai", "gpt-4o-mini"),)
    return tuple(_think(reading, one) for one in node.items() or (node,))


def _think(reading: Reading, node: Node) -> Think:
    plain = node.plain()
    provider = str(plain["provider"])
    _note_missing(reading, node, provider, _THINK_NEEDS.get(provider, ()))
    if "reasoning_mode" not in _THINK_ALSO.get(provider, ()):
        _note_unknown(reading, node, provider, ["reasoning_mode"])
    if "context_length" in plain and "endpoint" not in plain:
        message = "context_length works with an endpoint of your own only"
        reading.problem("E402", node.key_place("context_length"), message, "remove it, or add endpoint: {url: …}")
    if plain.get("temperature", 0) > _HOTTEST.get(provider, 2):
        place = node.at("temperature").place
        reading.problem("E106", place, f"{plain['temperature']} is out of range for {provider}", "at most 1")
    return Think(**{**plain, "endpoint": _endpoint(reading, node.get("endpoint"))})


#: What a voice's provider demands, and what it may be told besides.
_VOICE_NEEDS: Mapping[str, tuple[str, ...]] = {
    "deepgram": ("model",),
    "eleven_labs": ("model_id", "endpoint"),
    "cartesia": ("model_id", "voice", "endpoint"),
    "open_ai": ("model", "voice", "endpoint"),
    "aws_polly": ("voice", "language", "engine", "credentials", "endpoint"),
}
_VOICE_ALSO: Mapping[str, tuple[str, ...]] = {
    "deepgram": ("speed", "expressivity", "endpoint"),
    "eleven_labs": ("language",),
    "cartesia": ("language", "volume"),
}


def voices(reading: Reading) -> tuple[Voice, ...]:
    """The agent's voice, then its fallbacks."""
    node = reading.tree.get("voice")
    if node is None:
        return (Voice("deepgram", {"model": "aura-2-thalia-en"}),)
    return tuple(_voice(reading, one) for one in node.items() or (node,))


def _voice(reading: Reading, node: Node) -> Voice:
    if not isinstance(node.value, Mapping):
        return Voice("deepgram", {"model": node.raw})
    options: dict[str, Any] = reading.json(node)
    provider = str(options.pop("provider", "deepgram"))
    if node.get("provider") or not reading.refused_in(node):  # Else it may have been another provider.
        if _is_called_voice(reading, node, provider):
            return Voice(provider, options)
        _note_missing(reading, node, provider, _VOICE_NEEDS[provider])
        known = {"provider", *_VOICE_NEEDS[provider], *_VOICE_ALSO.get(provider, ())}
        _note_unknown(reading, node, provider, [key for key, _ in entries(node) if key not in known])
        _check_voice_name(reading, node, provider)
        _check_expressivity(reading, node, provider)
    endpoint = _endpoint(reading, node.get("endpoint"))
    options.pop("endpoint", None)
    return Voice(provider, options, endpoint)


def _is_called_voice(reading: Reading, node: Node, provider: str) -> bool:
    """`{provider: deepgram, voice: …}`, as other providers have it."""
    voice = node.get("voice")
    if provider != "deepgram" or voice is None or node.get("model"):
        return False
    help_text = f"write model: {voice.raw or 'aura-2-thalia-en'}"
    reading.problem("E405", node.key_place("voice"), "deepgram has no voice; its voices are models", help_text)
    return True


def _check_voice_name(reading: Reading, node: Node, provider: str) -> None:
    voice = node.get("voice")
    if voice is None:
        return
    if provider == "cartesia" and not {"mode", "id"} <= {key for key, _ in entries(voice)}:
        reading.problem("E402", voice.place, "a voice of cartesia needs mode and id", "voice: {mode: id, id: …}")
    elif provider != "cartesia" and isinstance(voice.value, Mapping):
        reading.problem("E103", voice.place.beginning(), f"the voice of {provider} is a name", "as in voice: alloy")


def _check_expressivity(reading: Reading, node: Node, provider: str) -> None:
    model = node.at("model").raw
    if provider == "deepgram" and node.get("expressivity") and model.startswith("aura-"):
        help_text = "remove it, or take a flux voice, such as flux-alexis-en"
        reading.problem("E405", node.key_place("expressivity"), f"{model} has no expressivity", help_text)


def _endpoint(reading: Reading, node: Node | None) -> Endpoint | None:
    if node is None:
        return None
    return Endpoint(reading.text(node.get("url")), headers=reading.texts(node.get("headers")))


def _note_missing(reading: Reading, node: Node, provider: str, needed: Iterable[str]) -> None:
    place = node.at("provider").place if node.get("provider") else node.place.beginning()
    for key in needed:
        if node.get(key) is None and not reading.refused_in(node):
            reading.problem("E402", place, f"{provider} needs {key}", f"{key}: {_EXAMPLES.get(key, '…')}")


_EXAMPLES = {"endpoint": "{url: https://…}", "voice": "{mode: id, id: …}", "model": "aura-2-thalia-en"}


def _note_unknown(reading: Reading, node: Node, provider: str, keys: Iterable[str]) -> None:
    for key in keys:
        if node.get(key) is not None:
            help_text = "remove it; the language is in the model's name" if key == "language" else "remove it"
            reading.problem("E405", node.key_place(key), f"{provider} has no {key}", help_text)
