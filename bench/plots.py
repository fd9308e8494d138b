"""Pictures of the results, as SVG that is the same for the same results."""

import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.report import WAYS, Row, at, bridges, cpu, middle, of, per_call_mb

COLOURS = {"dialplan": "#0072b2", "bare": "#777777", "textbook": "#d55e00", "pipecat": "#cc79a7"}

STYLE: Any = {
    "svg.hashsalt": "dialplan",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e5e5e5",
    "legend.frameon": False,
}


def draw(results: dict[str, Any], folder: Path) -> list[Path]:
    """Every picture that there are results for."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures: dict[str, tuple[str, Callable[[Axes, list[Row]], None]]] = {
        "capacity": ("capacity", _capacity),
        "cost": ("cost", _cost),
        "memory": ("cost", _memory),
        "latency": ("latency", _latency),
        "endurance": ("endurance", _endurance),
    }
    paths = []
    for name, (experiment, picture) in pictures.items():
        if results.get(experiment):
            path = folder / f"{name}.svg"
            with _axes(path) as axes:
                picture(axes, results[experiment])
            paths.append(path)
    return paths


@contextmanager
def _axes(path: Path) -> Iterator[Axes]:
    """A picture to draw into, written at the end."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7, 3.6), layout="constrained")
        yield figure.add_subplot()
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def _capacity(axes: Axes, rows: list[Row]) -> None:
    names = sorted(bridges(rows), key=lambda name: middle(of(rows, name), "calls"))
    for name in names:
        numbers = [row["calls"] for row in of(rows, name)]
        calls = statistics.median(numbers)
        axes.barh(name, calls, color=COLOURS[name])
        axes.plot([min(numbers), max(numbers)], [name, name], color="black", linewidth=1)
        more = "≥ " if any(row["limited_by_load"] for row in of(rows, name)) else ""
        axes.annotate(f"{more}{calls:.0f}", (max(numbers), name), (4, 0), textcoords="offset points", va="center")
    axes.grid(False, axis="y")
    axes.margins(x=0.1)
    axes.set_xlabel("calls on one core, each frame carried within 20 ms (p99) and none lost")


def _cost(axes: Axes, rows: list[Row]) -> None:
    _lines(axes, rows, cpu)
    axes.set_ylabel("ms of CPU for one call and second")


def _memory(axes: Axes, rows: list[Row]) -> None:
    _lines(axes, rows, lambda some: 1024 * statistics.median(per_call_mb(row) for row in some))
    axes.set_ylabel("KB of memory for one call")


def _lines(axes: Axes, rows: list[Row], measure: Callable[[list[Row]], float]) -> None:
    for name in bridges(rows):
        mine = of(rows, name)
        sizes = sorted({row["calls"] for row in mine})
        axes.plot(sizes, [measure(at(mine, calls)) for calls in sizes], "o-", color=COLOURS[name], label=name)
    axes.set_xlabel("calls on the line")
    axes.set_ylim(bottom=0)
    axes.legend()


def _latency(axes: Axes, rows: list[Row]) -> None:
    """Up is drawn through, down is dashed; the slowest of a hundred is at the right."""
    for way, line in (("caller → agent", "-"), ("agent → caller", "--")):
        for name in bridges(rows):
            repeats = [WAYS[way](row)["percentiles"] for row in of(rows, name)]
            values = [statistics.median(repeat[percent] for repeat in repeats) for percent in range(100)]
            axes.plot(range(100), values, line, color=COLOURS[name], label=f"{name}, {way}")
    axes.set_yscale("log")
    axes.set_xlabel(f"percentile of all frames, at {rows[0]['calls']} calls")
    axes.set_ylabel("ms added")
    axes.legend()


def _endurance(axes: Axes, rows: list[Row]) -> None:
    calls = [row["calls"] for row in rows]
    colour = COLOURS["dialplan"]
    axes.plot(calls, [row["loaded_mb"] for row in rows], "-", color=colour, label="while calls are on the line")
    axes.plot(calls, [row["idle_mb"] for row in rows], "--", color=colour, label="when they have ended")
    axes.set_xlabel("calls so far")
    axes.set_ylabel("MB of memory")
    axes.set_ylim(bottom=0)
    axes.legend(loc="lower right")
