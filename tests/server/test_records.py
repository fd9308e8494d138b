"""Calls leave records, in whatever way the server that answered them ends."""

import os
import signal
from pathlib import Path

import pytest

from dialplan.journal.address import Database
from dialplan.rehearsal.phone import placed
from tests.journal.calling import kept, until_kept
from tests.server.test_process import TONE, greets, refused, serving, variables
from tests.world import AGENT, CALLER, NUMBER, Ear, ScriptedSession, project, speech_service

SAYS = AGENT + 'settings: {agent: {think: {endpoint: {headers: {x-key: "${HUSH}"}}}}}\n'


def database(root: Path) -> Database:
    return Database("calls", file=root / "var" / "dialplan.db")


async def talks(session: ScriptedSession) -> None:
    await session.open()
    await session.send("ConversationText", role="user", content="Good evening.")
    await session.say(TONE)


@pytest.mark.parametrize("options", [[], ["--workers", "2"]], ids=["alone", "workers"])
async def test_a_call_is_on_record_while_it_lasts_and_after(
    tmp_path: Path, options: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("HUSH=canary-value\n")
    monkeypatch.setenv("HUSH", "canary-value")
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "a.yaml").write_text(SAYS)
    ear = Ear()

    async with speech_service(talks) as service, serving(tmp_path, service.url, *options) as server:
        async with placed(server.account, NUMBER, CALLER, ear) as caller:
            await ear.until(lambda e: bool(e.utterances))
            await until_kept(database(tmp_path), 4, caller.call_sid)
        server.process.send_signal(signal.SIGTERM)
        assert await server.ended() == 0

    found = await kept(database(tmp_path), caller.call_sid)
    # Another worker may take the stream than answered the webhook; then there are two sessions, and one had the line.
    kinds = [one.kind for one in found if one.kind not in ("connected", "ended")]
    assert list(dict.fromkeys(kinds)) == ["began", "speech_session", "settings", "said"]
    assert len(kinds) == 4 or options
    assert "connected" in [one.kind for one in found]
    assert "caller" in [one.data["end"] for one in found if one.kind == "ended"]
    shown = next(one.data["settings"] for one in found if one.kind == "settings")
    assert shown["agent"]["think"]["endpoint"]["headers"] == {"x-key": "${HUSH}"}
    assert service.sessions[0].settings["agent"]["think"]["endpoint"]["headers"] == {"x-key": "canary-value"}
    assert all(b"canary-value" not in file.read_bytes() for file in (tmp_path / "var").iterdir())


async def test_what_was_told_before_the_process_is_killed_is_on_record(tmp_path: Path) -> None:
    project(tmp_path, a=AGENT)
    ear = Ear()

    async with speech_service(talks) as service, serving(tmp_path, service.url) as server:
        async with placed(server.account, NUMBER, CALLER, ear) as caller:
            await until_kept(database(tmp_path), 5, caller.call_sid)
            os.kill(server.process.pid, signal.SIGKILL)

    kinds = {one.kind for one in await kept(database(tmp_path), caller.call_sid)}
    assert kinds == {"began", "connected", "speech_session", "settings", "said"}


async def test_without_a_database_calls_are_answered_all_the_same(tmp_path: Path) -> None:
    project(tmp_path, a=AGENT)
    (tmp_path / "var" / "dialplan.db").mkdir(parents=True)
    ear = Ear()

    async with speech_service(greets) as service, serving(tmp_path, service.url) as server:
        async with placed(server.account, NUMBER, CALLER, ear):
            await ear.until(lambda e: bool(e.utterances))
        server.process.send_signal(signal.SIGTERM)
        assert await server.ended() == 0

    assert ear.utterances == [TONE]


async def test_a_database_that_is_none_is_told_in_words(tmp_path: Path) -> None:
    project(tmp_path, a=AGENT)

    code, stderr = await refused(tmp_path, variables(DATABASE_URL="mysql://ann:canary@host/calls"))

    assert code == 2
    assert "DATABASE_URL" in stderr
    assert "canary" not in stderr
    assert "Traceback" not in stderr
