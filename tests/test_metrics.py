"""What is counted only when somebody asks."""

import asyncio

from dialplan.metrics import Metrics


async def test_the_tasks_of_the_loop_that_asks_are_counted() -> None:
    metrics = Metrics()
    before = metrics.registry.get_sample_value("dialplan_tasks")
    more = asyncio.create_task(asyncio.Event().wait())

    after = metrics.registry.get_sample_value("dialplan_tasks")
    more.cancel()

    assert (before, after) == (1.0, 2.0)


def test_where_no_loop_asks_there_are_none() -> None:
    assert Metrics().registry.get_sample_value("dialplan_tasks") == 0.0
