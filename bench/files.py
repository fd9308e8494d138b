"""What a thousand agent files cost to check, one of them to reload, and a number among a hundred thousand to route.

Beside the least that could be asked of any program: to read the same files with PyYAML and do nothing with them.
"""

import asyncio
import functools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.report import table
from dialplan.config.dialplan import Dialplan, Route
from dialplan.config.loading import Loader
from dialplan.server.reload import Reload, reloading

ROUTES = 100_000
LOOKUPS = 20_000

_PROMPT = "Answer politely, keep it short, and never invent a price or a time that you were not told. "

_FILE = """\
description: Answers questions about medicines and takes orders for store {n}.
numbers: ["+1555{n:07}"]
timezone: America/New_York
voice: aura-2-thalia-en
listen: nova-3
think: {{provider: open_ai, model: gpt-4o-mini, temperature: 0.3}}
variables:
  store: Corner Pharmacy {n}
greeting: Hello, this is {{{{ store }}}}. How can I help?
prompt: |
  You are the assistant of {{{{ store }}}}. Today is {{{{ call.started.strftime("%A %d %B") }}}}.
  {{% if call.from %}}The caller's number is {{{{ call.from }}}}.{{% endif %}}
{prompt}
plugins: [plugins.store]
functions:
  - get_price
  - name: place_order
    description: Create an order for a drug.
    parameters:
      type: object
      properties:
        drug_name: {{type: string, description: "Drug to order, lower case."}}
        customer_name: {{type: string, description: The name of the person who calls.}}
      required: [drug_name, customer_name]
  - lookup_order
  - name: opening_hours
    description: When the store is open.
    parameters: {{type: object, properties: {{day: {{type: string}}}}, required: [day]}}
    http: {{method: GET, url: "https://example.com/hours", query: {{day: "{{{{ day }}}}"}}}}
  - end_call
rehearsals:
  - name: price of aspirin
    turns:
      - caller: How much is aspirin?
        function: {{get_price: {{drug_name: aspirin}}}}
        agent: "It costs {{{{ result.price }}}} dollars."
"""

_PLUGIN = '''
def get_price(drug_name: str) -> dict[str, float]:
    """Price of one drug."""
    return {"price": 5.0}


def place_order(drug_name: str, customer_name: str) -> dict[str, int]:
    """Create an order."""
    return {"order_id": 1}


def lookup_order(order_id: int) -> dict[str, str]:
    """Status of an order."""
    return {"status": "ready"}
'''

#: Reads the same files and does nothing with them.
_READER = """
import sys, pathlib, yaml
for path in sorted(pathlib.Path(sys.argv[1], "agents").rglob("*.yaml")):
    yaml.load(path.read_text(), Loader=getattr(yaml, sys.argv[2]))
"""


@dataclass(frozen=True, slots=True)
class Run:
    """A process from its start to its end."""

    seconds: float
    megabytes: float
    """At its most."""


def measure(agents: int, repeats: int) -> dict[str, Any]:
    """Every figure, medians of interleaved repeats."""
    with project(agents) as root:
        commands = {
            "dialplan check": ["-m", "dialplan", "check", "--root", str(root), "--no-env"],
            "PyYAML's safe_load": ["-c", _READER, str(root), "SafeLoader"],
            "PyYAML's with libyaml": ["-c", _READER, str(root), "CSafeLoader"],
        }
        runs = [(name, run(command)) for _ in range(repeats) for name, command in commands.items()]
        return {
            "agents": agents,
            "bytes": (root / "agents" / "a0000.yaml").stat().st_size,
            "checks": [{"program": name, **asdict(middle([r for n, r in runs if n == name]))} for name in commands],
            "reload": reload(root, repeats) | {"live_ms": asyncio.run(live(root, repeats))},
            "routing_us": routing(repeats),
        }


@contextmanager
def project(agents: int) -> Iterator[Path]:
    """A project of so many agents of ordinary size: 3 KB, five functions, a prompt of 1,500 characters."""
    with tempfile.TemporaryDirectory(prefix="dialplan-bench-") as folder:
        root = Path(folder)
        (root / "agents").mkdir()
        (root / "plugins").mkdir()
        (root / "plugins" / "store.py").write_text(_PLUGIN)
        prompt = "\n".join(f"  {_PROMPT}" for _ in range(17))
        for n in range(agents):
            (root / "agents" / f"a{n:04}.yaml").write_text(_FILE.format(n=n, prompt=prompt))
        yield root


def run(command: list[str]) -> Run:
    """Python with this command, its time and memory."""
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, *command], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{command} ended with {process.returncode}")
    return Run(time.perf_counter() - began, usage.ru_maxrss / 1024)


def middle(runs: list[Run]) -> Run:
    """The medians."""
    return Run(statistics.median(r.seconds for r in runs), statistics.median(r.megabytes for r in runs))


def reload(root: Path, repeats: int) -> dict[str, float]:
    """Milliseconds until a project is loaded again after one of its agents, and after its plugin, was saved."""
    loader = Loader(root, {})
    dialplan = loader.first().dialplan

    def saved(path: Path, comment: str) -> float:
        nonlocal dialplan
        path.write_text(path.read_text() + comment)
        began = time.perf_counter()
        if not loader.changed():
            raise RuntimeError(f"{path} was saved, and the loader did not notice")
        dialplan = loader.load(dialplan).dialplan
        return (time.perf_counter() - began) * 1000

    agent, plugin = root / "agents" / "a0000.yaml", root / "plugins" / "store.py"
    return {
        "agent_ms": statistics.median(saved(agent, "# saved\n") for _ in range(3 * repeats)),
        "plugin_ms": statistics.median(saved(plugin, "# saved\n") for _ in range(repeats)),
    }


async def live(root: Path, repeats: int) -> float:
    """Milliseconds from saving one agent until calls are answered by what was saved."""
    loader = Loader(root, {})
    taken = asyncio.Event()
    times = []
    async with reloading(Reload(root, loader, loader.first(), [lambda loading: taken.set()])):
        await asyncio.sleep(1)  # The watch begins beside us.
        for _ in range(3 * repeats):
            taken.clear()
            began = time.perf_counter()
            path = root / "agents" / "a0000.yaml"
            path.write_text(path.read_text() + "# saved\n")
            await taken.wait()
            times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)


def routing(repeats: int) -> dict[str, float]:
    """Microseconds to find who answers: an exact number, the longest prefix, nobody."""
    with project(1) as root:
        agent = Loader(root, {}).first().dialplan.agents["a0000"]
    route = Route("", agent, agent.place)
    numbers = {f"+1555{n:07}": route for n in range(ROUTES - 1000)} | {f"+1666{n:03}*": route for n in range(1000)}
    dialplan = Dialplan({agent.name: agent}, numbers, {})
    asked = {"exact": "+15550050000", "prefix": "+16665001234", "nobody": "+17775001234"}
    return {name: _each(functools.partial(dialplan.answer, to), repeats) for name, to in asked.items()}


def _each(call: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(3 * repeats):
        began = time.perf_counter()
        for _ in range(LOOKUPS):
            call()
        times.append((time.perf_counter() - began) / LOOKUPS * 1e6)
    return statistics.median(times)


def tables(results: dict[str, Any]) -> str:
    """What was measured, for a page."""
    least = results["checks"][-1]["seconds"]
    checks = [
        [row["program"], f"{row['seconds']:.2f} s", f"{row['seconds'] / least:.1f} ×", f"{row['megabytes']:.0f} MB"]
        for row in results["checks"]
    ]
    reload = results["reload"]
    routing = results["routing_us"]
    rest = [
        ["an agent is saved, and loaded again", f"{reload['agent_ms']:.0f} ms"],
        ["… until calls are answered by it, quiet waited for included", f"{reload['live_ms']:.0f} ms"],
        ["the plugin of all of them is saved, and all are loaded again", f"{reload['plugin_ms']:.0f} ms"],
        [f"who answers one of {ROUTES:,} numbers", f"{routing['exact']:.1f} µs"],
        ["… by a prefix", f"{routing['prefix']:.1f} µs"],
        ["… nobody", f"{routing['nobody']:.1f} µs"],
    ]
    title = f"{results['agents']:,} agents of {results['bytes']:,} bytes"
    return "\n\n".join([table([title, "time", "", "memory"], checks), table(["", "time"], rest)])
