"""One agent file → one `Agent`, or every reason why not."""

from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from dialplan.config import contracts, secret
from dialplan.config.model import Agent, Endpoint, Json, Limits, Listen, Think, Voice
from dialplan.config.problems import Place, Problem, did_you_mean, has_errors
from dialplan.config.reading import Project, Reading, entries
from dialplan.config.rehearsals import rehearsals
from dialplan.config.shape import shape_problems, without_refused
from dialplan.config.source import Node, place_inside
from dialplan.config.templates import Template

#: Characters of a prompt that Deepgram passes on to a model of its own; the rest is cut (docs: LLM models).
MANAGED_PROMPT_LIMIT = 25_000

#: Paths that the server itself answers.
OWN_PATHS = (
    "/",
    "/healthz",
    "/readyz",
    "/metrics",
    "/twilio/voice",
    "/twilio/next",
    "/twilio/status",
    "/twilio/stream",
)


def read_agent(project: Project, file: Path) -> tuple[Agent | None, list[Problem]]:
    """The agent of a file; None where it has an error. All its problems in one go, in the order of the file."""
    tree, problems = project.layers.resolved(file)
    if tree is None:
        return None, problems
    problems += shape_problems(tree, project.layers.texts)
    fitting = without_refused(tree)
    if fitting is None:
        return None, problems
    reading = Reading(project, file, fitting, problems)
    agent = _agent(reading)
    return (None if has_errors(reading.problems) else agent), sorted(reading.problems, key=lambda p: p.place)


def _agent(reading: Reading) -> Agent:
    tree = reading.tree
    _check_secrets(reading)
    names = [name for name, _ in entries(tree.get("variables"))]
    functions = contracts.functions(reading)
    think = _thinks(reading)
    prompt = reading.template(tree.get("prompt"), names)
    if prompt is not None:
        _check_length(reading, len(prompt.source), think)
    agent = Agent(
        name=reading.file.relative_to(reading.project.layers.folder).with_suffix("").as_posix(),
        place=Place(reading.project.layers.name(reading.file)),
        description=_raw(tree, "description"),
        numbers=tuple((node.raw, node.place) for node in tree.at("numbers").items()),
        streams=tuple(_streams(reading)),
        timezone=_timezone(reading),
        language=_raw(tree, "language") or "en",
        listen=_listen(reading),
        think=think,
        voices=_voices(reading),
        variables=tree.at("variables").plain() if tree.get("variables") else {},
        greeting=reading.template(tree.get("greeting"), names),
        prompt=prompt or Template(""),
        notice=reading.template(tree.get("notice"), names),
        functions=functions,
        limits=_limits(tree),
        api_key=reading.text(tree.at("deepgram").get("api_key")),
        deepgram_url=reading.text(tree.at("deepgram").get("url")),
        settings=reading.json(tree.at("settings")) if tree.get("settings") else {},
        rehearsals=rehearsals(reading, functions),
    )
    if not agent.numbers and not agent.streams:
        reading.problem("W501", agent.place, "nobody can reach this agent", "give it numbers: or streams:")
    return agent


def _raw(tree: Node, key: str) -> str:
    node = tree.get(key)
    return node.raw if node else ""


def _streams(reading: Reading) -> Iterator[tuple[str, Place]]:
    for node in reading.tree.at("streams").items():
        if node.raw in OWN_PATHS:
            reading.problem("E505", node.place, f"{node.raw} is a path of the server's own", "take another one")
        yield node.raw, node.place


def _timezone(reading: Reading) -> ZoneInfo:
    node = reading.tree.get("timezone")
    if node is None:
        return ZoneInfo("UTC")
    try:
        return ZoneInfo(node.raw)
    except (KeyError, ValueError, OSError):  # "Europe" is a folder of the data base, "../x" is refused as a path.
        help_text = did_you_mean(node.raw, available_timezones()) or "write it as in America/New_York"
        reading.problem("E404", node.place, f"there is no time zone {node.raw}", help_text)
        return ZoneInfo("UTC")


def _listen(reading: Reading) -> Listen:
    node = reading.tree.get("listen")
    if node is None:
        return Listen("nova-3")
    if not isinstance(node.value, Mapping):
        listen = Listen(node.raw)
    else:
        options: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in node.plain().items()}
        listen = Listen(**options)
    _check_listen(reading, node, listen)
    return listen


_FLUX_ONLY = ("eot_threshold", "eager_eot_threshold", "eot_timeout_ms", "language_hints")


def _check_listen(reading: Reading, node: Node, listen: Listen) -> None:
    if listen.flux:
        if listen.smart_format is not None:
            place = node.key_place("smart_format")
            reading.problem("E401", place, f"{listen.model} has no smart_format; that is for nova models")
        if "language" in dict(entries(reading.tree)):
            hint = "use listen: {model: flux-general-multi, language_hints: […]}"
            place = reading.tree.key_place("language")
            reading.problem("E401", place, f"{listen.model} takes no language", hint)
    else:
        for key in _FLUX_ONLY:
            if node.get(key) is not None:
                reading.problem("E401", node.key_place(key), f"{key} is for flux models, not for {listen.model}")
    if listen.flux and listen.language_hints and listen.model != "flux-general-multi":
        reading.problem("E401", node.key_place("language_hints"), "language_hints are for flux-general-multi")
    eager, sure = listen.eager_eot_threshold, listen.eot_threshold or 0.7
    if eager is not None and eager > sure:
        message = f"eager_eot_threshold ({eager}) is higher than eot_threshold ({sure})"
        reading.problem("E403", node.key_place("eager_eot_threshold"), message)


def _thinks(reading: Reading) -> tuple[Think, ...]:
    node = reading.tree.get("think")
    if node is None:
        return (Think("open_ai", "gpt-4o-mini"),)
    return tuple(_think(reading, one) for one in node.items() or (node,))


def _think(reading: Reading, node: Node) -> Think:
    plain = node.plain()
    endpoint = _endpoint(reading, node.get("endpoint"))
    if plain["provider"] in ("groq", "aws_bedrock") and endpoint is None:
        reading.problem(
            "E402", node.at("provider").place, f"{plain['provider']} needs an endpoint", "endpoint: {url: …}"
        )
    if "context_length" in plain and endpoint is None:
        place = node.key_place("context_length")
        reading.problem("E402", place, "context_length works with an endpoint of your own only")
    plain["endpoint"] = endpoint
    return Think(**{f.name: plain[f.name] for f in fields(Think) if f.name in plain})


#: What Deepgram demands of a voice, by provider (asyncapi.yml, SpeakSettingsV1).
_VOICE_NEEDS: Mapping[str, tuple[str, ...]] = {
    "deepgram": ("model",),
    "eleven_labs": ("model_id", "endpoint"),
    "cartesia": ("model_id", "voice", "endpoint"),
    "open_ai": ("model", "voice", "endpoint"),
    "aws_polly": ("voice", "language", "engine", "credentials", "endpoint"),
}


def _voices(reading: Reading) -> tuple[Voice, ...]:
    node = reading.tree.get("voice")
    if node is None:
        return (Voice("deepgram", {"model": "aura-2-thalia-en"}),)
    return tuple(_voice(reading, one) for one in node.items() or (node,))


def _voice(reading: Reading, node: Node) -> Voice:
    if not isinstance(node.value, Mapping):
        return Voice("deepgram", {"model": node.raw})
    options: dict[str, Any] = reading.json(node)
    provider = str(options.pop("provider", "deepgram"))
    endpoint = _endpoint(reading, node.get("endpoint"))
    for key in _VOICE_NEEDS[provider]:
        if key not in options:
            reading.problem("E402", node.at("provider").place, f"a voice of {provider} needs {key}", f"{key}: …")
    if provider == "deepgram" and "language" in options:
        place = node.key_place("language")
        reading.problem("E402", place, "a voice of deepgram takes no language; it is in the model's name")
    options.pop("endpoint", None)
    return Voice(provider, options, endpoint)


def _endpoint(reading: Reading, node: Node | None) -> Endpoint | None:
    if node is None:
        return None
    return Endpoint(reading.text(node.get("url")), headers=reading.texts(node.get("headers")))


def _limits(tree: Node) -> Limits:
    limits: Json = tree.at("limits").plain() if tree.get("limits") else {}
    return Limits(**limits)


def _check_length(reading: Reading, length: int, think: tuple[Think, ...]) -> None:
    if length > MANAGED_PROMPT_LIMIT and any(one.endpoint is None for one in think):
        message = f"Deepgram cuts a prompt after {MANAGED_PROMPT_LIMIT:,} characters; this one has {length:,}"
        reading.problem("W201", reading.tree.key_place("prompt"), message)


def _check_secrets(reading: Reading) -> None:
    """Every `${NAME}`: where a secret may stand, and whether it is set."""
    for path, node in _scalars(reading.tree, ()):
        text = str(node.value)
        if not secret.REFERENCE.search(text):
            continue
        if not _may_hold_secrets(path):
            _note(reading, node, next(secret.REFERENCE.finditer(text)), "E204", f"a secret would be heard in {path[0]}")
        elif reading.project.environment is not None:
            for match in secret.unset(text, reading.project.environment):
                _note(reading, node, match, "E601", f"{match[1]} is not set", "set it in the environment or in .env")


def _note(reading: Reading, node: Node, match: Any, code: str, message: str, help_text: str = "") -> None:
    text = reading.project.layers.texts[node.place.file]
    reading.problem(code, place_inside(node, text, match.start(), len(match[0])), message, help_text)


def _may_hold_secrets(path: tuple[str | int, ...]) -> bool:
    """What goes to Deepgram or to a server in a header or an address, and to no model and no caller."""
    if path[0] == "functions":
        return len(path) > 2 and path[2] in ("http", "endpoint")
    return path[0] in ("deepgram", "think", "voice", "settings")


def _scalars(node: Node, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], Node]]:
    if isinstance(node.value, str):
        yield path, node
    for index, item in enumerate(node.items()):
        yield from _scalars(item, (*path, index))
    for key, child in entries(node):
        yield from _scalars(child, (*path, key))
