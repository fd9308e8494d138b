"""What a plugin that blocks or computes does to other calls' audio: the contract says p99 under 20 and 50 ms.

Ten calls stream frames through a server of its own process; in an eleventh, a plugin sleeps inside `async def`, or
spins in pure Python. Every frame is stamped by this process's clock and found again at the speech service's end, which
is this process too. Prints the added latency of the ten: without, with the sleeper, and with the spinner, in one run.

    python bench/plugin_latency.py [SECONDS]
"""

import asyncio
import base64
import json
import os
import statistics
import struct
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import websockets
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

CALLS = 10
FRAME_SECONDS = 0.02

PLUGIN = """
import time

async def sleep() -> str:
    time.sleep(60)
    return "slept"

def spin() -> str:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        pass
    return "spun"
"""

AGENT = """
streams: [/bench]
prompt: x
plugins: [plugins.bench]
functions: [{name: sleep, timeout: 60}, {name: spin, timeout: 60}]
"""


class Service:
    """Deepgram's end: finds the stamps."""

    def __init__(self) -> None:
        self.latencies: list[float] = []
        self.sessions: list[ServerConnection] = []

    async def handle(self, connection: ServerConnection) -> None:
        await connection.send(json.dumps({"type": "Welcome", "request_id": "r"}))
        await connection.recv()
        await connection.send(json.dumps({"type": "SettingsApplied"}))
        self.sessions.append(connection)
        with suppress(websockets.ConnectionClosed):
            async for message in connection:
                if isinstance(message, bytes) and len(message) == 160 and message[:4] == b"TIME":
                    self.latencies.append(time.perf_counter() - struct.unpack("d", message[4:12])[0])

    async def request(self, function: str) -> None:
        """Have the last call run a function."""
        call = {"id": function, "name": function, "arguments": "", "client_side": True}
        await self.sessions[-1].send(json.dumps({"type": "FunctionCallRequest", "functions": [call]}))


async def stream(url: str, name: str, stamped: bool) -> None:
    """Twilio's end of one call: a frame every 20 ms, by an absolute clock."""
    async with connect(url, compression=None) as connection:
        start = {"streamSid": name, "callSid": name, "accountSid": "AC", "customParameters": {}}
        await connection.send(json.dumps({"event": "start", "start": start, "streamSid": name}))
        due = time.perf_counter()
        while True:
            due += FRAME_SECONDS
            await asyncio.sleep(due - time.perf_counter())
            stamp = b"TIME" + struct.pack("d", time.perf_counter()) if stamped else b""
            payload = base64.b64encode(stamp.ljust(160, b"\xff")).decode()
            await connection.send(json.dumps({"event": "media", "streamSid": name, "media": {"payload": payload}}))


async def measure(root: Path, seconds: float) -> None:
    service = Service()
    async with serve(service.handle, "127.0.0.1", 0, compression=None) as server:
        address = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        process = await asyncio.create_subprocess_exec(
            *[sys.executable, "-m", "dialplan", "serve", "--insecure", "--port", "0", "--root", str(root)],
            env={**os.environ, "DEEPGRAM_URL": address, "DEEPGRAM_API_KEY": "k"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        assert process.stdout is not None
        url = (await process.stdout.readline()).decode().split()[-1].replace("http", "ws") + "/bench"
        calls = [asyncio.create_task(stream(url, f"CA{n}", stamped=True)) for n in range(CALLS)]
        await asyncio.sleep(2)
        calls.append(asyncio.create_task(stream(url, "CAlast", stamped=False)))
        await asyncio.sleep(1)
        for what in ("nothing", "sleep", "spin"):
            if what != "nothing":
                await service.request(what)
            service.latencies.clear()
            await asyncio.sleep(seconds)
            report(what, service.latencies)
        for call in calls:
            call.cancel()
        process.kill()
        await process.communicate()


def report(what: str, latencies: list[float]) -> None:
    ms = sorted(1000 * latency for latency in latencies)
    p99 = ms[int(0.99 * len(ms))]
    print(f"{what:<8} {len(ms):6} frames  p50 {statistics.median(ms):6.2f} ms  p99 {p99:6.2f} ms  max {ms[-1]:6.2f} ms")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        (project / "agents").mkdir()
        (project / "plugins").mkdir()
        (project / "agents" / "bench.yaml").write_text(AGENT)
        (project / "plugins" / "bench.py").write_text(PLUGIN)
        asyncio.run(measure(project, float(sys.argv[1]) if len(sys.argv) > 1 else 10))
