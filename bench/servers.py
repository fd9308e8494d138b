"""The servers that are measured: how each is started, on which core it runs, and what it has used so far."""

import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent

#: The cores that this process began with; none where the system lets nobody choose.
CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_setaffinity") else []

#: A server that says nothing for this long will not say anything.
START_SECONDS = 30.0

PLUGIN = '''
def lookup(name: str) -> dict[str, str]:
    """Look somebody up."""
    return {"name": name, "phone": "+15550100001"}
'''

AGENT = """
description: Answers for the benchmark.
numbers: ["+15550100001"]
streams: [/bench]
greeting: Hello, this is the pharmacy.
prompt: You answer the phone of a pharmacy.
plugins: [plugins.bench]
functions: [lookup]
"""


@dataclass(frozen=True, slots=True)
class Bridge:
    """Something that stands between the phone network and the speech service."""

    name: str
    module: str = ""
    """Run with `python -m`; the product where it is empty."""
    python: str = sys.executable
    workers: int = 1


PRODUCT = Bridge("dialplan")
BARE = Bridge("bare", "bench.bridges.bare")
TEXTBOOK = Bridge("textbook", "bench.bridges.textbook")


def pipecat(python: str) -> Bridge:
    """Pipecat wants packages of its own, so its interpreter may be another one."""
    return Bridge("pipecat", "bench.bridges.pipecat", python)


class Server:
    """A bridge that runs."""

    def __init__(self, bridge: Bridge, process: "subprocess.Popen[str]", address: str) -> None:
        self.bridge = bridge
        self.http = f"http://{address}"
        self.stream = f"ws://{address}/bench"
        self._process = process
        self._pids = [process.pid]

    def look(self) -> None:
        """Find its processes; they are remembered, because looking takes time that audio does not have."""
        self._pids = _family(self._process.pid)

    def cpu(self) -> float:
        """Seconds of a core that it has used so far, all of its processes together."""
        return sum(_cpu(pid) for pid in self._pids)

    def memory(self) -> float:
        """Megabytes that it holds now, what its processes share counted once."""
        return sum(_memory(pid) for pid in self._pids)


@contextmanager
def running(bridge: Bridge, service: str, core: int | None = None) -> Iterator[Server]:
    """While the bridge answers calls.

    Args:
        bridge: which.
        service: address of the speech service.
        core: the only one that it may use; None for all.
    """
    with tempfile.TemporaryDirectory(prefix="dialplan-bench-") as folder:
        command, environment = _command(bridge, service, Path(folder))
        process = subprocess.Popen(
            command,
            env=environment,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            pin(process.pid, core)
            server = Server(bridge, process, _address(bridge, process, command))
            server.look()
            yield server
        finally:
            _stop(process)


@contextmanager
def spinning(core: int | None) -> Iterator[None]:
    """While somebody else computes on that core."""
    neighbour = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        pin(neighbour.pid, core)
        yield
    finally:
        neighbour.kill()
        neighbour.wait()


def pin(pid: int, core: int | None) -> None:
    """Keep a process on one core; None gives it all of them back."""
    if CORES:
        os.sched_setaffinity(pid, CORES if core is None else {core})


def _command(bridge: Bridge, service: str, folder: Path) -> tuple[list[str], dict[str, str]]:
    environment = dict(os.environ)
    if bridge.module:
        options = ["--port", str(_free_port()), "--service", service]
        return [bridge.python, "-m", bridge.module, *options], environment
    for name, text in (("agents/bench.yaml", AGENT), ("plugins/bench.py", PLUGIN)):
        path = folder / name
        path.parent.mkdir()
        path.write_text(text)
    environment |= {"DEEPGRAM_URL": service, "DEEPGRAM_API_KEY": "none"}
    options = ["--insecure", "--port", "0", "--root", str(folder), "--workers", str(bridge.workers)]
    return [bridge.python, "-m", "dialplan", "serve", *options], environment


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _address(bridge: Bridge, process: "subprocess.Popen[str]", command: list[str]) -> str:
    """Where it listens, once it does. The product says so itself; the others were told."""
    line = _first_line(process, bridge.name)
    port = int(command[command.index("--port") + 1]) or int(line.rpartition(":")[2])
    until = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
        else:
            return f"127.0.0.1:{port}"


def _first_line(process: "subprocess.Popen[str]", name: str) -> str:
    assert process.stdout is not None
    readable, _, _ = select.select([process.stdout], [], [], START_SECONDS)
    line = process.stdout.readline() if readable else ""
    if not line:
        raise RuntimeError(f"{name} does not start")
    return line.strip()


def _stop(process: "subprocess.Popen[str]") -> None:
    """A drain may wait for calls that are gone, so not for long."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(2)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(3)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _family(pid: int) -> list[int]:
    """A process and all that it has started."""
    parents = {int(row[0]): int(row[1]) for row in _processes()}
    family = [pid]
    for member in family:
        family += [child for child, parent in parents.items() if parent == member]
    return family


def _processes() -> list[list[str]]:
    """Number and parent of every process."""
    if not Path("/proc/self/stat").exists():
        table = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True)
        return [line.split() for line in table.stdout.splitlines()]
    rows = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            number, _, rest = path.read_text().partition(" ")
        except OSError:  # It has ended meanwhile.
            continue
        rows.append([number, rest.rpartition(")")[2].split()[1]])
    return rows


def _cpu(pid: int) -> float:
    try:
        # Linux's clock of another process's CPU time (clock_getcpuclockid(3)): to the nanosecond, where the numbers in
        # /proc are hundredths of a second.
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return _by_ps(pid, "time")


def _memory(pid: int) -> float:
    for path, name in ((f"/proc/{pid}/smaps_rollup", "Pss:"), (f"/proc/{pid}/status", "VmRSS:")):
        try:
            lines = Path(path).read_text().splitlines()
        except OSError:
            continue
        return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024
    return _by_ps(pid, "rss") / 1024


def _by_ps(pid: int, what: str) -> float:
    """Where there is no /proc: kilobytes, or [[hours:]minutes:]seconds; nothing of a process that has ended."""
    said = subprocess.run(["ps", "-o", f"{what}=", "-p", str(pid)], capture_output=True, text=True).stdout.strip()
    seconds = 0.0
    for part in said.split(":"):
        seconds = 60 * seconds + float(part or 0)
    return seconds
