"""The callers of the day, kind by kind: each does what such people do, and knows what it must hear."""

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
import websockets
from websockets.asyncio.client import connect

from dialplan.rehearsal.phone import FRAME_BYTES, SILENCE, Account, Caller, placed
from dialplan.server.phone import UNKNOWN_NUMBER
from tests.day.files import DESK, DISCREET, FULL, FUNCTION_SECONDS, GUEST, NOBODY, QUIET, ROOM, SMALL, STEADY
from tests.day.plans import ANSWER, NEUTRAL, SPEECH, WORDS, WRONG, Plan, Plans, Turn
from tests.faults.drill import ENDING_FRAMES, SPOKEN_FRAMES
from tests.server.test_process import PUBLIC
from tests.server.test_streams import CONNECTED, start
from tests.world import AUTH_TOKEN, Ear

#: Seconds that a caller waits for an answer, a function's time not counted; and for the end of a call.
ANSWER_SECONDS, END_SECONDS = 8.0, 30.0

#: How often something is said again, where words may be lost.
PATIENCE = 4

HEARD, HUNG_UP = "all heard", "the agent hung up"

#: Turned away though there was a place: the process says that it has too much to do.
EARLY = "too much to do"


class Wrong(Exception):
    """Not what the caller should have heard."""


@dataclass
class Town:
    """Where the callers live: the two ways to the servers, and who is on the line."""

    plans: Plans
    steady: str
    """The process that lives for the whole day."""
    deployed: str
    """A balancer before the one that is deployed again and again."""
    popular: int = 0
    """Callers to the agent with few places: who may hold one."""
    served: int = 0
    """And who holds one for certain."""

    def account(self, url: str) -> Account:
        """For calls by this way."""
        return Account(url, AUTH_TOKEN, PUBLIC)


@dataclass
class Call:
    """One caller, on the line."""

    town: Town
    plan: Plan
    caller: Caller
    ear: Ear
    chance: random.Random

    async def greeted(self) -> None:
        """Hear the greeting to its end."""
        await self.until("was not greeted", lambda ear: bool(ear.utterances), ANSWER_SECONDS)

    async def ask(self, turn: Turn = ANSWER) -> None:
        """Say something, and hear the answer. Where words may be lost, they are said again."""
        self.plan.turn = turn
        seconds = ANSWER_SECONDS + FUNCTION_SECONDS * bool(turn.function)
        for _ in range(1 if self.plan.calm else PATIENCE):
            self.speak()
            if await self._hears(WORDS, seconds):
                return
        raise Wrong("was cut off" if self.caller.over.is_set() else f"was not answered ({turn})")

    async def interrupt(self) -> None:
        """Have a long answer begun, speak into it, and hear that it stops and the answer to that."""
        self.plan.turn = Turn(length=SPEECH)
        self.speak()
        if not await self._hears(WORDS // 2, ANSWER_SECONDS):
            raise Wrong("was not answered at length")
        self.plan.turn, cuts = ANSWER, len(self.ear.cuts)
        self.speak()
        await self.until("could not interrupt", lambda ear: len(ear.cuts) > cuts, 2.0)
        if not await self._hears(WORDS, ANSWER_SECONDS):
            raise Wrong("was not answered after an interruption")

    async def over(self, why: str) -> None:
        """Wait until the other side ends the call."""
        try:
            async with asyncio.timeout(END_SECONDS):
                await self.caller.over.wait()
        except TimeoutError:
            raise Wrong(why) from None

    async def hung_up_on(self) -> str:
        """Say something that makes the agent say goodbye and hang up."""
        self.plan.turn = Turn("end_call")
        before = self.caller.recording.agent.count(self.plan.tone)
        for _ in range(1 if self.plan.calm else PATIENCE):
            self.speak()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ANSWER_SECONDS):
                    await self.caller.over.wait()
                break
        if not self.caller.over.is_set() or "Hangup" not in self.caller.documents[-1]:
            raise Wrong("was not hung up on")
        if self.caller.recording.agent.count(self.plan.tone) < before + WORDS:
            raise Wrong("was hung up on without a goodbye")
        return HUNG_UP

    def speak(self) -> None:
        """One word, and the quiet that ends it."""
        self.caller.speak(bytes([self.plan.tone]) * FRAME_BYTES * SPOKEN_FRAMES + SILENCE * (ENDING_FRAMES + 7))

    async def _hears(self, length: int, seconds: float) -> bool:
        """Whether so many more bytes of the caller's tone are heard in time."""
        heard, tone = self.caller.recording.agent, self.plan.tone
        wanted = heard.count(tone) + length
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while heard.count(tone) < wanted:
                    if self.caller.over.is_set():
                        return False
                    await asyncio.sleep(0.02)
                return True
        return False

    async def until(self, why: str, condition: Callable[[Ear], bool], seconds: float) -> None:
        """Wait until the caller has noticed something."""
        try:
            async with asyncio.timeout(seconds if self.plan.calm else END_SECONDS):
                await self.ear.until(condition)
        except TimeoutError:
            raise Wrong(why) from None


# What people do. Each tells what came of it, in a few words.


async def _short(call: Call) -> str:
    await call.greeted()
    await call.ask()
    return HEARD


async def _many_turns(call: Call) -> str:
    await call.greeted()
    for _ in range(call.chance.randint(4, 10)):
        await call.ask()
    return HEARD


async def _functions(call: Call) -> str:
    """One or two, and in the end the agent hangs up, as often as not."""
    await call.greeted()
    for _ in range(call.chance.randint(1, 2)):
        await call.ask(_function(call.chance))
    return await call.hung_up_on() if call.chance.random() < 0.5 else HEARD


def _function(chance: random.Random) -> Turn:
    # Too long, or long before that.
    seconds = FUNCTION_SECONDS + 0.5 if chance.random() < 0.15 else chance.uniform(1.0, FUNCTION_SECONDS - 1.0)
    turns = [Turn("at_once")] * 3 + [Turn("slowly", seconds), Turn("awaits", seconds)]
    turns += [Turn("fails"), Turn("refuses"), *[Turn("look_up", "bread")] * 2, Turn("look_up", "broken")]
    return chance.choice(turns)


async def look_up(call: Call) -> str:
    """One request: whatever idle connections of the server's client are too old are closed by it."""
    await call.greeted()
    await call.ask(Turn("look_up", "bread"))
    return await call.hung_up_on()


async def _interrupts(call: Call) -> str:
    await call.greeted()
    for _ in range(call.chance.randint(1, 3)):
        await call.interrupt()
    return HEARD


async def _leaves(call: Call) -> str:
    """Hangs up in the middle of the greeting."""
    await call.until("was not greeted", lambda ear: bool(call.caller.recording.agent.count(NEUTRAL)), ANSWER_SECONDS)
    await asyncio.sleep(call.chance.uniform(0.0, 0.6))
    return "left in the greeting"


async def _says_nothing(call: Call) -> str:
    await call.over("was not hung up on, though all was quiet")
    if call.plan.calm and len(call.ear.utterances) != 3:
        raise Wrong(f"heard {len(call.ear.utterances)} utterances, and not greeting, question and goodbye")
    return HUNG_UP


async def _line_breaks(call: Call) -> str:
    await call.greeted()
    await call.ask()
    await call.caller.vanish()
    await call.until("was not connected again", lambda _: len(call.caller.documents) > 1, ANSWER_SECONDS)
    await call.ask()
    return HEARD


async def _speech_lost(call: Call) -> str:
    await call.greeted()
    await call.ask(Turn(lost=True))
    await call.ask()
    return HEARD


async def _full(call: Call) -> str:
    """Many want to speak to an agent with few places."""
    town, wanted = call.town, call.town.popular
    await call.until("heard nothing", lambda ear: bool(ear.utterances or ear.announcements), ANSWER_SECONDS)
    if call.ear.announcements == [FULL]:
        return "all lines busy" if max(wanted, town.popular) > ROOM else EARLY
    town.served += 1
    try:
        if town.served > ROOM:
            raise Wrong(f"is one of {town.served}, where there are {ROOM} places")
        for _ in range(call.chance.randint(1, 4)):
            await call.ask()
    finally:
        town.served -= 1
    return HEARD


async def _unknown(call: Call) -> str:
    await call.over("is still on the line of a number that nobody has")
    if call.ear.announcements != [UNKNOWN_NUMBER]:
        raise Wrong(f"was told {call.ear.announcements} at a number that nobody has")
    return "not in service"


# Strangers, who are no callers.


async def _forged(town: Town) -> str:
    async with httpx.AsyncClient() as client:
        headers = {"x-twilio-signature": "Zm9yZ2Vk"}
        form = {"CallSid": "CA" + "f" * 32, "To": DESK, "From": "+15550109999"}
        answer = await client.post(f"{town.steady}/twilio/voice", data=form, headers=headers)
    if answer.status_code != 403:
        raise Wrong(f"a forged webhook was answered with {answer.status_code}")
    return "refused"


async def _bad_token(town: Town) -> str:
    async with connect(town.steady.replace("http", "ws") + "/twilio/stream") as connection:
        with contextlib.suppress(websockets.ConnectionClosed):
            await connection.send(CONNECTED)
            await connection.send(start({"token": "forged.9999999999.desk"}))
        async with asyncio.timeout(ANSWER_SECONDS):
            await connection.wait_closed()
    if connection.close_code != 1008:
        raise Wrong(f"a stream with a bad token was closed with {connection.close_code}")
    return "refused"


@dataclass(frozen=True, slots=True)
class Kind:
    """Of caller, or of stranger."""

    name: str
    often: int
    does: Callable[[Call], Awaitable[str]]
    to: str = DESK
    calm: bool = True
    """Nothing is taken from under such a call on purpose."""
    anywhere: bool = True
    """Either process may get it."""
    greeting: int = WORDS


CALLERS = (
    Kind("short", 10, _short),
    Kind("many turns", 5, _many_turns),
    Kind("functions", 12, _functions),
    Kind("interrupts", 6, _interrupts, anywhere=False),
    Kind("hangs up in the greeting", 5, _leaves, to=STEADY, greeting=WORDS * 5),
    Kind("says nothing", 2, _says_nothing, to=QUIET),
    Kind("no transcripts", 4, _short, to=DISCREET),
    Kind("a file that breaks", 4, _short, to=STEADY),
    Kind("few places", 8, _full, to=SMALL, anywhere=False),
    Kind("unknown number", 2, _unknown, to=NOBODY),
    Kind("line breaks", 2, _line_breaks, to=STEADY, calm=False, anywhere=False),
    Kind("speech service is lost", 2, _speech_lost, to=STEADY, calm=False, anywhere=False),
)
STRANGERS: dict[str, Callable[[Town], Awaitable[str]]] = {"forged webhook": _forged, "bad token": _bad_token}
GUESTS = Kind("comes and goes", 0, _short, to=GUEST, anywhere=False)
GUESTS_GONE = Kind("gone", 0, _unknown, to=GUEST, anywhere=False)
LAST = Kind("looks something up", 0, look_up, anywhere=False)


@dataclass
class Ended:
    """What became of a call."""

    kind: str
    outcome: str = ""
    wrong: list[str] = field(default_factory=list)
    """What was not as it should be; empty where nothing was."""


async def call(town: Town, kind: Kind, tone: int, chance: random.Random) -> Ended:
    """A whole call of a kind."""
    ended = Ended(kind.name)
    elsewhere = kind.anywhere and chance.random() < 0.3
    async with _begun(town, kind, tone, calm=kind.calm and not elsewhere) as (number, plan):
        account = town.account(town.deployed if elsewhere else town.steady)
        async with placed(account, kind.to, number, ear := Ear()) as caller:
            try:
                ended.outcome = await kind.does(Call(town, plan, caller, ear, chance))
            except Wrong as exc:
                told = [*ear.announcements, *caller.warnings, *caller.documents[-1:]]
                ended.wrong.append(f"{exc} ({caller.call_sid}, by {account.server}): {json.dumps(told)}")
            if caller.rejected:
                ended.outcome, ended.wrong = EARLY, []
        ended.wrong += [*plan.mistakes, *_overheard(caller, plan)]
        ended.wrong += [f"Twilio would warn: {warning}" for warning in caller.warnings if warning.startswith("3195")]
    return ended


@asynccontextmanager
async def _begun(town: Town, kind: Kind, tone: int, *, calm: bool) -> AsyncIterator[tuple[str, Plan]]:
    number, plan = town.plans.begun(kind.name, tone, calm=calm)
    plan.greeting = kind.greeting
    town.popular += kind.to == SMALL
    try:
        yield number, plan
    finally:
        town.popular -= kind.to == SMALL
        town.plans.ended(number)


def _overheard(caller: Caller, plan: Plan) -> list[str]:
    heard = set(bytes(caller.recording.agent)) - {0xFF, NEUTRAL, plan.tone}
    if WRONG in heard:
        return []  # What was wrong is among the plan's mistakes.
    return [f"heard tones of others: {sorted(map(hex, heard))}"] if heard else []


async def stranger(town: Town, kind: str) -> Ended:
    """Somebody who is no caller."""
    ended = Ended(kind)
    try:
        ended.outcome = await STRANGERS[kind](town)
    except (Wrong, httpx.HTTPError, OSError, TimeoutError, websockets.InvalidHandshake) as exc:
        ended.wrong.append(repr(exc))
    return ended
