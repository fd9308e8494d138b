"""A short drill; `make soak` runs one for as long as it is told."""

from pathlib import Path

import pytest

from tests.faults.drill import drill
from tests.faults.proxies import Fault


@pytest.mark.timeout(150)
async def test_no_call_is_lost_and_none_hears_anothers_audio_while_everything_fails(tmp_path: Path) -> None:
    # So seldom that no caller meets four losses in a minute by chance, and nothing that takes long to be noticed.
    tally = await drill(tmp_path, seed=1, seconds=6.0, share=0.2, line_share=0.0, without=[Fault.HALF_OPEN])

    assert (tally.lost, tally.foreign) == ([], 0), tally.table()
    assert tally.left_over == {"descriptors": 0, "sessions of the speech service": 0}, tally.table()
    assert tally.recoveries, tally.table()
