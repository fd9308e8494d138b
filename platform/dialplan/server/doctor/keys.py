"""Whether Deepgram accepts the keys: the server's, and those that agents bring.

Each is shown to the very address that calls dial, over the code that dials them, until `Welcome` comes. Deepgram has a
cheaper question (`GET https://api.deepgram.com/v1/auth/token`), but it proves less: that host is neither the one of a
region nor the one of a self-hosted Deepgram, and it knows nothing of proxies that let no WebSocket through. No Settings
are sent, so nobody listens, thinks or speaks. Deepgram bills the time of a connection: here it is under a second.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from dialplan import words
from dialplan.call.dialling import dialler
from dialplan.call.sockets import Dial, Listener
from dialplan.config.model import Agent
from dialplan.config.secret import Secret, reveal
from dialplan.errors import SpeechError
from dialplan.server.doctor.asking import why
from dialplan.server.doctor.findings import Check, Finding, State
from dialplan.wire import address, deepgram

#: Seconds for saying goodbye.
CLOSE_SECONDS = 1.0

#: Keys that are shown at once: more could be taken for an attack, or for calls.
AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Key:
    """A key, where it is shown, and whose it is."""

    url: str = field(repr=False)
    value: str = field(repr=False)
    name: str
    """How it is written where it is set: never itself."""
    users: tuple[str, ...] = ()
    """Agents that bring it; none for the server's."""

    def __str__(self) -> str:
        return self.name + (f" (of {', '.join(self.users)})" if self.users else "")


def keys(server_url: str, server_key: str, agents: Iterable[Agent]) -> list[Key]:
    """Every different key, the server's first."""
    bringing: defaultdict[tuple[str, str], list[Agent]] = defaultdict(list)
    for agent in agents:
        if agent.api_key or agent.deepgram_url:
            bringing[reveal(agent.deepgram_url) or server_url, reveal(agent.api_key) or server_key].append(agent)
    return [
        *_each(server_url, server_key, "DEEPGRAM_API_KEY"),
        *(
            key
            for (urls, values), using in bringing.items()
            for key in _each(urls, values, _name(using[0]), tuple(a.name for a in using))
        ),
    ]


def _each(urls: str, values: str, name: str, users: tuple[str, ...] = ()) -> Iterator[Key]:
    """Every key at every address, where several are listed."""
    listed = words.listed(values) or [""]
    for number, value in enumerate(listed, 1):
        for url in words.listed(urls):
            yield Key(url, value, name if len(listed) == 1 else f"{name} (number {number})", users)


def _name(agent: Agent) -> str:
    if not agent.api_key:
        return "DEEPGRAM_API_KEY"
    return agent.api_key.shown if isinstance(agent.api_key, Secret) else "deepgram.api_key"


async def examine(keys: Sequence[Key], seconds: float) -> list[Finding]:
    """Show every key."""
    dial = dialler(CLOSE_SECONDS)
    turn = asyncio.Semaphore(AT_ONCE)
    return list(await asyncio.gather(*(_examine(key, dial, turn, seconds) for key in keys)))


async def _examine(key: Key, dial: Dial, turn: asyncio.Semaphore, seconds: float) -> Finding:
    if finding := _unfit(key):
        return finding
    where = address.host(key.url) or "the speech service"
    try:
        async with turn, asyncio.timeout(seconds):
            return _heard(key, where, await _first_message(key, dial))
    except SpeechError as exc:
        return _refused(key, where, exc, seconds)
    except TimeoutError:
        return _wrong(f"{where} opens no session within {seconds:g} s, for {key}", _WAY)


def _unfit(key: Key) -> Finding | None:
    if not key.value:
        return _wrong(f"{key} is not set", "write it into .env (console.deepgram.com → API Keys), or serve --offline")
    if not fit_for_header(key.value):
        return _wrong(f"{key} holds a space or a character that no key has", "copy it again, without what is around it")
    return None


def fit_for_header(secret: str) -> bool:
    """Whether a secret can be one: nothing but visible ASCII."""
    return all("!" <= c <= "~" for c in secret)


async def _first_message(key: Key, dial: Dial) -> deepgram.Event | int:
    """What is said first; or the code that the connection is closed with."""
    async with dial(key.url, key.value) as socket:
        first: asyncio.Future[deepgram.Event | int] = asyncio.get_running_loop().create_future()

        def heard(message: deepgram.Event | int) -> None:
            if not first.done():
                first.set_result(message)

        socket.listen(
            Listener(
                text=lambda message: heard(deepgram.parse(message)),
                binary=lambda message: heard(deepgram.Unknown("a binary message")),
                lost=heard,
                blocked=lambda on: None,
            )
        )
        return await first


def _heard(key: Key, where: str, message: deepgram.Event | int) -> Finding:
    match message:
        case deepgram.Welcome():
            return Finding(Check.DEEPGRAM, State.OK, f"{where} accepts {key}")
        case deepgram.Error(code=code, description=description):
            return _wrong(f"{where} refuses {key}: {code[:60]} {description[:200]}".rstrip(), _help(code))
        case int(code):
            return _wrong(f"{where} closes the connection before Welcome (code {code}), for {key}", _WAY)
    return _wrong(f"{where} does not begin with Welcome, as Deepgram does", "look at the address in DEEPGRAM_URL")


def _refused(key: Key, where: str, exc: SpeechError, seconds: float) -> Finding:
    if not exc.code.isdigit():
        return _wrong(f"{where} {why(exc.__cause__ or exc, seconds)}", _WAY)
    if exc.code == "429":
        message = f"{where} has no session left for {key} at the moment (status 429)"
        return Finding(
            Check.DEEPGRAM, State.WARNING, message, "the plan's sessions are all in use; see docs/operations.md"
        )
    return _wrong(f"{where} refuses {key} with status {exc.code}", _help(exc.code))


_WAY = "look at this machine's way to the internet, and at DEEPGRAM_URL where it is set; then at status.deepgram.com"


def _help(code: str) -> str:
    match code:
        case "401":
            return "the key is wrong or was deleted: make a new one at console.deepgram.com → API Keys"
        case "402":
            return "the project's credit is used up: see console.deepgram.com"
        case "403":
            return "the key may not use the Voice Agent API: make one with the role Member, at console.deepgram.com"
        case _ if code.startswith("5"):
            return "the trouble is Deepgram's: see status.deepgram.com, and try again later"
    return f"look at the address in DEEPGRAM_URL; Deepgram's own is {deepgram.DEFAULT_URL}"


def _wrong(message: str, help_text: str) -> Finding:
    return Finding(Check.DEEPGRAM, State.WRONG, message, help_text)
