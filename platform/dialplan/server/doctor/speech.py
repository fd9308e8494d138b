"""Whether Deepgram takes the keys: the project's own, and those that agents bring along.

A session of the Voice Agent API is opened and closed again, without Settings. A REST call would prove less: that a key
exists, and not that it may open this very kind of session, in this region, through this network.
"""

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import websockets

from dialplan.call.dialling import dialler
from dialplan.call.sockets import Dial, Listener
from dialplan.config.dialplan import Dialplan
from dialplan.config.secret import reveal
from dialplan.errors import SpeechError, SpeechLost, SpeechRefused
from dialplan.server import addresses
from dialplan.server.doctor.finding import Check, Finding, State
from dialplan.wire import deepgram

#: Seconds from dialling to Welcome, and for closing.
SECONDS = 5.0
CLOSE_SECONDS = 1.0

#: Sessions at once count against the Deepgram plan, and calls need theirs.
AT_ONCE = 4

MISSING = Finding(
    Check.DEEPGRAM,
    State.WRONG,
    "DEEPGRAM_API_KEY is not set, so no agent can hear or speak",
    "make one at console.deepgram.com → API Keys, and set it in .env; dialplan serve --offline needs none",
)


@dataclass(frozen=True, slots=True)
class Account:
    """An address and a key."""

    url: str
    key: str


def accounts(dialplan: Dialplan, server: Account) -> Mapping[Account, list[str]]:
    """Every account that a call could use, with the agents that use it: none are named for the server's own."""
    users: defaultdict[Account, list[str]] = defaultdict(list)
    for agent in dialplan.agents.values():
        used = Account(reveal(agent.deepgram_url) or server.url, reveal(agent.api_key) or server.key)
        users[used].append(agent.name)
    if server in users or not users:
        users[server] = []
    return users


async def found(accounts: Mapping[Account, list[str]]) -> list[Finding]:
    """A finding for each account."""
    turn, dial = asyncio.Semaphore(AT_ONCE), dialler(CLOSE_SECONDS)

    async def one(account: Account, users: list[str]) -> Finding:
        async with turn:
            return await _found(dial, account, users)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(*each)) for each in accounts.items()]
    return [task.result() for task in tasks]


async def _found(dial: Dial, account: Account, users: list[str]) -> Finding:
    if not account.key:
        return MISSING
    split = addresses.parts(account.url)
    if split is None or split.scheme not in ("wss", "ws"):
        message = f"the address for {', '.join(users) or 'all agents'} is not a whole one that begins with wss://"
        return Finding(Check.DEEPGRAM, State.WRONG, message, _ADDRESS)
    whose = f"the key of {', '.join(users)}" if users else "the key"
    where = addresses.shown(account.url)
    try:
        async with asyncio.timeout(SECONDS):
            await _welcomed(dial, account)
    except SpeechRefused as exc:
        return Finding(Check.DEEPGRAM, State.WRONG, f"{where} refuses {whose}: {_told(exc, account)}", _help(exc))
    except SpeechLost as exc:
        return Finding(Check.DEEPGRAM, State.WRONG, f"{where} with {whose}: {_told(exc, account)}", _ADDRESS)
    except TimeoutError:
        message = f"{where} with {whose}: no welcome within {SECONDS:g} s"
        return Finding(Check.DEEPGRAM, State.WRONG, message, _ADDRESS)
    except websockets.WebSocketException:  # Of a proxy in between; dialling knows those of the handshake.
        return Finding(Check.DEEPGRAM, State.WRONG, f"{where} cannot be reached through the proxy", _ADDRESS)
    return Finding(Check.DEEPGRAM, State.OK, f"{where} takes {whose}")


async def _welcomed(dial: Dial, account: Account) -> None:
    """Returns when Deepgram has said Welcome; raises SpeechError."""
    welcome = asyncio.get_running_loop().create_future()

    def heard(message: bytes) -> None:
        if not welcome.done():
            welcome.set_result(deepgram.parse(message))

    def lost(code: int) -> None:
        if not welcome.done():
            welcome.set_exception(SpeechLost(f"it closed at once ({code})", str(code)))

    async with dial(account.url, account.key) as socket:
        socket.listen(Listener(heard, lambda message: heard(b""), lost, lambda on: None))
        event = await welcome
    match event:
        case deepgram.Welcome():
            pass
        case deepgram.Error(code=code):
            raise SpeechRefused(f"it says {code}", code)
        case _:
            raise SpeechLost("it does not speak as Deepgram's Voice Agent API does", "unknown")


_ADDRESS = "DEEPGRAM_URL must be the whole address of the Voice Agent API, and this machine must reach it"


def _help(exc: SpeechError) -> str:
    if exc.code in ("401", "403"):
        return "take a key of that region's project, with the role Member, from console.deepgram.com → API Keys"
    if exc.code == "429":
        return "too many sessions at once for the plan: end some, or ask Deepgram for more"
    return _ADDRESS if exc.code in ("301", "302", "307", "308", "404", "405") else "try again; then status.deepgram.com"


def _told(exc: SpeechError, account: Account) -> str:
    """The error's words, without the user and password that an address may have."""
    split = addresses.parts(account.url)
    user = split.netloc.rpartition("@")[0] if split else ""
    return str(exc).replace(f"{user}@", "") if user else str(exc)
