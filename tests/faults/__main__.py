"""`python -m tests.faults --minutes 10`: a long drill."""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.faults.drill import main

parser = argparse.ArgumentParser(prog="python -m tests.faults")
parser.add_argument("--minutes", type=float, default=10.0)
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--at-once", type=int, default=10)
given = parser.parse_args()
with tempfile.TemporaryDirectory() as folder:
    sys.exit(main(Path(folder), given.seed, given.minutes, given.at_once))
