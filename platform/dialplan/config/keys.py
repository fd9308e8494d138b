"""Keys and passwords that are written out where `${NAME}` belongs: found by how they look and where they stand.

Pure; knows nothing of agents. What is found here is never shown: `masked` hides it wherever a piece of a file is shown.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class WrittenOut:
    """Where in a text a secret stands, and the name of the environment variable that fits; empty if none is known."""

    start: int
    end: int
    name: str = ""


#: What is said of a key in a prompt.
HEARD = "a key is written out here: the model or the caller would get it, and whoever reads the file"

#: Keys that tell by their beginning whose they are. Each begins with a word that ordinary texts do not have.
_FORMS: tuple[tuple[str, str, str], ...] = (
    ("sk-ant-", r"sk-ant-[\w-]{20,}", "ANTHROPIC_API_KEY"),
    ("sk-", r"sk-(?:[a-z]{1,20}-)?(?=[\w-]{0,60}[0-9])(?=[\w-]{0,60}[A-Za-z0-9]{16})[\w-]{20,}", "OPENAI_API_KEY"),
    ("sk_live_", r"[sr]k_(?:live|test)_[A-Za-z0-9]{16,}", "STRIPE_API_KEY"),
    ("sk_car_", r"sk_car_[A-Za-z0-9]{16,}", "CARTESIA_API_KEY"),
    ("sk_", r"sk_[0-9a-f]{40,}", "ELEVENLABS_API_KEY"),
    ("gsk_", r"gsk_[A-Za-z0-9]{20,}", "GROQ_API_KEY"),
    ("nvapi-", r"nvapi-[\w-]{20,}", "NVIDIA_API_KEY"),
    ("AIza", r"AIza[\w-]{35}", "GOOGLE_API_KEY"),
    ("AKIA", r"AKIA[0-9A-Z]{16}", "AWS_ACCESS_KEY_ID"),
    ("ASIA", r"ASIA[0-9A-Z]{16}", "AWS_ACCESS_KEY_ID"),
    ("ghp_", r"ghp_[A-Za-z0-9]{30,}", "GITHUB_TOKEN"),
    ("github_pat_", r"github_pat_\w{22,}", "GITHUB_TOKEN"),
    ("glpat-", r"glpat-[\w-]{20,}", "GITLAB_TOKEN"),
    ("xox", r"xox[abeoprs]-[0-9A-Za-z-]{10,}", "SLACK_TOKEN"),
    ("hooks.slack.com", r"(?<=hooks\.slack\.com/services/)[\w/]{20,}", "SLACK_WEBHOOK"),
    ("hf_", r"hf_[A-Za-z0-9]{30,}", "HF_TOKEN"),
    ("SG.", r"SG\.[\w-]{16,80}\.[\w-]{16,80}", "SENDGRID_API_KEY"),
    ("eyJ", r"eyJ[\w-]{8,300}\.eyJ[\w-]{8,4000}\.[\w-]{16,}", ""),
    ("PRIVATE KEY", r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----(?s:.*?)(?:-----END|\Z)", "PRIVATE_KEY"),
)
_BEGINNINGS = tuple(beginning for beginning, _, _ in _FORMS)
_SHORTEST = 15
_FORM = re.compile("|".join(rf"(?<![A-Za-z0-9])(?:{form})" for _, form, _ in _FORMS))
_NAMES = tuple((re.compile(form), name) for _, form, name in _FORMS)

#: Names of headers, options and parameters whose values are secrets.
_NAMED_SO = (
    r"(?:proxy-)?authorization|(?:[a-z0-9]+[-_.])*(?:api[-_]?key|api[-_]?secret|access[-_]?key(?:[-_]id)?|secret[-_]?key"
    r"|private[-_]?key|secret|password|passwd|token|subscription-key|secret[-_]access[-_]key|credential)"
)
_SECRET_KEY = re.compile(_NAMED_SO, re.IGNORECASE)
_SCHEME = re.compile(r"(?:Bearer|Token|Basic|Api-?Key|Key)\s+", re.IGNORECASE)
#: Of an address: the password before its host, the values behind its `?`.
_PASSWORD = re.compile(r"://[^/?#\s:@{}]*:([^/?#\s@]+)@")
_PARAMETER = re.compile(rf"[?&](?:{_NAMED_SO}|key|sig|signature)=([^&#\s\"'{{}}$]+)", re.IGNORECASE)

_PLACEHOLDER = re.compile(
    r"(?i:x+|\*+|•+|your.*|my[-_].*|change.?me|example.*|secret|password|pass|token|key|…|\.\.\.|<.*>)|[A-Z_]+"
)
_FILLED_IN = re.compile(r"\$\{|\{\{|\{%")


@lru_cache(maxsize=1024)
def is_secret_name(key: str) -> bool:
    """Whether what stands under this name is a secret."""
    return _SECRET_KEY.fullmatch(key) is not None


def written_out(key: str, text: str) -> list[WrittenOut]:
    """The secrets in a text that stands under a key, in their order."""
    found = list(_of_known_form(text))
    if "://" in text:
        found += _in_address(text)
    if is_secret_name(key):
        found += _whole(text)
    return _apart(found)


def masked(text: str) -> str:
    """A piece of a file as it may be shown: as long as it is, with a dot for each character of a secret."""
    found = [*_of_known_form(text), *(_in_address(text) if "://" in text else ()), *_named(text)]
    for one in reversed(_apart(found)):
        text = text[: one.start] + hidden(text[one.start : one.end]) + text[one.end :]
    return text


def hidden(secret: str) -> str:
    """Dots in place of characters, line by line."""
    return re.sub(r"[^\r\n]", "•", secret)


def _of_known_form(text: str) -> Iterator[WrittenOut]:
    if len(text) >= _SHORTEST and _may_hold_one(text):
        for match in _FORM.finditer(text):
            name = next(name for form, name in _NAMES if form.match(text, match.start()))
            yield WrittenOut(*match.span(), name)


def _may_hold_one(text: str) -> bool:
    # To look for a word is many times faster than to try all the patterns at each place of a long prompt.
    for beginning in _BEGINNINGS:  # noqa: SIM110 -- `any` with a generator takes three times as long
        if beginning in text:
            return True
    return False


def _in_address(text: str) -> Iterator[WrittenOut]:
    for match in _PASSWORD.finditer(text):
        if not _FILLED_IN.search(match[1]) and not _PLACEHOLDER.fullmatch(match[1]):
            yield WrittenOut(*match.span(1))
    for match in _PARAMETER.finditer(text):
        if _is_random(match[1]):
            yield WrittenOut(*match.span(1))


def _whole(text: str) -> Iterator[WrittenOut]:
    """What stands under a secret's name, without the word before it that says what kind it is."""
    scheme = _SCHEME.match(text)
    start = scheme.end() if scheme else 0
    if not _FILLED_IN.search(text) and _is_random(text[start:].strip()):
        yield WrittenOut(start, len(text.rstrip()))


#: `api_key: …` and `authorization: Bearer …`, as they stand in a file or in one line of it.
_UNDER_A_NAME = re.compile(
    rf"(?<![\w.-])(?:{_NAMED_SO})[\"']?\s*[:=]\s*(?:[|>][-+0-9]*\s+|&\S+\s+)?[\"']?"
    rf"(?:{_SCHEME.pattern})?((?:[^\s\"',}}\]:]|:(?!\s)){{8,}})",
    re.IGNORECASE,
)


def _named(text: str) -> Iterator[WrittenOut]:
    for match in _UNDER_A_NAME.finditer(text):
        if not _FILLED_IN.search(match[1]) and _is_random(match[1]):
            yield WrittenOut(*match.span(1))


def _is_random(text: str) -> bool:
    """Whether a text is no word that a person would write: letters and digits, or large and small ones, mixed."""
    if len(text) < 8 or re.search(r"\s", text) or _PLACEHOLDER.fullmatch(text):
        return False
    letters, digits = bool(re.search("[A-Za-z]", text)), bool(re.search("[0-9]", text))
    return (letters and digits) or (len(text) >= 16 and text not in (text.lower(), text.upper()))


def _apart(found: list[WrittenOut]) -> list[WrittenOut]:
    """Each place once: what lies in another one goes, and a name is better than none."""
    kept: list[WrittenOut] = []
    for one in sorted(found, key=lambda one: (one.start, -one.end, not one.name)):
        if not kept or one.start >= kept[-1].end:
            kept.append(one)
    return kept
