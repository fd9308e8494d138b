"""A very short day; `make soak HOURS=…` lives through one that is as long as it is told."""

from pathlib import Path

import pytest

from tests.day.callers import CALLERS
from tests.day.day import Shape, day, unexpected
from tests.day.page import BEGIN, END, PAGE, publish
from tests.day.samples import Sample, Slope, quantile, slope, table, write

#: Kinds of calls that take their time. One call with a function is among the others all the same.
SLOW = ("says nothing", "many turns", "functions", "few places", "interrupts")

#: Seconds of one process, with a reload or two.
SHORT = Shape(
    seconds=1.0,
    at_once=5,
    every=0.5,
    change_every=0.3,
    deploy_every=0.0,
    kinds=[kind for kind in CALLERS if kind.name not in SLOW],
    threads=False,
)


async def test_nothing_goes_wrong_on_an_ordinary_day_and_nothing_is_left_over(tmp_path: Path) -> None:
    tally = await day(tmp_path, seed=1, shape=SHORT)

    assert tally.wrong == [], tally.report()
    assert tally.changes.total() >= 1, tally.report()
    assert len(tally.samples) >= 2
    assert set(tally.left_over) == {"calls", "sessions of the speech service", "tasks", "descriptors"}


def sample(minutes: float, calls: int, mb: float) -> Sample:
    return Sample(minutes, calls, 3, mb, 30, 8, 40, 1.0, 5.0, float("inf"), 2.5)


def test_memory_that_stays_where_it_is_grows_by_nothing() -> None:
    # What a process takes at its start is not what it takes for ever.
    warming_up = [sample(minute, minute * 10, 90 + minute) for minute in range(10)]
    after = [sample(minute, minute * 10, 100.0) for minute in range(10, 20)]

    assert slope([*warming_up, *after]) == Slope(0.0, 0.0)


def test_growth_is_told_by_the_hour_and_by_the_call() -> None:
    found = slope([sample(minute, minute * 100, 100 + minute / 60) for minute in range(60)])

    assert found is not None
    assert found.mb_per_hour == pytest.approx(1.0)
    assert found.mb_per_1000_calls == pytest.approx(1 / 6)


def test_of_two_samples_nobody_can_tell_how_memory_grows() -> None:
    assert slope([sample(0, 0, 90.0), sample(1, 5, 91.0)]) is None


def test_a_quantile_is_the_bound_of_the_bucket_that_it_falls_into() -> None:
    buckets = {0.001: 90.0, 0.005: 99.0, 0.01: 99.0, float("inf"): 100.0}

    assert [quantile(buckets, share) for share in (0.5, 0.9, 0.91, 0.99)] == [0.001, 0.001, 0.005, 0.005]
    assert quantile(buckets, 1.0) == float("inf")
    assert quantile({0.001: 0.0}, 0.5) == 0.0


def test_the_table_shows_the_first_sample_the_last_and_some_between() -> None:
    lines = table([sample(minute, minute, 100.0) for minute in range(1000)])

    assert len(lines) == 21
    assert lines[1].startswith("0.0")
    assert lines[-1].startswith("999.0")


def test_the_file_holds_every_sample(tmp_path: Path) -> None:
    write([sample(0, 0, 90.0), sample(1, 5, 91.0)], tmp_path / "new" / "day.csv")

    head, *rows = (tmp_path / "new" / "day.csv").read_text().splitlines()
    assert head.split(",")[:4] == ["minutes", "calls", "live", "mb"]
    assert rows == ["0,0,3,90.0,30,8,40,1.0,5.0,inf,2.5", "1,5,3,91.0,30,8,40,1.0,5.0,inf,2.5"]


def test_the_log_may_tell_of_what_goes_wrong_on_purpose_and_of_nothing_else() -> None:
    ours = "2026-01-01 00:00:00,000 ERROR   dialplan.call.functions [CA1] the function fails failed\n    Traceback: …"
    other = "2026-01-01 00:00:00,000 ERROR   dialplan.server.live the call CA1 failed"

    assert unexpected(f"{ours}\n{other}\n2026-01-01 00:00:00,000 INFO    dialplan x\n") == [other]


def test_new_figures_take_the_place_of_the_old_ones_and_of_nothing_else(tmp_path: Path) -> None:
    page, picture = tmp_path / "reliability.md", tmp_path / "day.svg"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    picture.write_text("<svg/>")

    publish("make soak HOURS=2 SEED=7", "new \\1", picture, page)

    assert page.read_text() == f"before\n{BEGIN}\n`make soak HOURS=2 SEED=7`:\n\n```\nnew \\1\n```\n{END}\nafter\n"
    assert (tmp_path / "reliability" / "day.svg").read_text() == "<svg/>"


def test_the_page_has_a_place_for_the_figures() -> None:
    page = PAGE.read_text()

    assert 0 < page.index(BEGIN) < page.index(END)
