"""One agent file → one `Agent`, or every reason why not."""

import difflib
import re
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo, available_timezones

from dialplan.config import secret
from dialplan.config.jinja.templates import Template
from dialplan.config.model import Agent, Fallback, Json, Limits, Records, Think
from dialplan.config.problems import Place, Problem, has_errors, shown
from dialplan.config.reading import Project, Reading
from dialplan.config.rules import catalogue, contracts, digits, providers, texts, unreachable
from dialplan.config.rules.rehearsals import rehearsals
from dialplan.config.rules.shape import shape_problems, without_refused
from dialplan.config.yaml.source import Node, repeats_of

#: Characters of a prompt that Deepgram passes on to a model of its own; the rest is cut (docs: LLM models).
MANAGED_PROMPT_LIMIT = 25_000

#: What an agent says after its server was lost, unless its file says otherwise.
RESUMED = "Sorry, we were cut off for a moment. Where were we?"

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
    resolved = project.layers.resolved(file)
    problems = list(resolved.problems)
    if resolved.tree is None:
        return None, problems
    refused = shape_problems(resolved.tree, project.layers.texts)
    # What is missing may stand in a file below that could not be read.
    problems += [p for p in refused if resolved.complete or p.code != "E102" or p.place != _root(resolved.tree)]
    fitting = without_refused(resolved.tree) if refused else resolved.tree
    if fitting is None:
        return None, problems
    reading = Reading(project, file, fitting, resolved.tree, resolved.complete, problems)
    agent = _agent(reading)
    found = sorted(_with_repeats(reading), key=lambda problem: problem.place)
    return (None if has_errors(found) else agent), found


def _with_repeats(reading: Reading) -> Iterator[Problem]:
    """What is wrong behind `&name` counts where `*name` stands: the help names the lines."""
    for problem in reading.problems:
        text = reading.project.layers.texts.get(problem.place.file, "")
        lines = repeats_of(text, problem.place.line) if "&" in text and problem.code > "E1" else []
        used = " and ".join(f"{name} in line {line}" for name, line in lines[:3])
        yield replace(problem, help=f"{problem.help} (used by {used})".lstrip()) if used else problem


def _root(tree: Node) -> Place:
    return tree.place.beginning()


def _agent(reading: Reading) -> Agent:
    tree = reading.tree
    texts.check(reading)
    functions = contracts.functions(reading)
    think = providers.thinks(reading)
    variables: Json = tree.at("variables").plain() if tree.get("variables") else {}
    agent = Agent(
        name=reading.project.layers.agent_name(reading.file),
        place=Place(reading.project.layers.name(reading.file)),
        description=_raw(tree, "description"),
        numbers=tuple(_numbers(reading)),
        streams=tuple(_streams(reading)),
        timezone=_timezone(reading),
        language=_raw(tree, "language") or "en",
        listen=providers.listen(reading),
        think=think,
        voices=providers.voices(reading),
        variables=variables,
        greeting=reading.template(tree.get("greeting"), reading.names(), variables),
        prompt=_prompt(reading, variables, think),
        notice=reading.template(tree.get("notice"), reading.names(), variables),
        busy=reading.template(tree.get("busy"), reading.names(), variables),
        resumed=reading.template(tree.get("resumed"), reading.names(), variables) or Template(RESUMED),
        fallback=_fallback(reading, variables),
        plugins=tuple(node.raw for node in tree.at("plugins").items()),
        functions=functions,
        limits=Limits(**tree.at("limits").plain()) if tree.get("limits") else Limits(),
        records=Records(**tree.at("records").plain()) if tree.get("records") else Records(),
        api_key=reading.text(tree.at("deepgram").get("api_key")),
        deepgram_url=reading.text(tree.at("deepgram").get("url")),
        settings=reading.json(tree.at("settings")) if tree.get("settings") else {},
        rehearsals=rehearsals(reading, functions),
    )
    digits.check(reading, [text.source for text in _spoken(agent) if text])
    catalogue.check(reading, agent.listen, agent.think, agent.voices)
    if not agent.numbers and not agent.streams and reading.sure_of("numbers") and reading.sure_of("streams"):
        reading.problem("W501", _root(tree), "nobody can reach this agent", "give it numbers: or streams:")
    return agent


def _raw(tree: Node, key: str) -> str:
    node = tree.get(key)
    return node.raw if node else ""


def _prompt(reading: Reading, variables: Json, think: tuple[Think, ...]) -> Template:
    prompt = reading.template(reading.tree.get("prompt"), reading.names(), variables) or Template("")
    length = len(prompt.source)
    if length > MANAGED_PROMPT_LIMIT and any(one.endpoint is None for one in think):
        message = f"Deepgram cuts a prompt after {MANAGED_PROMPT_LIMIT:,} characters; this one has {length:,}"
        help_text = "shorten it, or give think: an endpoint of your own"
        reading.problem("W201", reading.tree.key_place("prompt"), message, help_text)
    return prompt


def _fallback(reading: Reading, variables: Json) -> Fallback:
    fallback = reading.tree.at("fallback")
    return Fallback(reading.template(fallback.get("say"), reading.names(), variables), _raw(fallback, "transfer"))


def _spoken(agent: Agent) -> tuple[Template | None, ...]:
    return agent.prompt, agent.greeting, agent.notice, agent.busy, agent.resumed, agent.fallback.say


def _numbers(reading: Reading) -> Iterator[tuple[str, Place]]:
    for node in reading.tree.at("numbers").items():
        _note_unreachable(reading, node, unreachable.number_words(node.raw))
        yield node.raw, node.place


def _note_unreachable(reading: Reading, node: Node, words: tuple[str, str] | None) -> None:
    if words is not None:
        reading.problem("W504", node.place, words[0], words[1])


def _streams(reading: Reading) -> Iterator[tuple[str, Place]]:
    for node in reading.tree.at("streams").items():
        if node.raw in OWN_PATHS:
            message = f"{node.raw} is a path of the server's own"
            reading.problem("E505", node.place, message, f"take another one, such as {node.raw}/agent")
        _note_unreachable(reading, node, unreachable.path_words(node.raw))
        yield node.raw, node.place


def _timezone(reading: Reading) -> ZoneInfo:
    node = reading.tree.get("timezone")
    if node is None or secret.REFERENCE.search(node.raw):
        return ZoneInfo("UTC")
    try:
        return ZoneInfo(node.raw)
    except (KeyError, ValueError, OSError):  # "Europe" is a folder of the data base, "../x" is refused as a path.
        zones = available_timezones()
        reading.problem("E404", node.place, f"there is no time zone {shown(node.raw)}", _meant_zone(node.raw, zones))
        return ZoneInfo("UTC")


_NEAREST = "write the nearest large city, as in Europe/Berlin"
_OFFSET = "write a city, as in Europe/Berlin: it knows the hours and summer time"


def _meant_zone(written: str, zones: Collection[str]) -> str:
    """The zone of a region, of a city, of an abbreviation; one of nearly this name. The names in Etc/ count their hours
    backwards, so that nobody means what they say."""
    named = sorted(zone for zone in zones if not zone.startswith("Etc/"))
    if re.fullmatch(r"(?i)[a-z/]*\s*[-+]\s*[0-9:.,]+\s*h?", written.strip()):
        return _OFFSET
    in_region = next((zone for zone in named if zone.startswith(f"{written}/")), "")
    if in_region:
        return f"a city follows, as in {in_region}"
    zone = _ABBREVIATED.get(written.strip().upper()) or _of_city(written, named)
    return f'did you mean "{zone}"?' if zone else _NEAREST


def _of_city(written: str, zones: Collection[str]) -> str:
    """The zone of a city, also of one that is nearly written so; one that is only somewhat alike lies anywhere."""
    cities = {zone.rpartition("/")[2].casefold(): zone for zone in zones}
    city = written.rpartition("/")[2].strip().replace(" ", "_").casefold()[:100]
    near = difflib.get_close_matches(city, cities, n=1, cutoff=0.8)
    return cities[near[0]] if near else ""


#: Abbreviations that the data base does not know, or that do not know summer time.
_ABBREVIATED = {
    **dict.fromkeys(("PST", "PDT", "PT"), "America/Los_Angeles"),
    **dict.fromkeys(("MST", "MDT", "MT"), "America/Denver"),
    **dict.fromkeys(("CST", "CDT", "CT"), "America/Chicago"),
    **dict.fromkeys(("EST", "EDT", "ET"), "America/New_York"),
    **dict.fromkeys(("BST", "UK"), "Europe/London"),
    **dict.fromkeys(("CEST", "MEZ", "MESZ"), "Europe/Berlin"),
    **dict.fromkeys(("AEST", "AEDT"), "Australia/Sydney"),
    "IST": "Asia/Kolkata",
    "JST": "Asia/Tokyo",
}
