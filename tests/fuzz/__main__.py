"""`python -m tests.fuzz --minutes 10`: every way in by turns, with more and more of what becomes of the corpus.

What fails is made as small as it can be, kept under var/fuzz/ to be fed again, and belongs into tests/corpus/.
"""

import argparse
import asyncio
import faulthandler
import hashlib
import random
import resource
import sys
import tempfile
import time
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings

from dialplan.words import columns
from tests.fuzz.mutations import rubbish
from tests.fuzz.ways import Rubbish, standing

#: Inputs of a way in, before it is the next one's turn.
TURN = 50

FAILED = Path("var/fuzz")

#: What is being fed, and the seconds after which it hangs: then the tracebacks of all threads are told, and it ends.
CURRENT, HANGS_SECONDS = FAILED / "current", 60


class Fuzz:
    """Feeds a standing server, and counts.

    Args:
        runner: whose loop the server stands on.
        target: the server.
    """

    def __init__(self, runner: asyncio.Runner, target: Rubbish) -> None:
        self._runner = runner
        self._target = target
        self.fed: Counter[str] = Counter()
        self.failed: dict[str, list[str]] = {way: [] for way in target.ways}

    def turn(self, way: str, number: int) -> None:
        """Some more inputs for one way in: the same again where the number is."""
        last = b""

        @seed(number + self.fed[way] // TURN)
        @settings(
            max_examples=TURN,
            deadline=None,
            database=None,
            phases=[Phase.generate, Phase.shrink],
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        )
        @given(data=rubbish(way))
        def feed(data: bytes) -> None:
            nonlocal last
            last = data
            self.fed[way] += 1
            CURRENT.write_bytes(data)
            faulthandler.dump_traceback_later(HANGS_SECONDS, exit=True)
            self._runner.run(self._target.feed(way, data))
            faulthandler.cancel_dump_traceback_later()

        try:
            feed()
        except Exception as exc:  # noqa: BLE001 -- whatever it was, it is told, and the others have their turn
            self.failed[way].append(f"{_kept(way, last)}: {type(exc).__name__}: {str(exc)[:500]}")


def _kept(way: str, data: bytes) -> Path:
    path = FAILED / way / hashlib.sha256(data).hexdigest()[:12]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def main(minutes: float, number: int, directly: bool, only: str | None) -> int:
    """Fuzz for so long; 1 where something has failed."""
    print(f"seed {number}, {minutes:g} minutes, sockets {'of picows' if directly else 'of any ASGI server'}")
    FAILED.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner() as runner:
        stack = AsyncExitStack()
        fuzz = Fuzz(runner, runner.run(stack.enter_async_context(standing(Path(folder), directly=directly))))
        before, end, turn = _megabytes(), time.monotonic() + minutes * 60, 0
        while time.monotonic() < end:
            way = only or list(fuzz.failed)[turn % len(fuzz.failed)]
            fuzz.turn(way, number)
            turn += 1
        runner.run(stack.aclose())
    rows = [(way, str(fuzz.fed[way]), str(len(failed))) for way, failed in fuzz.failed.items()]
    print(*columns([("way in", "inputs", "failed"), *rows]), sep="\n")
    print(f"at most {_megabytes()} MB, {before} of them at the beginning")
    for failed in (one for of_way in fuzz.failed.values() for one in of_way):
        print(failed)
    return int(any(fuzz.failed.values()))


def _megabytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
parser.add_argument("--minutes", type=float, default=10.0)
parser.add_argument("--seed", type=int, default=random.randrange(10**9))
parser.add_argument("--way", help="this one only")
parser.add_argument("--pumped", action="store_true", help="on the sockets of any ASGI server, not on picows'")
given_ = parser.parse_args()
sys.exit(main(given_.minutes, given_.seed, not given_.pumped, given_.way))
