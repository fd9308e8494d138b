"""The project of the day: its agents and its plugin, which are changed while calls go on.

Every edition of a file says in what it leads to which one it is, so that a call notices an edition that is too old.
"""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from tests.config.files import write

DESK, QUIET, DISCREET, SMALL, STEADY, GUEST = (f"+1555020000{number}" for number in range(1, 7))
NOBODY = "+15550200099"

#: What the agent whose lines are all taken has said; how many calls it has room for.
FULL, ROOM = "All our lines are busy.", 2

#: Seconds of quiet until the quiet caller is asked.
QUIET_SECONDS = 1.0

#: Seconds that a function has.
FUNCTION_SECONDS = 2.5

FACTS = "from={{ call.from }} edition=%d"

_FUNCTIONS = """
plugins: [plugins.day]
functions:
  - at_once
  - name: slowly
    timeout: %g
    filler: One moment.
  - name: awaits
    timeout: %g
    on_interrupt: cancel
  - fails
  - refuses
  - name: look_up
    description: Looks something up.
    parameters: {type: object, properties: {what: {type: string}}, required: [what]}
    http: {url: "%s/{{ what }}", headers: {authorization: "${DAY_WORD:-0}"}}
  - end_call
"""

_PLUGIN = '''"""What the agents of the day can do."""

import asyncio
import time

from dialplan import FunctionError

EDITION = %d


def at_once(tone: int) -> dict[str, int]:
    """Answers at once."""
    return {"tone": tone, "edition": EDITION}


def slowly(tone: int, seconds: float) -> dict[str, int]:
    """Takes its time in a thread."""
    time.sleep(seconds)
    return {"tone": tone, "edition": EDITION}


async def awaits(tone: int, seconds: float) -> dict[str, int]:
    """Takes its time on the plugins' loop."""
    await asyncio.sleep(seconds)
    return {"tone": tone, "edition": EDITION}


def fails(tone: int) -> None:
    """Has a mistake in it."""
    raise ValueError("in the function fails of the day")


def refuses(tone: int) -> None:
    """Says no."""
    raise FunctionError("There is none.")
'''

#: What no reader takes for an agent.
BROKEN = "numbers: [\nprompt: {{\n"


@dataclass(slots=True)
class Editions:
    """Of the files that are changed, the ones that are live for certain."""

    agent: int = 0
    plugin: int = 0
    word: int = 0


class Files:
    """Writes the project.

    Args:
        root: an empty folder.
        asked: the address of the server that the `http` function asks.
    """

    def __init__(self, root: Path, asked: str) -> None:
        self.root = root
        self.whole = asyncio.Lock()
        """Whoever has it finds no broken file."""
        self._functions = _FUNCTIONS % (FUNCTION_SECONDS, FUNCTION_SECONDS, asked)
        self.desk(0)
        self.plugin(0)
        self.word(0)
        self.steady(broken=False)
        self._agent("quiet", QUIET, f"limits: {{silence: {QUIET_SECONDS}}}\n")
        self._agent("discreet", DISCREET, "records: {transcripts: false}\n")
        self._agent("small", SMALL, f"limits: {{calls: {ROOM}}}\nbusy: {FULL}\n")

    def desk(self, edition: int) -> None:
        """The agent that most calls are for."""
        self._agent("desk", DESK, self._functions, edition)

    def plugin(self, edition: int) -> None:
        """The functions."""
        write(self.root, {"plugins/day.py": _PLUGIN % edition})

    def word(self, edition: int) -> None:
        """A variable of `.env`, which the `http` function sends."""
        write(self.root, {".env": f"DAY_WORD={edition}\nDIALPLAN_PRIVATE_HOSTS=127.0.0.1\n"})

    def steady(self, *, broken: bool) -> None:
        """An agent whose file is broken now and then; it goes on answering."""
        if broken:
            write(self.root, {"agents/steady.yaml": BROKEN})
        else:
            self._agent("steady", STEADY)

    def guest(self, *, there: bool) -> None:
        """An agent that comes and goes."""
        if there:
            self._agent("guest", GUEST)
        else:
            (self.root / "agents" / "guest.yaml").unlink()

    def _agent(self, name: str, number: str, more: str = "", edition: int = 0) -> None:
        text = f'numbers: ["{number}"]\ngreeting: Hello.\nprompt: "{FACTS % edition}"\n{more}'
        write(self.root, {f"agents/{name}.yaml": text})
