"""`python -m tests.day --hours 2`: a long day."""

import argparse
import asyncio
import shutil
import sys
import tempfile
from pathlib import Path

from tests.day.day import Shape, Tally, day
from tests.day.page import publish
from tests.day.samples import write

parser = argparse.ArgumentParser(prog="python -m tests.day")
parser.add_argument("--hours", type=float, default=1.0)
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--at-once", type=int, default=10)
parser.add_argument(
    "--out",
    type=Path,
    default=Path("var/day"),
    help="folder for day.csv, .svg, .txt, and the .log of a day that went wrong",
)
parser.add_argument("--publish", action="store_true", help="put figures and picture into docs/reliability.md too")


def main() -> int:
    """1 where anything was wrong."""
    given = parser.parse_args()
    seconds = given.hours * 3600
    shape = Shape(seconds, given.at_once, every=min(60.0, max(10.0, seconds / 240)))
    with tempfile.TemporaryDirectory() as folder:
        tally = asyncio.run(day(Path(folder), given.seed, shape, lambda samples: write(samples, given.out / "day.csv")))
        if tally.wrong:
            shutil.copy(Path(folder) / "log", given.out / "day.log")
    print(tally.report())
    _write(tally, given.out)
    if given.publish:
        command = f"make soak HOURS={given.hours:g} SEED={given.seed}"
        publish(command, tally.report(), given.out / "day.svg")
    return 1 if tally.wrong else 0


def _write(tally: Tally, out: Path) -> None:
    (out / "day.txt").write_text(tally.report() + "\n")
    try:
        from tests.day.plots import draw
    except ImportError:
        print("no picture: matplotlib is not installed (pip install -e '.[bench]')", file=sys.stderr)
    else:
        draw(tally.samples, out / "day.svg")


sys.exit(main())
