"""A clinic where all is well; each test spoils what it is about."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.clinic import Clinic, opened


@pytest.fixture
async def clinic(tmp_path: Path) -> AsyncIterator[Clinic]:
    async with opened(tmp_path) as clinic:
        yield clinic
