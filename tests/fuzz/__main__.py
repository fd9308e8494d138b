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
from tests.fuzz.mutations import WAYS, rubbish
from tests.fuzz.ways import Rubbish, standing

#: Inputs of a way in, before it is the next one's turn.
TURN = 50

FAILED = Path("var/fuzz")

#: What is being fed, and the seconds after which it hangs: then the tracebacks of all threads are told, and it ends.
CURRENT, HANGS_SECONDS = FAILED / "current", 60


class Fuzz:
    """Feeds standing servers, and counts."""

    def __init__(self) -> None:
        self.fed: Counter[str] = Counter()
        self.failed: dict[str, list[str]] = {way: [] for way in WAYS}

    def turn(self, runner: asyncio.Runner, target: Rubbish, way: str, number: int) -> bool:
        """Some more inputs for one way in, the same again where the number is; whether nothing has failed."""
        last, first = b"", ""

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
            nonlocal last, first
            last = data
            self.fed[way] += 1
            CURRENT.write_bytes(data)
            faulthandler.dump_traceback_later(HANGS_SECONDS, exit=True)
            try:
                runner.run(target.feed(way, data))
            except Exception as exc:
                first = first or f"{_kept(way, data)}: {type(exc).__name__}: {str(exc)[:500]}"
                raise
            finally:
                faulthandler.cancel_dump_traceback_later()

        try:
            feed()
        except Exception:  # noqa: BLE001 -- whatever it was, it is told, and the others have their turn
            self.failed[way].append(f"{first}\n  made smaller: {_kept(way, last)}")
            return False
        return True


def _kept(way: str, data: bytes) -> Path:
    path = FAILED / way / hashlib.sha256(data).hexdigest()[:12]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def main(minutes: float, number: int, directly: bool, only: str | None) -> int:
    """Fuzz for so long; 1 where something has failed."""
    print(f"seed {number}, {minutes:g} minutes, sockets {'of picows' if directly else 'of any ASGI server'}")
    FAILED.mkdir(parents=True, exist_ok=True)
    fuzz, turn = Fuzz(), 0
    before, end = _megabytes(), time.monotonic() + minutes * 60
    while time.monotonic() < end:
        # Another server where one has failed: what it has begun may not be over.
        with tempfile.TemporaryDirectory() as folder, asyncio.Runner() as runner:
            stack = AsyncExitStack()
            target = runner.run(stack.enter_async_context(standing(Path(folder), directly=directly)))
            well = True
            while well and time.monotonic() < end:
                well = fuzz.turn(runner, target, only or WAYS[turn % len(WAYS)], number)
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
