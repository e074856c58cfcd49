"""The schedules can fail: each of these bugs, when it is planted, is found within a few of them."""

from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common import inbox
from libs.common.bus.base import Message
from libs.common.bus.router import Router
from libs.common.db import Database, DatabaseUnavailable, Outgoing
from services.audio import changes, job_repository
from services.audio.job_repository import Saved
from services.audio.jobs import Completed, Failed, Ignored, Job, JobEvent, Progressed, Rules, Started, transition
from tests.schedules.schedule import Violation, run
from tests.schedules.world import Houses

SEEDS = 40


async def report_of_first_violation(houses: Houses) -> str:
    for seed in range(SEEDS):
        try:
            await run(houses, seed)
        except Violation as violation:
            await houses.empty()
            return str(violation)
    return "nothing was found"


def a_change_overwrites_one_that_it_has_not_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    save = job_repository.save_job

    async def overwrite(database: Database, saved: Saved, outgoing: Collection[Outgoing]) -> bool:
        now = await job_repository.find_job(database, saved.before.id)
        assert now is not None
        before, after = replace(saved.before, version=now.version), replace(saved.after, version=now.version + 1)
        return await save(database, replace(saved, before=before, after=after), outgoing)

    monkeypatch.setattr(job_repository, "save_job", overwrite)


def a_report_counts_under_any_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    def trusting(job: Job, event: JobEvent, now: datetime, rules: Rules) -> Job | Ignored:
        if isinstance(event, Started | Progressed | Completed | Failed) and job.lease is not None:
            event = replace(event, lease=job.lease)
        return transition(job, event, now, rules)

    monkeypatch.setattr(changes, "transition", trusting)


def a_message_is_acknowledged_though_its_handler_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    handle = Router.__call__

    async def hopeful(router: Router, message: Message) -> None:
        with suppress(DatabaseUnavailable):
            await handle(router, message)

    monkeypatch.setattr(Router, "__call__", hopeful)


def what_was_handled_is_not_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    async def forgetful(connection: AsyncConnection, message: Message, handler: str) -> bool:
        return True

    monkeypatch.setattr(inbox, "remember", forgetful)


@pytest.mark.parametrize(
    ("plant", "says"),
    [
        (a_change_overwrites_one_that_it_has_not_seen, "has told"),
        (a_report_counts_under_any_lease, "did not hold its lease"),
        (a_message_is_acknowledged_though_its_handler_failed, "0 rows in the inbox"),
        (what_was_handled_is_not_noted, "0 rows in the inbox"),
    ],
)
async def test_a_planted_bug_is_found(
    houses: Houses, monkeypatch: pytest.MonkeyPatch, plant: Callable[[pytest.MonkeyPatch], None], says: str
) -> None:
    plant(monkeypatch)
    assert says in await report_of_first_violation(houses)
