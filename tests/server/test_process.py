"""`dialplan serve` as the operator runs it: a process, its signals, its exit codes, its messages."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import httpx
import pytest

from dialplan.rehearsal.phone import Account, placed
from tests.config.files import write
from tests.world import AGENT, AUTH_TOKEN, CALLER, NUMBER, Ear, ScriptedSession, project, speech_service

TONE = bytes(range(1, 161))
PUBLIC = "https://voice.example.com"


@dataclass
class Process:
    process: asyncio.subprocess.Process
    url: str

    @property
    def account(self) -> Account:
        return Account(self.url, AUTH_TOKEN, PUBLIC)

    async def ended(self) -> int:
        async with asyncio.timeout(20):
            return await self.process.wait()


def variables(**changes: str) -> dict[str, str]:
    settings = {"TWILIO_AUTH_TOKEN": AUTH_TOKEN, "DEEPGRAM_API_KEY": "key", "PUBLIC_URL": PUBLIC, **changes}
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TMPDIR")}
    return kept | {name: value for name, value in settings.items() if value}


@asynccontextmanager
async def serving(root: Path, speech_url: str, *options: str, log: IO[bytes] | None = None) -> AsyncIterator[Process]:
    command = ["-m", "dialplan", "serve", "--port", "0", "--root", str(root), *options]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, env=variables(DEEPGRAM_URL=speech_url), stdout=asyncio.subprocess.PIPE, stderr=log
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(20):
            url = (await process.stdout.readline()).decode().split()[-1]
            await until_ready(url)
        yield Process(process, url)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def until_ready(url: str) -> None:
    """The socket listens from the beginning; a request waits there until somebody answers it."""
    async with httpx.AsyncClient(timeout=20) as client:
        assert (await client.get(f"{url}/readyz")).status_code == 200


async def refused(root: Path, env: dict[str, str], *options: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *["-m", "dialplan", "serve", "--port", "0", "--root", str(root), *options],
        env=env,
        stderr=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
    )
    async with asyncio.timeout(20):
        _, stderr = await process.communicate()
    return process.returncode, stderr.decode()


async def greets(session: ScriptedSession) -> None:
    await session.open()
    await session.say(TONE)


async def test_a_signal_ends_an_idle_server_with_exit_code_0(tmp_path: Path) -> None:
    project(tmp_path, a=AGENT)

    async with speech_service(greets) as service, serving(tmp_path, service.url) as server:
        server.process.send_signal(signal.SIGTERM)
        code = await server.ended()

    assert code == 0


async def test_a_signal_cuts_nobody_off_and_new_calls_hear_the_busy_tone(tmp_path: Path) -> None:
    project(tmp_path, a=AGENT)
    ear, late_ear = Ear(), Ear()

    async with speech_service(greets) as service, serving(tmp_path, service.url) as server:
        async with placed(server.account, NUMBER, CALLER, ear) as caller:
            await ear.until(lambda e: bool(e.utterances))
            server.process.send_signal(signal.SIGTERM)
            await until_draining(server.url)
            async with placed(server.account, NUMBER, CALLER, late_ear) as late:
                await late.over.wait()
            assert late.rejected
            assert not caller.over.is_set()
            assert caller.connected.is_set()
        code = await server.ended()

    assert code == 0


async def until_draining(url: str) -> None:
    async with httpx.AsyncClient() as client, asyncio.timeout(10):
        while (await client.get(f"{url}/readyz")).status_code != 503:  # noqa: ASYNC110 -- another process's state
            await asyncio.sleep(0.02)
        assert (await client.get(f"{url}/healthz")).status_code == 200


async def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    project(tmp_path, a=AGENT)
    ear = Ear()

    async with speech_service(greets) as service, serving(tmp_path, service.url) as server:
        async with placed(server.account, NUMBER, CALLER, ear):
            await ear.until(lambda e: bool(e.utterances))
            server.process.send_signal(signal.SIGTERM)
            await until_draining(server.url)
            server.process.send_signal(signal.SIGTERM)
            code = await server.ended()

    assert code == 0


@pytest.mark.parametrize(
    ("missing", "options", "hint"),
    [("TWILIO_AUTH_TOKEN", (), "--insecure"), ("DEEPGRAM_API_KEY", (), "--offline")],
)
async def test_without_a_secret_it_refuses_to_start_and_says_what_to_do(
    tmp_path: Path, missing: str, options: tuple[str, ...], hint: str
) -> None:
    project(tmp_path, a=AGENT)

    code, stderr = await refused(tmp_path, variables(**{missing: ""}), *options)

    assert code == 2
    assert missing in stderr
    assert hint in stderr
    assert "Traceback" not in stderr


@pytest.mark.parametrize("name", ["DEEPGRAM_URL", "PUBLIC_URL"])
async def test_an_address_that_is_none_is_refused_by_name(tmp_path: Path, name: str) -> None:
    project(tmp_path, a=AGENT)

    code, stderr = await refused(tmp_path, variables(**{name: "voice.example.com"}))

    assert code == 2
    assert name in stderr
    assert "Traceback" not in stderr


async def test_a_port_that_is_taken_is_said_in_words(tmp_path: Path) -> None:
    project(tmp_path, a=AGENT)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])

        code, stderr = await refused(tmp_path, variables(), "--port", port)

    assert code == 2
    assert port in stderr
    assert "Traceback" not in stderr


async def test_values_come_from_the_projects_dotenv_too(tmp_path: Path) -> None:
    project(tmp_path, a=AGENT)
    (tmp_path / ".env").write_text("TWILIO_AUTH_TOKEN=from-file\nPUBLIC_URL=nonsense\n")

    code, stderr = await refused(tmp_path, variables(TWILIO_AUTH_TOKEN="", PUBLIC_URL=""))

    assert code == 2
    assert "TWILIO_AUTH_TOKEN" not in stderr
    assert "PUBLIC_URL" in stderr


async def test_one_bad_file_is_shown_and_the_other_agents_answer(tmp_path: Path) -> None:
    project(tmp_path, a=AGENT)
    (tmp_path / "agents" / "bad.yaml").write_text("voise: x\n")
    ear = Ear()

    async with speech_service(greets) as service, serving(tmp_path, service.url) as server:
        async with placed(server.account, NUMBER, CALLER, ear):
            await ear.until(lambda e: bool(e.utterances))
        async with httpx.AsyncClient() as client:
            metrics = (await client.get(f"{server.url}/metrics")).text

    assert ear.utterances == [TONE]
    assert 'dialplan_agent_broken{agent="bad"} 1.0' in metrics


async def test_two_workers_share_a_port_and_know_of_each_others_calls(tmp_path: Path) -> None:
    async def says_goodbye(session: ScriptedSession) -> None:
        await session.open()
        await session.request("end_call")
        await session.message("FunctionCallResponse")
        await session.say(TONE)

    project(tmp_path, a=AGENT)
    ears = [Ear() for _ in range(8)]
    documents = []

    async with speech_service(says_goodbye) as service, serving(tmp_path, service.url, "--workers", "2") as server:
        for ear in ears:
            async with placed(server.account, NUMBER, CALLER, ear) as caller, asyncio.timeout(20):
                await caller.over.wait()
            documents.append(caller.documents)
        server.process.send_signal(signal.SIGTERM)
        code = await server.ended()

    assert [ear.utterances for ear in ears] == [[TONE]] * 8
    assert all("Hangup" in answers[-1] and len(answers) == 2 for answers in documents)
    assert code == 0


async def test_a_worker_that_dies_is_replaced(tmp_path: Path) -> None:
    project(tmp_path, a=AGENT)

    async with speech_service(greets) as service, serving(tmp_path, service.url, "--workers", "2") as server:
        before = children(server.process.pid)
        os.kill(before[0], signal.SIGKILL)
        async with asyncio.timeout(20):
            while len(set(children(server.process.pid)) - {before[0]}) < 2:  # noqa: ASYNC110 -- another process's state
                await asyncio.sleep(0.05)
        await until_ready(server.url)


async def test_workers_do_not_outlive_their_parent(tmp_path: Path) -> None:
    project(tmp_path, a=AGENT)

    async with speech_service(greets) as service, serving(tmp_path, service.url, "--workers", "2") as server:
        server.process.kill()
        await server.ended()
        assert server.process.stdout is not None
        async with asyncio.timeout(20):
            await server.process.stdout.read()  # Ends when the last process that holds it is gone.


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def until_agents(url: str, count: int) -> None:
    async with httpx.AsyncClient() as client, asyncio.timeout(20):
        while (await client.get(f"{url}/readyz")).json()["agents"] != count:  # noqa: ASYNC110
            await asyncio.sleep(0.02)  # No event tells another process's state.


async def test_a_file_dropped_in_while_serving_is_answered(tmp_path: Path) -> None:
    project(tmp_path, a=AGENT)
    async with serving(tmp_path, "ws://127.0.0.1:1") as server:
        (tmp_path / "agents" / "b.yaml").write_text('numbers: ["+15550100009"]\nprompt: Be brief.\n')

        await until_agents(server.url, 2)


@pytest.mark.parametrize("options", [["--no-reload"], ["--no-reload", "--workers", "2"]])
async def test_a_hangup_signal_reads_the_files_and_ends_nothing(tmp_path: Path, options: list[str]) -> None:
    project(tmp_path, a=AGENT)
    async with serving(tmp_path, "ws://127.0.0.1:1", *options) as server:
        (tmp_path / "agents" / "b.yaml").write_text('numbers: ["+15550100009"]\nprompt: Be brief.\n')
        server.process.send_signal(signal.SIGHUP)

        await until_agents(server.url, 2)
        server.process.send_signal(signal.SIGTERM)
        assert await server.ended() == 0


@pytest.mark.parametrize("options", [["--no-reload"], ["--no-reload", "--workers", "2"]])
async def test_a_hangup_signal_while_it_starts_ends_nothing(tmp_path: Path, options: list[str]) -> None:
    plugin = "import os, signal\nos.kill(os.getpid(), signal.SIGHUP)\n"
    write(tmp_path, {"agents/a.yaml": AGENT + "plugins: [plugins.p]\n", "plugins/p.py": plugin})
    async with serving(tmp_path, "ws://127.0.0.1:1", *options) as server:
        await until_agents(server.url, 1)
        server.process.send_signal(signal.SIGTERM)
        assert await server.ended() == 0
