from collections.abc import AsyncIterator, Callable

import pytest

from libs.common.migrations import upgrade
from tests.schedules.world import Houses


@pytest.fixture(scope="session")
async def houses(make_database: Callable[[str], str]) -> AsyncIterator[Houses]:
    """Migrated databases for all schedules, one after the other."""
    audio, notifier = make_database("audio"), make_database("notifier")
    await upgrade("services.audio", audio)
    await upgrade("services.notifier", notifier)
    houses = Houses(audio, notifier)
    await houses.empty()
    yield houses
    await houses.close()
