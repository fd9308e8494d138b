"""Shows whether the Dialplan behind an address is this one: it answers a riddle that takes the secret to solve.

The doctor asks `/healthz?nonce=…`; who knows DIALPLAN_SECRET answers with a header that others can neither make nor use
for anything else.
"""

import hashlib
import hmac
import re
import secrets

HEADER = "Dialplan-Proof"

#: What is signed here begins with these words, what a stream's token signs (wire/twiml.py) with a bracket.
_DOMAIN = "dialplan proof "

_NONCE = re.compile("[0-9a-f]{32}")


def nonce() -> str:
    """A new riddle."""
    return secrets.token_hex(16)


def proof(secret: str, nonce: str) -> str:
    """The answer to a riddle."""
    return hmac.digest(secret.encode(), (_DOMAIN + nonce).encode(), hashlib.sha256).hex()


def headers(secret: str, nonce: str) -> dict[str, str]:
    """The header that answers a riddle; none for what is no riddle of the doctor's."""
    return {HEADER: proof(secret, nonce)} if _NONCE.fullmatch(nonce) else {}
