"""`python -m tests.faults --minutes 10`: a long drill."""

import argparse
import contextlib
import sys
import tempfile
from pathlib import Path

from tests import postgres
from tests.faults.drill import main

parser = argparse.ArgumentParser(prog="python -m tests.faults")
parser.add_argument("--minutes", type=float, default=10.0)
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--at-once", type=int, default=10)
parser.add_argument("--postgresql", action="store_true", help="records go there, and it stops and starts meanwhile")
given = parser.parse_args()
with contextlib.ExitStack() as stack:
    cluster = stack.enter_context(postgres.running()) if given.postgresql else None
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    sys.exit(main(Path(folder), given.seed, given.minutes, given.at_once, cluster))
