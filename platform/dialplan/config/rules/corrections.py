"""The correction of a value or key of the wrong shape, wherever one can be computed. Pure.

What people write instead is guessed from what other systems call it, and from what their keyboards and word processors
make of it. Nothing is suggested that would be wrong as well.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from dialplan.config.keys import masked
from dialplan.config.model import Builtin
from dialplan.config.problems import did_you_mean, listed
from dialplan.config.rules.catalogue import catalogue
from dialplan.config.rules.phone_numbers import as_dialled
from dialplan.config.yaml.source import Node

#: Quotes of word processors and phones, which to YAML are characters like any other.
CURLY = "“”„‟«»‘’‚‛"

# Keys

#: What other systems call it, or what nothing is called here.
_ALSO_CALLED: Mapping[str, str] = {
    **dict.fromkeys(("phone", "phones", "phone_number", "phone_numbers"), "numbers"),
    **dict.fromkeys(("first_message", "welcome", "welcome_message", "hello"), "greeting"),
    **dict.fromkeys(("instructions", "system", "system_prompt", "role", "persona"), "prompt"),
    **dict.fromkeys(("tools", "actions", "skills"), "functions"),
    **dict.fromkeys(("llm", "brain", "ai"), "think"),
    **dict.fromkeys(("stt", "asr", "transcriber", "hear"), "listen"),
    **dict.fromkeys(("tts", "speak", "speech"), "voice"),
    **dict.fromkeys(("tests", "examples", "conversations"), "rehearsals"),
    **dict.fromkeys(("tz", "zone"), "timezone"),
    **dict.fromkeys(("vars", "values"), "variables"),
    **dict.fromkeys(("user", "human", "customer"), "caller"),
    **dict.fromkeys(("assistant", "bot"), "agent"),
    **dict.fromkeys(("args", "arguments", "inputs"), "parameters"),
}


def of_key(key: str, known: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """Where an unknown key belongs, or which one may be meant.

    Args:
        key: the unknown one.
        known: the keys of its mapping.
        schema: of a whole agent file.
    """
    word = key.strip().strip(CURLY).lower()
    if word in known:
        # Of two words that look the same, one has a space that is none.
        return (
            f'did you mean "{word}"?'
            if key == key.strip()
            else "an invisible character stands beside it; type it again"
        )
    if word.partition(":")[0] in known and ":" in word:
        return f"a space is missing behind the colon: {key.replace(':', ': ', 1)}"
    if _ALSO_CALLED.get(word) in known:
        return f'did you mean "{_ALSO_CALLED[word]}"?'
    if is_text(key, known):
        return "a text of several lines begins with | in the line of its key, as in prompt: |"
    if key == "name" and "numbers" in known:
        return "an agent is named by its file; remove it"
    homes = _homes(word, known, schema)
    return f"{word} belongs {homes}" if homes else did_you_mean(key, known)


def is_text(key: str, known: Mapping[str, Any]) -> bool:
    """Whether a key is the beginning of a sentence, where a text may stand."""
    return set(known) == {"file"} and " " in key.strip()


def may_be(written: str, key: str) -> bool:
    """Whether a key that is missing is there, and only written wrongly: that is one mistake, not two."""
    word = written.strip().strip(CURLY).lower()
    return word.partition(":")[0] == key or _ALSO_CALLED.get(word) == key or bool(did_you_mean(word, [key]))


def _homes(key: str, known: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """In which mappings a key is known, the nearest ones only."""
    if key in schema["properties"]:
        return "at the top of the file, not in here"
    parts = {
        name: schema["properties"][name]["properties"]
        for name in ("listen", "limits", "records", "fallback", "deepgram")
    }
    inner = schema["definitions"]
    parts |= {name: inner[name]["properties"] for name in ("think", "voice")}
    in_function = inner["function"]["properties"]
    if "on_interrupt" in known:
        parts = {name: in_function[name]["properties"] for name in ("http", "endpoint")}
    elif "turns" in known:
        parts = {"turns": inner["turn"]["properties"]}
    else:
        parts["functions"] = in_function
    found = [f"{name}:" for name, keys in parts.items() if key in keys]
    return f"under {' or '.join(found)}" if found else ""


# Kinds


def of_kind(wanted: Sequence[str], node: Node, schema: Mapping[str, Any]) -> str:
    """How a value of the wrong kind becomes one of the right kind."""
    if isinstance(node.value, Mapping):
        first = next(iter(node.value), "")
        return f"begin each item with a dash: - {first}: …" if list(wanted) == ["array"] and first else ""
    if isinstance(node.value, tuple):
        return "write one text; several lines begin with | and stand below it" if "string" in wanted else ""
    if not node.raw:
        return _example(schema) if "object" in wanted else ""
    return next((words for kind in wanted if (words := _OF_KIND[kind](node, schema))), "")


def _as_text(node: Node, schema: Mapping[str, Any]) -> str:
    return f'put quotes around it: "{node.raw}"'


def _as_list(node: Node, schema: Mapping[str, Any]) -> str:
    if not node.style and (node.raw.startswith("-") or node.place.end_line > node.place.line):
        first = node.raw.lstrip("-").split()[0].strip(",\"'") if node.raw.strip("-") else "…"
        return f"begin each item with a dash and a space: - {first}"
    several = _several(node.raw, str(schema.get("items", {}).get("pattern", "")))
    if len(several) > 1:
        return "write it as a list: [" + ", ".join(f'"{one}"' for one in several) + "]"
    number = isinstance(node.value, int) and len(node.raw) > 6
    return f'write it as a list: ["{"+" if number else ""}{node.raw.lstrip("+") if number else node.raw}"]'


def _several(text: str, pattern: str) -> list[str]:
    """The items that stand in one text: between commas, and between spaces where an item has none."""
    words = text.replace(",", " ").split()
    if pattern and all(re.search(pattern, word) for word in words):
        return words
    return [part.strip() for part in text.split(",") if part.strip()]


def _as_boolean(node: Node, schema: Mapping[str, Any]) -> str:
    word = node.raw.lower()
    return f"write {_BOOLEANS[word]}" if word in _BOOLEANS else ""


_BOOLEANS = {**dict.fromkeys(("yes", "on", "true"), "true"), **dict.fromkeys(("no", "off", "false"), "false")}


def _as_number(node: Node, schema: Mapping[str, Any]) -> str:
    if node.style and re.fullmatch(r"[-+]?[0-9.]+", node.raw):
        return f"write it without quotes: {node.raw}"
    number = re.fullmatch(r"([0-9]+(?:[.,][0-9]+)?) ?[^0-9]{0,12}", node.raw.strip(CURLY))
    return f"write {number[1].replace(',', '.')}" if number else ""


def _as_keys(node: Node, schema: Mapping[str, Any]) -> str:
    if re.fullmatch(r"\w+", node.raw) and "expected_function" in str(schema.get("allOf", "")):
        return f"write {{{node.raw}: {{}}}}"
    if "think" in str(schema.get("allOf", "")):
        provider = next((name for begin, name in _PROVIDERS.items() if node.raw.startswith(begin)), "open_ai")
        model = node.raw if node.raw.startswith(tuple(_PROVIDERS)) else "gpt-4o-mini"
        return f"write {{provider: {provider}, model: {model}}}"
    return _example(schema)


_PROVIDERS = {"gpt-": "open_ai", "claude-": "anthropic", "gemini-": "google"}


def _nothing(node: Node, schema: Mapping[str, Any]) -> str:
    return ""


_OF_KIND: Mapping[str, Callable[[Node, Mapping[str, Any]], str]] = {
    "string": _as_text,
    "array": _as_list,
    "boolean": _as_boolean,
    "number": _as_number,
    "integer": _as_number,
    "object": _as_keys,
    "null": _nothing,
}


def _example(schema: Mapping[str, Any]) -> str:
    """A mapping from the schema's examples, as it is written in YAML."""
    example = next((one for one in schema.get("examples", ()) if isinstance(one, dict)), None)
    simple = example and all(isinstance(value, str | int | float) for value in example.values())
    return (
        "as in {" + ", ".join(f"{key}: {value}" for key, value in example.items()) + "}" if example and simple else ""
    )


# Forms


def of_form(path: Sequence[str | int], text: str, pattern: str) -> str:
    """A text of the wrong form as it must be written; nothing where that cannot be known."""
    if masked(text) != text:  # Written a little differently, nobody would know it for a key.
        return ""
    kind = next((str(key) for key in reversed(path) if not isinstance(key, int)), "")
    candidates = [text.strip().strip(CURLY).strip()]
    if kind in _OF_FORM:
        candidates.append(_OF_FORM[kind](candidates[0]))
    if " - " in text and isinstance(path[-1], int):
        return "the dashes of one list stand below each other"
    fitting = next((one for one in candidates if one != text and re.search(pattern, one) and "\n" not in one), "")
    if candidates[-1].startswith("name: ") and re.search(pattern, candidates[-1].removeprefix("name: ")):
        fitting = candidates[-1]
    if fitting and kind == "numbers":
        return f'write "{fitting}"'
    if fitting and kind == "plugins" and re.search(r"\w[ -]", candidates[0]) and not _names(text, pattern, "."):
        file = fitting.replace(".", "/") + ".py"
        return f"write {fitting}, and call its file {file}: the name of a module has no - and no space"
    if kind in ("functions", "plugins") and (words := _names(text, pattern, "." if kind == "plugins" else "")):
        return _with_comma(words, fitting)
    return f"write {fitting}" if fitting else ""


def _names(text: str, pattern: str, mark: str) -> list[str]:
    """The several names that a text may be, with spaces between and a mark in each."""
    words = text.split()
    several = len(words) > 1 and words[0] != "name" and all(re.search(pattern, word) and mark in word for word in words)
    return words if several else []


def _with_comma(words: Sequence[str], joined: str) -> str:
    """Of several names: two whose comma is missing, or one whose underscores are."""
    if not joined or any(mark in word for word in words for mark in "_."):
        return f"a comma is missing between {words[0]} and {words[1]}"
    return f"write {joined}" if joined in set(Builtin) else f"write {joined}; or a comma, where these are several"


def _path(text: str) -> str:
    return "/" + urlsplit(text).path.strip("/") if text.isascii() and "[" not in text else ""


def _module(text: str) -> str:
    dotted = text.replace("\\", "/").removeprefix("./").removesuffix(".py").replace("/", ".")
    return re.sub(r"[\s-]+", "_", dotted)


def _base(text: str) -> str:
    name = text.replace("\\", "/").rpartition("/")[2].removesuffix(".yaml").removesuffix(".yml")
    return name if name.startswith("_") else f"_{name}"


def _name(text: str) -> str:
    named = re.fullmatch(r"name[ :=]+(\S+)", text)
    if named:
        return f"name: {named[1]}"
    return re.sub(r"[\s.]+", "_", text) if " - " not in text else ""


def _language(text: str) -> str:
    names: dict[str, str] = {name.casefold(): code for code, name in catalogue()["language_names"].items()}
    return names.get(text.casefold(), text.replace("_", "-"))


_OF_FORM: Mapping[str, Callable[[str], str]] = {
    "language": _language,
    "numbers": as_dialled,
    "streams": _path,
    "plugins": _module,
    "extends": _base,
    "functions": _name,
    "name": _name,
    "url": lambda text: f"https://{text}" if re.match(r"[\w-]+\.[\w.-]+(?:/|$)", text) else "",
}


def known_here(known: Mapping[str, Any]) -> str:
    """What may stand in a mapping."""
    own = "; keys of your own begin with x-" if "numbers" in known else ""
    return f"known here: {listed(known, most=20)}{own}"


#: Sections of docs/agent-file.md on the keys of a mapping.
_SECTIONS = {"functions": "a-function", "turns": "rehearsals"}
_SECTIONS |= {
    name: name
    for name in (
        "listen",
        "think",
        "voice",
        "limits",
        "records",
        "fallback",
        "deepgram",
        "http",
        "endpoint",
        "rehearsals",
    )
}


def known_there(known: Mapping[str, Any], path: Sequence[str | int]) -> str:
    """Whose keys there are, and where they are explained."""
    where = next((str(key) for key in reversed(path) if not isinstance(key, int)), "")
    whose = f"what may stand in {where}" if where else "an agent's keys"
    section = _SECTIONS.get(where, "keys" if not where else "")
    return f"{whose}: {listed(known, most=30)}" + (f" (docs/agent-file.md#{section})" if section else "")
