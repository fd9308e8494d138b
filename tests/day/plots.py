"""The day, drawn: one picture above the other, by one clock."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib as mpl
from bench.plots import COLOURS, STYLE
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tests.day.samples import Sample

BLUE, GREY, RED = COLOURS["dialplan"], COLOURS["bare"], COLOURS["textbook"]

#: Later than the last bucket of the histogram.
BEYOND_MS = 5000.0


def draw(samples: Sequence[Sample], path: Path) -> None:
    """Memory; descriptors, threads and tasks; what the event loop was late; calls on the line. As SVG, the same for the
    same samples."""
    path.parent.mkdir(parents=True, exist_ok=True)
    hours = samples[-1].minutes > 120
    clock = [sample.minutes / (60 if hours else 1) for sample in samples]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7, 7), layout="constrained")
        memory, held, late, calls = figure.subplots(4, 1, sharex=True)
        for axes, picture in ((memory, _memory), (held, _held), (late, _late), (calls, _calls)):
            picture(axes, clock, samples)
            if axes.get_legend_handles_labels()[1]:
                axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
        calls.set_xlabel("hours" if hours else "minutes")
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def _memory(axes: Axes, clock: list[float], samples: Sequence[Sample]) -> None:
    memory = [sample.mb for sample in samples]
    axes.plot(clock, memory, color=BLUE)
    axes.set_ylim(0, 1.15 * max(memory))
    axes.set_ylabel("MB of memory")


def _held(axes: Axes, clock: list[float], samples: Sequence[Sample]) -> None:
    told: dict[str, tuple[Callable[[Sample], int], str]] = {
        "descriptors": (lambda sample: sample.descriptors, BLUE),
        "tasks": (lambda sample: sample.tasks, RED),
        "threads": (lambda sample: sample.threads, GREY),
    }
    for name, (measure, colour) in told.items():
        axes.plot(clock, [measure(sample) for sample in samples], color=colour, label=name)
    axes.set_ylim(bottom=0)


def _late(axes: Axes, clock: list[float], samples: Sequence[Sample]) -> None:
    told: dict[str, tuple[Callable[[Sample], float], str]] = {
        "median": (lambda sample: sample.late_median_ms, GREY),
        "99 %": (lambda sample: sample.late_p99_ms, BLUE),
        "worst": (lambda sample: sample.late_worst_ms, RED),
    }
    for name, (measure, colour) in told.items():
        values = [measure(sample) for sample in samples]
        axes.step(clock, [BEYOND_MS if math.isinf(ms) else ms for ms in values], color=colour, label=name)
    axes.set_yscale("log")
    axes.set_ylabel("ms late, at most")


def _calls(axes: Axes, clock: list[float], samples: Sequence[Sample]) -> None:
    axes.plot(clock, [sample.live for sample in samples], color=BLUE)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("calls on the line")
