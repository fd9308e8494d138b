"""What Deepgram is known to have: models, voices, languages; a doubt where an agent asks for something else.

The list is deepgram.catalogue.json, with its dates. It is never complete, since new models come without a word to us:
nothing here is an error, and where an agent talks to a service of its own nothing is said at all.
"""

import functools
import json
import re
from collections.abc import Mapping
from importlib import resources
from typing import Any

from dialplan.config import secret
from dialplan.config.model import Listen, Think, Voice
from dialplan.config.problems import did_you_mean, shown
from dialplan.config.reading import Reading
from dialplan.config.yaml.source import Node


@functools.cache
def catalogue() -> Mapping[str, Any]:
    """The list. Do not change what it returns."""
    text = resources.files("dialplan.config.rules").joinpath("deepgram.catalogue.json").read_text("utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def check(reading: Reading, listen: Listen, thinks: tuple[Think, ...], voices: tuple[Voice, ...]) -> None:
    """Note every model, voice and language that is not in the list, and those that do not go together."""
    if _is_elsewhere(reading):
        return
    heard = _heard(reading, listen)
    for node, think in zip(_each(reading.tree.get("think")), thinks, strict=False):
        _check_think(reading, node.at("model"), think)
    _check_voices(reading, voices, heard)


def _is_elsewhere(reading: Reading) -> bool:
    """Whether the agent talks to a service that may have models of its own, or says what it wants by `settings`."""
    url = reading.tree.at("deepgram").get("url")
    written = url.raw if url else (reading.project.environment or {}).get("DEEPGRAM_URL", "")
    ours = not written or re.match(r"wss://[\w.-]*\.deepgram\.com(?::\d+)?(?:/|$)", written)
    return not ours or reading.tree.at("settings").get("agent") is not None


def _each(node: Node | None) -> tuple[Node, ...]:
    return () if node is None else node.items() or (node,)


# listen


def _heard(reading: Reading, listen: Listen) -> frozenset[str] | None:
    """The languages in which callers are understood; None where nobody knows."""
    part = catalogue()["listen"]
    node = reading.tree.get("listen")
    if listen.model not in part["models"]:
        if node is not None:
            _note_listen(reading, node.get("model") or node, part)
        return None
    family = part["models"][listen.model]
    if family is None:
        return None
    known = frozenset(part["languages"][family])
    if listen.flux:
        _check_hints(reading, known)
        return known
    return _heard_by_nova(reading, listen.model, known, part["multi"].get(family, ()))


def _note_listen(reading: Reading, model: Node, part: Mapping[str, Any]) -> None:
    # A model that Deepgram trained for one customer is named by its id.
    if secret.REFERENCE.search(model.raw) or re.fullmatch(r"[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}", model.raw):
        return
    if model.raw in _voice_names():
        reading.problem("W401", model.place, f"{model.raw} is a voice, not a model that listens", _VOICE)
        return
    if model.raw.startswith("model:"):
        reading.problem("W401", model.place, "behind the colon a space is missing", f"write model: {model.raw[6:]}")
        return
    begun = next((f'did you mean "{name}"?' for name in part["models"] if name.startswith(f"{model.raw}-")), "")
    help_text = did_you_mean(model.raw, part["models"]) or begun or "usual are nova-3 and flux-general-en"
    _note(reading, model, f"{shown(model.raw)} is not in our list of models that listen", part["date"], help_text)


_VOICE = "write voice: with it, and listen: nova-3"


def _heard_by_nova(
    reading: Reading, model: str, known: frozenset[str], multi: tuple[str, ...]
) -> frozenset[str] | None:
    node = reading.tree.get("language")
    language = _base(node.raw) if node else "en"
    if language == "multi" and multi:
        return frozenset(multi)
    if language in known:
        return frozenset([language])
    if node is not None:
        _note_language(reading, node, model, known)
    return None


def _note_language(reading: Reading, node: Node, model: str, known: frozenset[str]) -> None:
    meant = catalogue()["often_meant"].get(node.raw.lower(), "")
    if meant and _base(meant) in known:
        help_text = f"did you mean {_shown_language(meant)}?"
    elif len(known) == 1:
        help_text = "take listen: nova-3"
    else:
        help_text = "a language is written as in en, es or de"
    message = f"in our list, {model} does not understand {_shown_language(node.raw)}"
    _note(reading, node, message, catalogue()["listen"]["date"], help_text)


def _check_hints(reading: Reading, known: frozenset[str]) -> None:
    for hint in reading.tree.at("listen", "language_hints").items():
        if _base(hint.raw) not in known:
            _note_language(reading, hint, "flux-general-multi", known)


# think


def _check_think(reading: Reading, node: Node, think: Think) -> None:
    part = catalogue()["think"]
    known = part["models"].get(think.provider)
    if think.endpoint is not None or known is None or secret.REFERENCE.search(think.model):
        return
    if think.model in part["retired"]:
        message = f"{shown(think.model)} is no longer answered by {think.provider}"
        reading.problem("W401", node.place, message, f"take {part['retired'][think.model]}")
        return
    owner = next((provider for provider, models in part["models"].items() if think.model in models), "")
    if owner not in ("", think.provider):
        message = f"{think.model} is a model of {owner}, not of {think.provider}"
        reading.problem("W401", node.place, message, f"write provider: {owner}")
    elif _DATED.sub("", think.model) not in {_DATED.sub("", model) for model in known}:
        message = f"{shown(think.model)} is not in our list of {think.provider}'s models at Deepgram"
        _note(reading, node, message, part["date"], did_you_mean(think.model, known) or f"for example {known[0]}")


#: One model as it was on a day, or before its time: the list has it under its name.
_DATED = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{8}|latest|preview)$")


# voice


@functools.cache
def _voice_names() -> frozenset[str]:
    return frozenset(catalogue()["voices"]["models"])


def _check_voices(reading: Reading, voices: tuple[Voice, ...], heard: frozenset[str] | None) -> None:
    node = reading.tree.get("voice")
    for place, voice in zip(_each(node) or (None,), voices, strict=False):
        model = str(voice.options.get("model", ""))
        if voice.provider != "deepgram" or voice.endpoint is not None or not model or "${" in model:
            continue
        if model in _voice_names():
            _check_language(reading, place and (place.get("model") or place), model, heard)
        elif place is not None:
            _note_voice(reading, place.get("model") or place)


def _note_voice(reading: Reading, node: Node) -> None:
    part = catalogue()["voices"]
    if node.raw in catalogue()["listen"]["models"]:
        reading.problem("W401", node.place, f"{node.raw} is a model that listens, not a voice", "write listen: with it")
        return
    named = next((f'did you mean "{voice}"?' for voice in part["models"] if f"-{node.raw.lower()}-" in voice), "")
    help_text = named or did_you_mean(node.raw, part["models"]) or "for example aura-2-thalia-en"
    _note(reading, node, f"{shown(node.raw)} is not in our list of Deepgram's voices", part["date"], help_text)


def _check_language(reading: Reading, node: Node | None, model: str, heard: frozenset[str] | None) -> None:
    """Whether the agent speaks a language in which it is understood."""
    spoken = model.rpartition("-")[2]
    if heard is None or not heard.isdisjoint([spoken, *catalogue()["voices"]["speak_also"].get(model, ())]):
        return
    place = node or reading.tree.get("language")
    if place is None:
        return
    callers = f"callers are understood in {_names(heard)} only"
    help_text = _suited(reading, spoken, heard) if node else _voice_for(min(heard))
    reading.problem("W402", place.place, f"{model} speaks {_language(spoken)}, and {callers}", help_text)


def _suited(reading: Reading, spoken: str, heard: frozenset[str]) -> str:
    """How to be understood in the language of the voice."""
    listen = reading.tree.get("listen")
    if listen is not None and (listen.get("model") or listen).raw.startswith("flux-"):
        return f"listen: {{model: flux-general-multi, language_hints: [{spoken}]}}"
    if reading.tree.get("language") is None:
        return f"add language: {spoken}"
    return f"write language: {spoken}, or {_voice_for(min(heard))}"


def _voice_for(language: str) -> str:
    named = next((voice for voice in catalogue()["voices"]["models"] if voice.endswith(f"-{language}")), "")
    if named:
        return f"take a voice for {_language(language)}, such as {named}"
    return f"Deepgram has no voice for {_language(language)}; take one of another provider"


# Words


def _note(reading: Reading, node: Node, message: str, date: str, help_text: str) -> None:
    help_text = f"{help_text}{'' if help_text.endswith('?') else ';'} if it is newer than the list, all is well"
    reading.problem("W401", node.place, f"{message} ({date})", help_text)


def _base(language: str) -> str:
    """The language without its region."""
    return language.partition("-")[0].lower()


def _language(code: str) -> str:
    name: str = catalogue()["language_names"].get(_base(code), code)
    return name


def _shown_language(code: str) -> str:
    name = _language(code)
    return shown(code) if name == code else f"{code} ({name})"


def _names(codes: frozenset[str]) -> str:
    return ", ".join(sorted(map(_language, codes)))
