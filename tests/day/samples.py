"""What is looked at while the day goes on: one process, by its /metrics and by what the system knows of it."""

import csv
import os
import statistics
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from dialplan.words import columns
from tests.faults.proxies import descriptors, resident_mb

#: Rows of the table that is printed; all of them are in the file.
ROWS = 20


@dataclass(frozen=True, slots=True)
class Sample:
    """Of one moment; what the loop was late is of the time since the sample before."""

    minutes: float
    calls: int
    """That have ended so far."""
    live: int
    mb: float
    descriptors: int
    threads: int
    tasks: int
    late_median_ms: float
    """At most so late; `inf` beyond the last bucket."""
    late_p99_ms: float
    late_worst_ms: float
    waited_ms: float
    """That the system let the event loop's thread wait for a core, altogether: so much was late through no fault of its
    own. 0 where the system does not tell."""


def looking(max_connections: int | None = None) -> httpx.AsyncClient:
    """For a `Watch`. A server that has much to do is waited for."""
    return httpx.AsyncClient(timeout=60.0, limits=httpx.Limits(max_connections=max_connections))


class Watch:
    """Looks at a process.

    Args:
        client: asks it; one connection, so that looking changes nothing.
        url: where it answers.
        pid: of the process.
    """

    def __init__(self, client: httpx.AsyncClient, url: str, pid: int) -> None:
        self.pid = pid
        self._client = client
        self._url = url
        self._late: dict[float, float] = {}
        self._waited_ms = 0.0

    async def metrics(self) -> Mapping[str, Mapping[str, float]]:
        """What /metrics says: by metric, by the value of its last label; of a metric without one, by nothing."""
        text = (await self._client.get(f"{self._url}/metrics")).text
        found: defaultdict[str, defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                found[sample.name][next(reversed(sample.labels.values()), "")] += sample.value
        return found

    async def sample(self, minutes: float) -> Sample:
        """Look now."""
        metrics = await self.metrics()
        late = {float(le): count for le, count in metrics["dialplan_loop_late_seconds_bucket"].items()}
        since = {le: count - self._late.get(le, 0.0) for le, count in late.items()}
        self._late = late
        waited, self._waited_ms = self._waited_ms, _waited_ms(self.pid)
        return Sample(
            minutes=round(minutes, 3),
            calls=int(sum(metrics["dialplan_calls_ended_total"].values())),
            live=int(sum(metrics["dialplan_calls_live"].values())),
            mb=round(resident_mb(self.pid), 2),
            descriptors=descriptors(self.pid),
            threads=_threads(self.pid),
            tasks=int(metrics["dialplan_tasks"][""]),
            late_median_ms=1000 * quantile(since, 0.5),
            late_p99_ms=1000 * quantile(since, 0.99),
            late_worst_ms=1000 * quantile(since, 1.0),
            waited_ms=round(self._waited_ms - waited, 1),
        )


def _threads(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("Threads:"):
            return int(line.split()[1])
    return 0


def held(pid: int) -> Counter[str]:
    """What a process has open, each kind by its name: files by theirs, sockets as `socket`."""
    found: Counter[str] = Counter()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):  # It has been closed meanwhile.
            target = os.readlink(descriptor)
            found["socket" if target.startswith("socket:") else Path(target).name] += 1
    return found


def _waited_ms(pid: int) -> float:
    """In its life, of its first thread. See sched-stats in the documentation of Linux."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e6
    except (OSError, IndexError):
        return 0.0


def quantile(buckets: dict[float, float], share: float) -> float:
    """The bound of a histogram's bucket that so many observations are not above; 0 where there are none.

    Args:
        buckets: how many are not above each bound.
        share: such as 0.99.
    """
    total = max(buckets.values(), default=0.0)
    return next((bound for bound, count in sorted(buckets.items()) if total and count >= share * total), 0.0)


@dataclass(frozen=True, slots=True)
class Slope:
    """How memory grows, by a straight line through the samples."""

    mb_per_hour: float
    mb_per_1000_calls: float


def slope(samples: Sequence[Sample]) -> Slope | None:
    """Of the second half; None where that has too few."""
    half = samples[len(samples) // 2 :]
    memory = [sample.mb for sample in half]
    if len(half) < 3 or half[0].calls == half[-1].calls:
        return None
    by_hour = statistics.linear_regression([sample.minutes / 60 for sample in half], memory)
    by_calls = statistics.linear_regression([sample.calls / 1000 for sample in half], memory)
    return Slope(by_hour.slope, by_calls.slope)


def table(samples: Sequence[Sample]) -> list[str]:
    """Lines for people: some of the samples, evenly spaced, the first and the last among them."""
    last = len(samples) - 1
    shown = sorted({round(last * row / (ROWS - 1)) for row in range(ROWS)}) if last > 0 else range(len(samples))
    late = ("late: median", "p99", "worst", "no core")
    head = ("minutes", "calls", "live", "MB", "descriptors", "threads", "tasks", *late)
    rows = [_row(samples[number]) for number in shown]
    return columns([head, *rows])


def _row(sample: Sample) -> tuple[str, ...]:
    late = (sample.late_median_ms, sample.late_p99_ms, sample.late_worst_ms)
    whole = (sample.descriptors, sample.threads, sample.tasks)
    told = (f"{sample.minutes:.1f}", f"{sample.calls}", f"{sample.live}", f"{sample.mb:.1f}")
    return (*told, *map(str, whole), *(f"≤ {ms:g}" for ms in late), f"{sample.waited_ms:.0f}")


def write(samples: Sequence[Sample], path: Path) -> None:
    """All of them, as CSV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(field.name for field in fields(Sample))
        lines.writerows(astuple(sample) for sample in samples)
