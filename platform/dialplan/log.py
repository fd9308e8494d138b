"""The log: the standard library's, with the call's id on every line that a call caused.

Words said and phone numbers appear at DEBUG only.
"""

import logging
import sys
from contextvars import ContextVar

#: The id of the call that the current task works for.
call_id: ContextVar[str] = ContextVar("call_id", default="")


def configure(level: str = "INFO") -> None:
    """Write to stderr: time, level, room, call, message."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter("%(asctime)s %(levelname)-7s %(name)s%(call)s %(message)s"))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # At DEBUG, websockets writes request headers out, and with them Deepgram's key; the others tell of themselves only.
    for name in ("websockets", "picows", "httpx", "httpcore", "uvicorn", "alembic", "sqlalchemy", "watchfiles"):
        logging.getLogger(name).setLevel(logging.WARNING)


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        record.call = f" [{call_id.get()}]" if call_id.get() else ""
        return super().format(record)
