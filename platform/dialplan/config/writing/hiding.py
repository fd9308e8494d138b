"""Keys and passwords in Deepgram's Settings → `${NAME}`, so that no secret gets from there into an agent file.

Pure. Where it is not certain whether something is a secret, it is taken for one: one too many does no harm.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from dialplan.config import secret

#: Headers that anybody may read.
_HARMLESS = {"accept", "accept-encoding", "accept-language", "anthropic-version", "cache-control", "content-type"}
_KEY_HEADERS = {"authorization", "api-key", "x-api-key", "xi-api-key", "x-goog-api-key"}
_SECRET_WORD = r"api[-_]?key|access[-_]?key|secret|token|passw|auth|credential|signature|^(?:key|sig)$"  # noqa: S105
_SCHEME = re.compile(r"(?i)(bearer|token|basic|apikey) +(?=\S)")
_QUERY = re.compile(r"([?&])([^=&#]+)=([^&#]+)")
_LOGIN = re.compile(r"(?<=://)[^/@?#]+(?=@)")
#: Where a `${NAME}` would be heard or means nothing, and where texts may say what they like.
_TEXTS = ("prompt", "greeting")

_HOSTS = {
    "api.openai.com": "OPENAI",
    "api.anthropic.com": "ANTHROPIC",
    "generativelanguage.googleapis.com": "GOOGLE",
    "api.groq.com": "GROQ",
    "api.elevenlabs.io": "ELEVENLABS",
    "api.cartesia.ai": "CARTESIA",
}


@dataclass(slots=True)
class Hiding:
    """What was hidden so far: each secret once, whatever number of places it stands in."""

    _names: dict[str, str] = field(default_factory=dict, repr=False)
    """Secret → name."""

    altered: bool = False
    """Whether a text had something like `${NAME}` in it, which was no secret there and would be one here."""

    @property
    def names(self) -> tuple[str, ...]:
        """The variables that must be set."""
        return tuple(self._names.values())

    def hidden(self, value: Any, owner: str = "DEEPGRAM") -> Any:
        """The same JSON without a secret in it.

        Args:
            value: any part of Settings.
            owner: whose secrets these are, for their names.
        """
        if isinstance(value, list):
            return [self.hidden(one, owner) for one in value]
        if not isinstance(value, Mapping):
            return self._text(value)
        owner = _host(value) or owner
        return {key: self._entry(key, inner, owner) for key, inner in value.items()}

    def _entry(self, key: str, value: Any, owner: str) -> Any:
        if key == "headers" and isinstance(value, Mapping):
            return {name: self._header(name, text, owner) for name, text in value.items()}
        if key == "credentials" and isinstance(value, Mapping):
            return {name: self._credential(name, text) for name, text in value.items()}
        if key in ("parameters", "context"):
            return self._text(value)
        if not isinstance(value, str) or key in _TEXTS:
            return value if isinstance(value, str) else self.hidden(value, owner)
        if key == "url":
            return self._url(value, owner)
        return self._named(value, f"{owner}_{key}") if re.search(_SECRET_WORD, key, re.I) else self._text(value)

    def _header(self, name: str, text: Any, owner: str) -> Any:
        if not isinstance(text, str) or name.lower() in _HARMLESS:
            return text
        scheme = _SCHEME.match(text)
        before = scheme[0] if scheme else ""
        kind = "api_key" if name.lower() in _KEY_HEADERS else name
        return before + self._named(text[len(before) :], f"{owner}_{kind}")

    def _credential(self, name: str, text: Any) -> Any:
        if not isinstance(text, str) or name in ("type", "region"):
            return text
        return self._named(text, f"aws_{name}")

    def _url(self, url: str, owner: str) -> str:
        def parameter(match: re.Match[str]) -> str:
            if not re.search(_SECRET_WORD, match[2], re.I):
                return match[0]
            return f"{match[1]}{match[2]}={self._named(match[3], f'{owner}_api_key')}"

        url = _QUERY.sub(parameter, url)
        return _LOGIN.sub(lambda login: self._named(login[0], f"{owner}_login"), url)

    def _text(self, value: Any) -> Any:
        """What looks like `${NAME}` in the JSON was text there; here it would be looked up."""
        if isinstance(value, list):
            return [self._text(one) for one in value]
        if isinstance(value, Mapping):
            return {key: self._text(inner) for key, inner in value.items()}
        if not isinstance(value, str) or not secret.REFERENCE.search(value):
            return value
        self.altered = True
        return value.replace("${", "$ {")

    def _named(self, value: str, name: str) -> str:
        """`${NAME}` for a secret; one that is written so already stays."""
        if not value or secret.REFERENCE.fullmatch(value):
            return value
        if value not in self._names:
            word = re.sub(r"[^A-Z0-9]+", "_", name.upper()).strip("_") or "SECRET"
            word = f"_{word}" if word[0].isdigit() else word
            taken = set(self._names.values())
            others = (f"{word}_{count}" for count in range(2, len(taken) + 3))
            self._names[value] = next(one for one in (word, *others) if one not in taken)
        return f"${{{self._names[value]}}}"


def _host(part: Mapping[str, Any]) -> str:
    """Whose secrets stand in a part: named after the host that gets them, so that none is sent to another one."""
    endpoint = part.get("endpoint", part)
    url = endpoint.get("url") if isinstance(endpoint, Mapping) else None
    try:
        host = urlsplit(url).hostname if isinstance(url, str) else None
    except ValueError:
        return ""
    return _HOSTS.get(host, re.sub(r"^(api|www)\.", "", host)) if host else ""
