"""Tables of the results, in Markdown. Reads what `--out` has written; medians of all repeats."""

import statistics
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from bench.load import SATURATED_MS
from bench.servers import BARE, PRODUCT

Row = dict[str, Any]
Measure = Callable[[Row], float]


def quick(rows: Sequence[Row]) -> str:
    """Ratios above all: what one machine says in a minute is worth no more."""
    base = cpu(of(rows, BARE.name))
    head = ["", "CPU per call·s", "× bare", "up p50 / p99", "down p50 / p99", "barge-in p50 / p99", "lost"]
    lines = [[name, *_quick(of(rows, name), base)] for name in bridges(rows)]
    return table(head, lines) + "\n\nTimes in ms, as added by the bridge; medians of three short windows."


def tables(results: dict[str, Any]) -> str:
    """Everything that was measured."""
    makers: dict[str, tuple[str, Callable[[Sequence[Row]], str]]] = {
        "quick": ("At 50 calls", quick),
        "capacity": ("Calls on one core", capacity),
        "cost": ("Cost of a call", cost),
        "latency": ("Added latency", latency),
        "greeting": ("From `start` to the first audio", greeting),
        "webhook": ("The webhook", webhook),
        "endurance": ("Calls one after another", endurance),
        "overload": ("More calls than it can carry", overload),
        "workers": ("Two processes", workers),
    }
    parts = [f"## {title}\n\n{make(results[name])}" for name, (title, make) in makers.items() if results.get(name)]
    if results.get("cost"):
        parts.append(f"## Memory\n\n{memory(results['cost'])}")
    return "\n\n".join([machine(results["machine"]), *parts])


def on_page(page: str, figures: str) -> str:
    """A page with these figures in the place of those it has."""
    before, begin, rest = page.partition("<!-- figures: written by `python -m bench report` -->\n")
    _, end, after = rest.partition("<!-- end of figures -->")
    return f"{before}{begin}\n{figures}\n\n{end}{after}"


def machine(facts: Row) -> str:
    """Where it was measured."""
    packages = ", ".join(f"{name} {number}" for name, number in facts["packages"].items())
    if "pipecat" in facts:
        packages += f", pipecat {facts['pipecat']}"
    return f"{facts['processor']}, {facts['cores']} cores, {facts['system']}, Python {facts['python']}; {packages}"


def capacity(rows: Sequence[Row]) -> str:
    """How many calls each sustains."""
    ours = middle(of(rows, PRODUCT.name), "calls")
    lines = []
    for name in bridges(rows):
        mine = of(rows, name)
        calls, numbers = middle(mine, "calls"), [row["calls"] for row in mine]
        # Where the load gave up first, the bridge could do more.
        more = "≥ " if any(row["limited_by_load"] for row in mine) else ""
        spread = f"{min(numbers)}–{max(numbers)}"
        cores = [f"{middle(mine, 'cores'):.2f}", f"{middle(mine, 'load_cores'):.2f}"]
        lines.append([name, f"{more}{calls:.0f}", spread, f"{calls / ours:.2f}" if ours else "–", *cores])
    head = ["", "calls", "of all repeats", "of the product's", "cores of the server", "cores of the load"]
    return table(head, lines)


def cost(rows: Sequence[Row]) -> str:
    """CPU time of the server, for one call and second."""

    def cell(name: str, calls: int) -> str:
        mine, base = at(of(rows, name), calls), at(of(rows, BARE.name), calls)
        if not mine:
            return "–"
        ratio = f" ({cpu(mine) / cpu(base):.1f} × bare)" if base and name != BARE.name else ""
        return f"{cpu(mine):.2f} ms{ratio}"

    return _by_size(rows, cell)


def memory(rows: Sequence[Row]) -> str:
    """Of the server: idle, and for one call."""

    def cell(name: str, calls: int) -> str:
        mine = at(of(rows, name), calls)
        return f"{1024 * statistics.median(per_call_mb(row) for row in mine):.0f} KB" if mine else "–"

    idle = [f"{name} {middle(of(rows, name), 'idle_mb'):.0f} MB" for name in bridges(rows)]
    return f"{_by_size(rows, cell)}\n\nIdle: {', '.join(idle)}."


def latency(rows: Sequence[Row]) -> str:
    """What is added to a frame's way."""
    head = [f"at {rows[0]['calls']} calls", "", "p50", "p99", "max"]
    lines = []
    for what, measure in WAYS.items():
        for name in bridges(rows):
            found = [measure(row) for row in of(rows, name)]
            lines.append([what, name, *(f"{middle(found, key):.2f} ms" for key in ("p50", "p99", "max"))])
    late = max(row["result"]["lateness"]["p99"] for row in rows)
    return f"{table(head, lines)}\n\nThe load itself was at most {late:.1f} ms late (p99)."


WAYS: dict[str, Callable[[Row], Row]] = {
    "caller → agent": lambda row: row["result"]["up"]["latency"],
    "agent → caller": lambda row: row["result"]["down"]["latency"],
    "barge-in → clear": lambda row: row["result"]["barge_in"],
}


def greeting(rows: Sequence[Row]) -> str:
    """The first word."""
    head = ["calls on the line", "p50", "p99", "max"]
    lines = []
    for calls in sorted({row["calls"] for row in rows}):
        found = [row["latency"] for row in at(rows, calls)]
        lines.append([str(calls), *(f"{middle(found, key):.2f} ms" for key in ("p50", "p99", "max"))])
    return table(head, lines)


def webhook(rows: Sequence[Row]) -> str:
    """Twilio's POST."""
    found = [row["latency"] for row in rows]
    cells = [f"{middle(found, key):.1f} ms" for key in ("p50", "p99", "max")]
    failed = sum(row["failed"] for row in rows)
    line = [f"{rows[0]['rate']} a second", *cells, str(failed), f"{middle(rows, 'cpu_ms'):.1f} ms"]
    return table(["calls that come in", "p50", "p99", "max", "failed", "CPU per call"], [line])


def endurance(rows: Sequence[Row]) -> str:
    """Memory when the calls have ended."""
    marks = [rows[0], rows[1], rows[len(rows) // 2], rows[-1]]
    lines = [[str(row["calls"]), f"{row['idle_mb']:.1f} MB", f"{row['loaded_mb']:.1f} MB"] for row in marks]
    return table(["calls so far", "when they have ended", "while the last ones were on the line"], lines)


def overload(rows: Sequence[Row]) -> str:
    """Those on the line while more come."""
    head = ["", "came", "taken", "caller → agent p50 / p99", "agent → caller p50 / p99", "barge-in p50 / p99"]
    lines = []
    for name in bridges(rows):
        mine = of(rows, name)
        taken = middle(mine, "calls") - middle([row["result"] for row in mine], "hung_up")
        found = [[measure(row) for row in mine] for measure in WAYS.values()]
        ways = [f"{middle(spreads, 'p50'):.1f} / {middle(spreads, 'p99'):.1f} ms" for spreads in found]
        lines.append([name, f"{middle(mine, 'calls'):.0f}", f"{taken:.0f}", *ways])
    late = max(row["result"]["lateness"]["p99"] for row in rows)
    return f"{table(head, lines)}\n\nThe load itself was at most {late:.1f} ms late (p99)."


def workers(rows: Sequence[Row]) -> str:
    """One process and two, with the load on the same cores."""
    lines = []
    for count in sorted({row["workers"] for row in rows}):
        mine = [row for row in rows if row["workers"] == count]
        cores = [f"{middle(mine, 'cores'):.2f}", f"{middle(mine, 'load_cores'):.2f}"]
        numbers = [row["calls"] for row in mine]
        lines.append([str(count), f"{middle(mine, 'calls'):.0f}", f"{min(numbers)}–{max(numbers)}", *cores])
    return table(["processes", "calls", "of all repeats", "cores of the server", "cores of the load"], lines)


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """With its columns aligned, for who reads it as it is."""
    rows = [list(head), *(list(line) for line in lines)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    texts = [" | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    texts.insert(1, "-|-".join("-" * width for width in widths))
    return "\n".join(f"| {text} |" if "-|-" not in text else f"|-{text}-|" for text in texts)


def bridges(rows: Iterable[Row]) -> list[str]:
    """Whose rows these are, in order."""
    return list(dict.fromkeys(row["bridge"] for row in rows))


def of(rows: Iterable[Row], bridge: str) -> list[Row]:
    """The rows of one bridge."""
    return [row for row in rows if row["bridge"] == bridge]


def at(rows: Iterable[Row], calls: int) -> list[Row]:
    """The rows at one number of calls."""
    return [row for row in rows if row["calls"] == calls]


def middle(rows: Iterable[Row], key: str) -> float:
    """The median of one measure; 0 where there is none."""
    return float(statistics.median([row[key] for row in rows] or [0]))


def cpu(rows: Iterable[Row]) -> float:
    """Milliseconds for one call and second."""
    return middle(rows, "cpu_ms")


def per_call_mb(row: Row) -> float:
    """What a call holds."""
    return float((row["loaded_mb"] - row["idle_mb"]) / row["calls"])


def _by_size(rows: Sequence[Row], cell: Callable[[str, int], str]) -> str:
    sizes = sorted({row["calls"] for row in rows})
    names = bridges(rows)
    return table(["calls", *names], [[str(calls), *(cell(name, calls) for name in names)] for calls in sizes])


def _quick(rows: Sequence[Row], base: float) -> Iterable[str]:
    yield f"{cpu(rows):.2f} ms"
    yield f"{cpu(rows) / base:.2f}"
    for measure in WAYS.values():
        found = [measure(row) for row in rows]
        yield f"{middle(found, 'p50'):.2f} / {middle(found, 'p99'):.2f}"
    ways = [row["result"][way] for row in rows for way in ("up", "down")]
    late = any(row["result"]["lateness"]["p99"] > SATURATED_MS for row in rows)
    yield f"{sum(way['lost'] for way in ways)}{' (the load was late)' if late else ''}"
