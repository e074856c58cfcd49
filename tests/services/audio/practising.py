"""Somebody who practises, until the results are there."""

from typing import Any

from libs.common.contracts.audio import AnalysisReportCompleted, AnalysisRequested
from libs.common.contracts.catalog import TokenCreated
from tests.services.audio.house import House, bearer, script, token

FILM = "https://www.youtube.com/watch?v=vid1"


def result(score: Any = 0.82) -> dict[str, Any]:
    """As an analysis server posts it."""
    return {"status": "success", "result": {"overall_score": score, "word_analysis": [{"word": "you"}]}}


def known_scene(token_id: int = 3, *, version: int = 1, **changes: Any) -> TokenCreated:
    """The scene of the line, with all that lists show."""
    return token(token_id, version=version, **{"category": "액션", "youtube_url": FILM, **changes})


async def knowing_scene(house: House, *, lines: int = 3, token_id: int = 3) -> None:
    """The house knows the scene with lines 7, 8, ..; of scene 4 lines 107, 108, .."""
    await house.tell(known_scene(token_id))
    first = 7 + 100 * (token_id - 3)
    for number in range(lines):
        line = script(first + number, version=2, token_id=token_id)
        await house.tell(line.model_copy(update={"script": f"line {number + 1}", "start_time": 10.0 + number}))


async def record(house: House, script_id: int | None = 7, *, user_id: int = 1, token_id: int = 3) -> AnalysisRequested:
    """Somebody records a line, or the whole scene; the work that comes of it."""
    before = len(house.work.events)
    headers = bearer(user_id)
    upload = (
        house.upload(script_id=script_id, headers=headers)
        if script_id
        else house.upload_scene(token_id=token_id, headers=headers)
    )
    answer = await upload
    assert answer.status_code == 200, answer.text
    return await house.work.until(AnalysisRequested, before + 1)


async def practise(
    house: House, script_id: int | None = 7, score: Any = 0.82, *, user_id: int = 1, token_id: int = 3, **changes: Any
) -> str:
    """Somebody records a line, or the whole scene, and gets a result; the job's id. `changes` replace keys of the result."""
    work = await record(house, script_id, user_id=user_id, token_id=token_id)
    posted = {**result(score), **changes}
    await house.tell(AnalysisReportCompleted(job_id=work.job_id, lease=work.lease, worker="w", result=posted))
    return work.job_id
