"""When it is too much: who is turned away, in which words, and who never is."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from xml.etree import ElementTree as ET

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from dialplan.call.record import End, Entry, Said
from dialplan.facts import Call
from dialplan.metrics import Metrics
from dialplan.server.admission import Admission
from dialplan.server.lateness import BEAT, BEATS, MANY, Lateness
from dialplan.server.ledger import Ledger
from dialplan.server.rates import MOST, Rates
from dialplan.server.seats import Folder, Memory, Seats
from tests.server.test_phone import form, post
from tests.server.test_streams import closed_with, start, stream
from tests.world import AGENT, NUMBER, ScriptedSession, World, project, server_for, speech_service

BUSY = AGENT + "busy: All lines at {{ call.to }} are busy.\nlimits: {calls: 2}\nlanguage: en-GB\n"
TENANT = 'numbers: ["+15550100002"]\nprompt: x\ndeepgram: {api_key: "${TENANT_KEY:-another-key}"}\n'


async def never(session: ScriptedSession) -> None:
    await session.open()


@asynccontextmanager
async def world_of(
    tmp_path: Path, admission: Admission | None = None, ledger: Ledger | None = None, **agents: str
) -> AsyncIterator[World]:
    loading = project(tmp_path, **agents)
    options = {"admission": admission, "ledger": ledger}
    async with speech_service(never) as service, server_for(loading, service.url, **options) as world:
        yield world


async def calls(world: World, call_sid: str, **fields: str) -> str:
    """The first verb that a new call is answered with."""
    answer = await post(world, "/twilio/voice", form(CallSid=call_sid, **fields))
    assert answer.status_code == 200
    return ET.fromstring(answer.text)[0].tag


async def refused(world: World, reason: str) -> float:
    async with httpx.AsyncClient(base_url=world.url) as client:
        text = (await client.get("/metrics")).text
    wanted = f'dialplan_calls_refused_total{{reason="{reason}"}} '
    return sum(float(line.removeprefix(wanted)) for line in text.splitlines() if line.startswith(wanted))


# An agent's own limit.


async def test_one_call_too_many_hears_the_agents_own_words(tmp_path: Path) -> None:
    async with world_of(tmp_path, a=BUSY) as world:
        assert [await calls(world, sid) for sid in ("CA1", "CA2")] == ["Connect", "Connect"]

        answer = ET.fromstring((await post(world, "/twilio/voice", form(CallSid="CA3"))).text)

        assert [verb.tag for verb in answer] == ["Say", "Hangup"]
        assert answer[0].text == f"All lines at {NUMBER} are busy."
        assert answer[0].attrib == {"language": "en-GB"}
        assert await refused(world, "full") == 1


async def test_a_place_is_free_again_when_a_call_has_ended(tmp_path: Path) -> None:
    async with world_of(tmp_path, a=AGENT + "limits: {calls: 1}\n") as world:
        assert [await calls(world, sid) for sid in ("CA1", "CA2")] == ["Connect", "Reject"]

        await post(world, "/twilio/status", form(CallStatus="completed"))

        assert await calls(world, "CA3") == "Connect"


async def test_whoever_is_connected_again_is_never_one_too_many(tmp_path: Path) -> None:
    async with world_of(tmp_path, a=AGENT + "limits: {calls: 1}\n") as world:
        await calls(world, "CA1")
        session = world.live.find("CA1")
        assert session is not None
        session.end(End.LINE_LOST)
        assert await calls(world, "CA2") == "Connect"

        again = await post(world, "/twilio/next?attempt=1", form(CallStatus="in-progress"))

        assert ET.fromstring(again.text)[0].tag == "Connect"


# The speech service's limit.


async def test_no_more_sessions_are_opened_than_the_servers_key_allows(tmp_path: Path) -> None:
    async with world_of(tmp_path, Admission(sessions=2), a=AGENT, tenant=TENANT) as world:
        assert [await calls(world, sid) for sid in ("CA1", "CA2", "CA3")] == ["Connect", "Connect", "Reject"]

        assert await refused(world, "sessions") == 1
        assert await calls(world, "CA4", To="+15550100002") == "Connect"  # With a key of its own.


async def test_a_session_counts_until_it_is_closed(tmp_path: Path) -> None:
    async with world_of(tmp_path, Admission(sessions=1), a=AGENT) as world:
        await calls(world, "CA1")
        session = world.live.find("CA1")
        assert session is not None
        session.end(End.CALLER)

        assert world.live.admission.seats.take("sessions", 1) is None
        await session.ended.wait()
        assert await calls(world, "CA3") == "Connect"


# The process's own limit.


@pytest.fixture
def lateness() -> Lateness:
    return Lateness(Metrics())


async def test_while_frames_run_late_no_new_call_is_taken_and_the_server_is_not_ready(
    tmp_path: Path, lateness: Lateness
) -> None:
    async with world_of(tmp_path, Admission(lateness=lateness), a=AGENT) as world:
        await calls(world, "CA1")
        for _ in range(MANY):
            lateness.note(0.05, 0.05)

        assert await calls(world, "CA2") == "Reject"
        assert await refused(world, "late") == 1
        async with httpx.AsyncClient(base_url=world.url) as client:
            ready = await client.get("/readyz")
        assert (ready.status_code, ready.json()["late"]) == (503, True)
        again = await post(world, "/twilio/next?attempt=1", form(CallStatus="in-progress"))
        assert ET.fromstring(again.text)[0].tag == "Connect"


def test_one_pause_is_not_late_and_what_was_late_is_forgotten(lateness: Lateness) -> None:
    lateness.note(5.0, 5.0)
    assert not lateness.is_late
    for _ in range(BEATS):
        lateness.note(0.011, 0.05)
    assert lateness.is_late
    for _ in range(BEATS):
        lateness.note(0.001, 0.05)
    assert not lateness.is_late


def test_who_waits_for_others_on_the_machine_is_not_too_busy_itself(lateness: Lateness) -> None:
    for _ in range(BEATS):
        lateness.note(0.05, 0.01)

    assert not lateness.is_late


async def test_a_loop_that_is_held_up_is_noticed() -> None:
    noticed = asyncio.get_running_loop().create_future()

    class Noticing(Lateness):
        def note(self, delay: float, worked: float) -> None:
            super().note(delay, worked)
            noticed.set_result(delay)

    with Noticing(metrics := Metrics()):
        asyncio.get_running_loop().call_soon(time.sleep, BEAT + 0.05)
        assert await noticed > 0.02

    assert b'dialplan_loop_late_seconds_bucket{le="0.02"} 0.0' in metrics.text()


# An account, and strangers.


async def test_an_account_that_calls_in_a_loop_is_slowed_down_and_others_are_not(tmp_path: Path) -> None:
    admission = Admission(accounts=Rates(0.0, 2))
    async with world_of(tmp_path, admission, a=AGENT) as world:
        assert [await calls(world, sid) for sid in ("CA1", "CA2", "CA3")] == ["Connect", "Connect", "Reject"]

        assert await refused(world, "rate") == 1
        assert await calls(world, "CA4", AccountSid="AC2") == "Connect"
        assert await calls(world, "CA1") == "Connect"  # Twilio asks again.


async def test_a_stranger_who_asks_too_often_is_told_so_and_twilio_is_not(tmp_path: Path) -> None:
    admission = Admission(strangers=Rates(0.0, 2))
    loading = project(tmp_path, a=AGENT)
    async with speech_service(never) as service, server_for(loading, service.url, admission=admission) as world:
        answers = [await post(world, "/twilio/voice", form(), signature="wrong") for _ in range(3)]
        assert [answer.status_code for answer in answers] == [403, 403, 429]
        assert answers[2].headers["retry-after"]

        with pytest.raises(InvalidStatus) as of_stream:
            async with stream(world, signed=False):
                pass
        with pytest.raises(InvalidStatus) as of_bin:
            async with stream(world, "/bin", signed=False):
                pass
        assert of_stream.value.response.status_code == of_bin.value.response.status_code == 429

        async with stream(world, "/bin") as connection:
            await connection.send(start({}, "CA1"))
            await service.opened.wait()
        assert await calls(world, "CA2") == "Connect"


@pytest.mark.parametrize(
    ("trusted", "status"), [(("127.0.0.1",), 403), (("10.0.0.0/8",), 429)], ids=["trusted", "not trusted"]
)
async def test_who_a_stranger_is_a_trusted_proxy_says_and_nobody_else(
    tmp_path: Path, trusted: tuple[str, ...], status: int
) -> None:
    admission = Admission(strangers=Rates(0.0, 1))
    loading = project(tmp_path, a=AGENT)
    async with (
        speech_service(never) as service,
        server_for(loading, service.url, admission=admission, trusted_proxies=trusted) as world,
        httpx.AsyncClient(base_url=world.url) as client,
    ):
        for number in (1, 2):
            headers = {"x-forwarded-for": f"203.0.113.{number}"}
            answer = await client.post("/twilio/voice", data=form(), headers=headers)

    assert answer.status_code == status


def test_a_rate_is_so_many_in_a_second_and_some_at_once_for_each_name() -> None:
    now = 0.0
    rates = Rates(2.0, 3, lambda: now)

    assert [rates.allow("a") for _ in range(4)] == [True, True, True, False]
    assert rates.allow("b")
    now = 0.5
    assert [rates.allow("a") for _ in range(2)] == [True, False]
    now = 100.0
    assert [rates.allow("a") for _ in range(4)] == [True, True, True, False]


def test_no_number_of_names_fills_the_memory() -> None:
    rates = Rates(1.0, 1)

    for number in range(MOST + 100):
        rates.allow(str(number))

    assert len(rates) == MOST


# Places.


@pytest.fixture(params=["memory", "folder"])
def seats(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Seats]:
    """Makes one for each process."""
    if request.param == "folder":
        return lambda: Folder(tmp_path / "seats")
    memory = Memory()
    return lambda: memory


def test_a_room_has_so_many_places_for_all_processes_together(seats: Callable[[], Seats]) -> None:
    one, other = seats(), seats()
    first, second = one.take("a", 2), other.take("a", 2)
    assert first
    assert second
    assert one.take("a", 2) is None
    assert other.take("b", 2)

    first()
    assert other.take("a", 2)
    assert one.take("a", 2) is None


def test_a_place_is_given_in_any_case_to_whoever_must_have_one(seats: Callable[[], Seats]) -> None:
    one = seats()
    leave = one.take("a", 1)
    extra = one.take("a", 1, always=True)
    assert leave
    assert extra

    extra()
    assert one.take("a", 1) is None
    leave()
    assert one.take("a", 1)


def test_places_that_cannot_be_shared_are_counted_by_the_process(tmp_path: Path) -> None:
    (tmp_path / "seats").write_text("no folder")
    seats = Folder(tmp_path / "seats")

    assert seats.take("a", 1)
    assert seats.take("a", 1) is None


# One stream for a call.


async def test_the_newest_stream_of_a_call_takes_the_place_of_the_older_one(tmp_path: Path) -> None:
    told = asyncio.Queue[Entry]()

    async def script(session: ScriptedSession) -> None:
        await session.open()
        await session.send("ConversationText", role="assistant", content="Hello.")

    async def until_said() -> None:
        while not isinstance(await told.get(), Said):
            pass

    def observe(call: Call, entry: Entry) -> None:
        told.put_nowait(entry)

    loading = project(tmp_path, a=AGENT + "limits: {calls: 1}\n")
    async with speech_service(script) as service, server_for(loading, service.url, observe=observe) as world:
        async with stream(world, "/bin") as older, stream(world, "/bin") as newer:
            await older.send(start({}, "CA1"))
            await until_said()
            await newer.send(start({}, "CA1"))

            assert await closed_with(older) == 1000
            await until_said()
            session = world.live.find("CA1")
            assert session is not None
            assert (session.attempt, len(service.sessions)) == (2, 2)
            assert service.sessions[1].settings["agent"]["context"]["messages"][0]["content"] == "Hello."
            session.end(End.CALLER)
            assert await closed_with(newer) == 1000
