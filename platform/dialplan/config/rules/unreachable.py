"""Routes that nothing can ever take. Pure; how routes are compared is in dialplan.py."""

import re
from urllib.parse import unquote

_Words = tuple[str, str]
"""A message and its help."""

#: Characters of an address that are compared with a beginning: whoever calls chooses it, and it has 255 at most.
LONGEST = 300


def number_words(number: str) -> _Words | None:
    """Why no call ever comes to a number or address; None where one may."""
    if not number.startswith("+") and ";" in number and number.endswith("*"):
        before = number.partition(";")[0]
        return "what follows a ; is not compared, so the star counts for nothing", f'write "{before}*" or "{before}"'
    if re.match(r"whatsapp:[0-9]", number):
        return "WhatsApp's numbers begin with a plus", f'write "whatsapp:+{number.removeprefix("whatsapp:")}"'
    if re.match(r"\+0", number):
        return "no country's number begins with +0", "write the country's code behind the plus, and no zero: +44…"
    if number.endswith("*") and len(number) > LONGEST + 1:
        return f"the beginning of an address is compared up to {LONGEST} characters", "write a shorter beginning"
    return None


def path_words(path: str) -> _Words | None:
    """Why no stream ever comes to a path; None where one may."""
    if unquote(path) != path:
        message = "% and two digits stand for another character when the stream comes, so this path is never asked for"
        return message, f"write {_plain(path)}"
    return None


def _plain(path: str) -> str:
    return re.sub(r"(?:%[0-9A-Fa-f]{2})+", "-", path)
