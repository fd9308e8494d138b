"""How `dialplan doctor` learns whether a server is this one: who knows the same secret can prove it.

The doctor asks `/healthz` with a nonce, and shows first that it knows the secret itself; only then does the server show
the same. A stranger gets nothing to try secrets on. Every text that is signed here begins with words that no stream
token (wire/twiml.py) begins with, so that neither can be taken for the other. Pure.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from enum import Enum

from dialplan.config.dialplan import Dialplan

#: Headers: of the question; of the answer, for the secret, and for the routes.
QUESTION, PROOF, ROUTES = "dialplan-question", "dialplan-proof", "dialplan-routes"

#: What a server answers that does not know the asker's secret.
DIFFERENT = "by another secret"

#: Characters of a nonce, in hexadecimal.
NONCE_LENGTH = 32

_NONCE = re.compile(f"[0-9a-f]{{{NONCE_LENGTH}}}")


class Verdict(Enum):
    """Who has answered."""

    THIS = "this server"
    OTHER_ROUTES = "the same secret, other routes"
    OTHER_DIALPLAN = "another Dialplan"
    NO_PROOF = "something else"


def question(secret: str, nonce: str) -> dict[str, str]:
    """The headers of a question."""
    return {QUESTION: _mac(secret, "asks", nonce)}


def answer(secret: str, dialplan: Dialplan, nonce: str, asked: str) -> dict[str, str]:
    """The headers of a server's answer; none where nobody asked for a proof."""
    if not _NONCE.fullmatch(nonce):
        return {}
    # As bytes: compare_digest refuses text that is not ASCII, and a stranger may send any.
    if not hmac.compare_digest(_mac(secret, "asks", nonce).encode(), asked.encode()):
        return {PROOF: DIFFERENT}
    return {PROOF: _mac(secret, "answers", nonce), ROUTES: _mac(secret, "routes", nonce + _routes(dialplan))}


def verdict(secret: str, dialplan: Dialplan, nonce: str, answered: Mapping[str, str]) -> Verdict:
    """Who has answered, by the headers of the answer."""
    proof = answered.get(PROOF, "")
    if not hmac.compare_digest(_mac(secret, "answers", nonce).encode(), proof.encode()):
        return Verdict.OTHER_DIALPLAN if proof == DIFFERENT else Verdict.NO_PROOF
    same = hmac.compare_digest(
        _mac(secret, "routes", nonce + _routes(dialplan)).encode(), answered.get(ROUTES, "").encode()
    )
    return Verdict.THIS if same else Verdict.OTHER_ROUTES


def _routes(dialplan: Dialplan) -> str:
    """Who answers what, in one text."""
    numbers = ((pattern, route.agent.name) for pattern, route in dialplan.numbers.items())
    streams = ((path, route.agent.name) for path, sharing in dialplan.streams.items() for route in sharing)
    return json.dumps(sorted([*numbers, *streams]))


def _mac(secret: str, purpose: str, signed: str) -> str:
    return hmac.digest(secret.encode(), f"dialplan doctor {purpose} {signed}".encode(), hashlib.sha256).hex()
