"""The corpus, and what becomes of it. Each file of tests/corpus/WAY/ is one hostile input, or a genuine one."""

import json
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from tests.wire.test_strangers import ANY_JSON, HOSTILE, mutated, places

CORPUS = Path(__file__).parents[1] / "corpus"

WAYS = sorted(path.name for path in CORPUS.iterdir())

#: Bytes that an input may swell to.
MOST = 100_000

#: What means something to one of the ways in.
HAZARDS: list[bytes] = [
    *(
        b"\x00",
        b"\xff",
        b"\xed\xa0\x80",
        b"\r\n",
        b"\n",
        b"\r\n\r\n",
        b" ",
        b"\t",
        b"%00",
        b"%ff",
        b"%zz",
        b"&",
        b"=",
        b"+",
    ),
    *(b"{{", b"}}", b"{%", b"%}", b"${X}", b"{", b"}", b"[", b"]", b'"', b"'", b"\\", b"\\ud800", b"<", b">", b"&#0;"),
    *(b": ", b"- ", b"|", b"#", b"*a", b"&a ", b"!!", b"NaN", b"1e999", b"-1", b"9" * 4000, b"null", b"\xe2\x80\xa8"),
    *(b"HTTP/1.1", b"Content-Length: 99999999999\r\n", b"Transfer-Encoding: chunked\r\n", b"Upgrade: websocket\r\n"),
    *(b"Connection: Upgrade\r\n", b"Expect: 100-continue\r\n", b"ffffffff\r\n", b"Host: [\r\n"),
]


def corpus(way: str) -> dict[str, bytes]:
    """The inputs of one way in, by name."""
    return {path.name: path.read_bytes() for path in sorted((CORPUS / way).iterdir())}


@st.composite
def rubbish(draw: st.DrawFn, way: str) -> bytes:
    """One of them, a few times changed."""
    inputs = list(corpus(way).values())
    data = draw(st.sampled_from(inputs))
    for _ in range(draw(st.integers(1, 4))):
        data = _changed(draw, data, inputs)[:MOST]
    return data


def _changed(draw: st.DrawFn, data: bytes, inputs: list[bytes]) -> bytes:
    at, to = sorted((draw(st.integers(0, len(data))), draw(st.integers(0, len(data)))))
    match draw(st.sampled_from(["cut", "end", "put", "replace", "splice", "swell", "lines", "lines", "json", "json"])):
        case "cut":
            return data[:at] + data[to:]
        case "end":
            return data[:at]
        case "put":
            return data[:at] + draw(st.sampled_from(HAZARDS) | st.binary(max_size=4)) + data[at:]
        case "replace":
            return data[:at] + draw(st.sampled_from(HAZARDS)) + data[to:]
        case "splice":
            return data[:at] + draw(st.sampled_from(inputs))[to:] + data[to:]
        case "swell":
            part = data[at : min(to, at + 100)]
            return data[:at] + part * draw(st.sampled_from([2, 100, 5_000])) + data[to:]
        case "lines":
            return b"\n".join(_lines(draw, data.split(b"\n")))
        case _:
            return b"\n".join(_json(draw, line) for line in data.split(b"\n"))


def _lines(draw: st.DrawFn, lines: list[bytes]) -> list[bytes]:
    at, to = draw(st.integers(0, len(lines) - 1)), draw(st.integers(0, len(lines) - 1))
    match draw(st.sampled_from(["swap", "again", "lose", "reverse"])):
        case "swap":
            lines[at], lines[to] = lines[to], lines[at]
        case "again":
            lines = lines[:to] + [lines[at]] * draw(st.sampled_from([1, 2, 300])) + lines[to:]
        case "lose":
            lines = lines[:at] + lines[at + 1 :]
        case _:
            lines = lines[::-1]
    return lines


def _json(draw: st.DrawFn, line: bytes) -> bytes:
    """A line with one thing in it exchanged or left out, where it is JSON."""
    try:
        message: Any = json.loads(line)
        place = draw(st.sampled_from(places(message)))
        value = draw(st.sampled_from(HOSTILE) | ANY_JSON)
        return json.dumps(mutated(message, place, value, drop=draw(st.booleans()))).encode()
    except (ValueError, RecursionError):
        return line
