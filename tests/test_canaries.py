"""A canary in every secret, and a whole life of a server: not one of them is found in anything that comes out of it."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path

import httpx
import websockets
from websockets.asyncio.server import serve as serve_websockets
from websockets.http11 import Request, Response

from dialplan.rehearsal.phone import Account, placed
from tests.config.files import write
from tests.server.test_streams import start
from tests.world import CALLER, NUMBER, Ear, ScriptedSession, speech_service

CANARIES = {
    "TWILIO_AUTH_TOKEN": "canary-of-twilio-0123456789abcdef",
    "DEEPGRAM_API_KEY": "canary-of-deepgram, canary-of-the-second-key",
    "DIALPLAN_SECRET": "canary-of-stream-tokens",
    "TENANT_KEY": "canary-of-a-tenant",
    "CRM_TOKEN": "canary-of-the-crm",
    "CRM_PATH": "canary-of-a-path",
    "MODEL_KEY": "canary-of-a-model",
}
DATABASE_URL = "postgresql://calls:canary-of-the-database@127.0.0.1:1/calls"

#: Every secret begins so, so that no other word can be taken for one.
CANARY = "canary-of-"

PUBLIC = "https://voice.example.com"
ANSWER = bytes(range(1, 161))

AGENT = f"""
numbers: ["{NUMBER}"]
streams: [/bin]
greeting: Hello.
prompt: You are a test.
think:
  provider: open_ai
  model: gpt-4o-mini
  endpoint: {{url: "https://models.example.com/", headers: {{authorization: "Bearer ${{MODEL_KEY}}"}}}}
plugins: [plugins.test]
functions:
  - name: ask_crm
    description: Asks.
    parameters: {{type: object, properties: {{}}}}
    http:
      url: "{{url}}/${{CRM_PATH}}/customers"
      headers: {{authorization: "Bearer ${{CRM_TOKEN}}"}}
      query: {{token: "${{CRM_TOKEN}}"}}
  - name: ask_nobody
    description: Asks nobody.
    parameters: {{type: object, properties: {{}}}}
    http: {{url: "http://127.0.0.1:1/${{CRM_PATH}}", headers: {{authorization: "Bearer ${{CRM_TOKEN}}"}}}}
  - fail
  - end_call
"""

TENANT = """
numbers: ["+15550100002"]
prompt: You are a tenant's.
deepgram: {api_key: "${TENANT_KEY}", url: "{url}"}
"""

PLUGIN = '''
import os


def fail() -> str:
    """Fails, and its words hold what it should never have said."""
    raise ValueError(f"{os.environ['CRM_TOKEN']} does not open {os.environ['DATABASE_URL']}")
'''


def variables(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TMPDIR")}
    hosts = {"PUBLIC_URL": PUBLIC, "DIALPLAN_PRIVATE_HOSTS": "127.0.0.1", "TWILIO_ACCOUNT_SID": "AC" + "0" * 32}
    return {**kept, **CANARIES, **hosts, **more}


async def command(root: Path, *arguments: str, **more: str) -> str:
    """All that a command prints."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "dialplan", *arguments, "--root", str(root)),
        env=variables(**more),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(30):
        out, _ = await process.communicate()
    return out.decode()


@asynccontextmanager
async def serving(root: Path, printed: list[str], **more: str) -> AsyncIterator[str]:
    """A server that tells everything, which ends by a signal; what it has printed comes to the list."""
    options = ("--port", "0", "--root", str(root), "--log-level", "DEBUG")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "dialplan", "serve", *options),
        env=variables(**more),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(20):
            while " answers on " not in (line := (await process.stdout.readline()).decode()):
                printed.append(line)
        printed.append(line)
        reading = asyncio.create_task(process.stdout.read())
        yield line.split()[-1]
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(20):
            printed.append((await reading).decode())
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


@asynccontextmanager
async def crm(asked: list[str]) -> AsyncIterator[str]:
    """Refuses everybody, in words that repeat what it was asked."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        asked.append(head.decode())
        writer.write(b"HTTP/1.1 500 No\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s" % (len(head), head))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@asynccontextmanager
async def refusing(asked: list[str]) -> AsyncIterator[str]:
    """A speech service that refuses every key."""

    def refuse(connection: websockets.asyncio.server.ServerConnection, request: Request) -> Response:
        asked.append(request.headers["Authorization"])
        return connection.respond(HTTPStatus.UNAUTHORIZED, f"{request.headers['Authorization']} is wrong")

    async def never(connection: websockets.asyncio.server.ServerConnection) -> None:
        raise AssertionError

    async with serve_websockets(never, "127.0.0.1", 0, process_request=refuse, logger=None) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/agent/converse"


async def talks(session: ScriptedSession) -> None:
    """Asks for every function, and takes the caller's leave."""
    await session.open()
    for name in ("ask_crm", "ask_nobody", "fail"):
        await session.request(name, id=name)
        await session.message("FunctionCallResponse")
    await session.send("Warning", code="SLOW_THINK_REQUEST", description="Hm.")
    await session.say(ANSWER)


async def strange(url: str) -> list[str]:
    """What strangers are answered."""
    pages = ("/", "/healthz", "/readyz", "/metrics", "/nowhere", "/healthz?nonce=" + "0" * 32)
    webhooks = ("/twilio/voice", "/twilio/next", "/twilio/status")
    async with httpx.AsyncClient(base_url=url) as client:
        answers = [await client.get(path) for path in pages]
        forged = {"data": {"CallSid": "CA1"}, "headers": {"x-twilio-signature": "x"}}
        answers += [await client.post(path, **forged) for path in webhooks]
    stream = url.replace("http", "ws") + "/twilio/stream"
    async with websockets.connect(stream) as connection:
        await connection.send(start({"token": "x.9999999999.a"}))
        await connection.wait_closed()
    closed = f"{connection.close_code} {connection.close_reason}"
    return [*(f"{answer.headers} {answer.text}" for answer in answers), closed]


async def test_no_secret_is_found_in_anything_that_comes_out(tmp_path: Path) -> None:
    asked: list[str] = []
    out: list[str] = []
    sqlite = {"DATABASE_URL": ""}
    async with crm(asked) as crm_url, speech_service(talks) as service, refusing(asked) as refusing_url:
        files = {"agents/a.yaml": AGENT.replace("{url}", crm_url), "plugins/test.py": PLUGIN}
        write(tmp_path, {**files, "agents/tenant.yaml": TENANT.replace("{url}", refusing_url)})
        for database in ("", DATABASE_URL):
            async with serving(tmp_path, out, DEEPGRAM_URL=service.url, DATABASE_URL=database) as url:
                account = Account(url, CANARIES["TWILIO_AUTH_TOKEN"], PUBLIC)
                async with asyncio.timeout(30), placed(account, NUMBER, CALLER, ear := Ear()) as caller:
                    await ear.until(lambda e: bool(e.utterances))
                    tokens = caller.documents
                async with asyncio.timeout(30), placed(account, "+15550100002", CALLER, Ear()) as refused:
                    await refused.over.wait()
                out += await strange(url)
        token = tokens[0].partition('name="token" value="')[2].partition('"')[0]
        for arguments in COMMANDS:
            out.append(await command(tmp_path, *arguments, **sqlite, DEEPGRAM_URL=refusing_url))
    out += [str(path.read_bytes()) for path in (tmp_path / "var").rglob("*") if path.is_file()]

    # They were really used, or this would show nothing.
    used = "".join(asked)
    assert all(used.count(word) for word in ("canary-of-the-crm", "canary-of-a-path", "canary-of-a-tenant"))
    said = "\n".join(out)
    assert "does not open" in said
    assert "Traceback" in said
    assert [line for line in said.splitlines() if CANARY in line] == []
    assert token.count(".") == 2
    assert token not in said


COMMANDS: list[tuple[str, ...]] = [
    ("check",),
    ("check", "--format", "json"),
    ("settings", "a"),
    ("show", "a"),
    ("show", "tenant"),
    ("routes",),
    ("doctor",),
    ("calls", "list"),
    ("calls", "export"),
]
