"""Section 8: jobs of a whole scene."""

import re
from typing import Literal
from uuid import UUID

import pytest

from libs.common.contracts.audio import JobKind
from tests.contract.catalogue import FIRST, LONE, SHORT, UNKNOWN
from tests.contract.shapes import JobState, Shape, invalid, refused, shaped
from tests.contract.site import Site, recording

RESULT = {"status": "success", "result": {"overall_score": 1.0}}


class TokenInfo(Shape):
    id: int
    s3_textgrid_url: str | None
    s3_pitch_url: str | None


class Accepted(Shape):
    message: str
    job_id: str
    status: str
    token_info: TokenInfo


class Batch(Shape):
    message: str
    job_ids: list[str]
    total_files: int


class BatchEntry(Shape):
    job_id: str
    status: str
    progress: int
    message: str | None
    token_id: int | None


class Summary(Shape):
    total_jobs: int
    completed: int
    failed: int
    in_progress: int
    overall_progress: float


class BatchProgress(Shape):
    batch_results: list[BatchEntry]
    summary: Summary


class Queue(Shape):
    messages_available: int
    messages_in_flight: int
    queue_url: str


class QueueStatus(Shape):
    status: Literal["success"]
    queue_info: Queue
    sqs_enabled: bool


def test_an_upload_begins_a_job(site: Site, form: str) -> None:
    accepted = shaped(Accepted, site.user.post(f"/api/tokens/{FIRST}/upload-audio{form}", files=recording()))
    assert (accepted.message, accepted.status) == ("업로드 완료, 백그라운드에서 처리됩니다.", "processing")
    assert str(UUID(accepted.job_id)) == accepted.job_id
    assert accepted.token_info == TokenInfo(
        id=FIRST,
        s3_textgrid_url="Tom Hardy/vid00000001/0/scene.TextGrid",
        s3_pitch_url="Tom Hardy/vid00000001/1/pitch.json",
    )
    state = shaped(JobState, site.user.get(f"/api/tokens/analysis-result/{accepted.job_id}{form}"))
    assert (state.job_id, state.token_id) == (accepted.job_id, FIRST)


def test_an_upload_that_cannot_be_taken(site: Site, form: str) -> None:
    refused(site.user.post(f"/api/tokens/{UNKNOWN}/upload-audio{form}", files=recording()), 404, "Token not found")
    refused(site.user.post(f"/api/tokens/{2**63}/upload-audio{form}", files=recording()), 404, "Token not found")
    invalid(site.user.post(f"/api/tokens/abc/upload-audio{form}", files=recording()), "path", "token_id")
    invalid(site.user.post(f"/api/tokens/{FIRST}/upload-audio{form}", files={"other": b"1"}), "body", "file")
    refused(site.anonymous.post(f"/api/tokens/{FIRST}/upload-audio{form}", files=recording()), 401, "Not authenticated")


@pytest.mark.parametrize("job_id", ["0" * 32, "00000000-0000-4000-8000-000000000000", "x"])
def test_a_job_that_there_is_not(site: Site, job_id: str, form: str) -> None:
    refused(site.user.get(f"/api/tokens/analysis-result/{job_id}{form}"), 404, "분석 결과를 찾을 수 없습니다.")


def test_a_batch_and_its_progress(site: Site, form: str) -> None:
    files = [("files", recording()["file"]), ("files", recording()["file"])]
    answer = site.user.post(f"/api/tokens/batch-upload{form}", data={"token_ids": f"{SHORT},{LONE}"}, files=files)
    batch = shaped(Batch, answer)
    assert (batch.message, batch.total_files) == ("2개 파일 배치 처리 시작", 2)
    asked = ",".join([*batch.job_ids, "0" * 32])
    progress = shaped(BatchProgress, site.user.get(f"/api/tokens/batch-progress{form}", params={"job_ids": asked}))
    assert [entry.token_id for entry in progress.batch_results] == [SHORT, LONE, None]
    assert progress.batch_results[2].status == "not_found"
    assert progress.summary.total_jobs == 3
    assert progress.summary.failed >= 1
    others = shaped(BatchProgress, site.other.get(f"/api/tokens/batch-progress{form}", params={"job_ids": asked}))
    assert {entry.status for entry in others.batch_results} == {"not_found"}


def test_a_batch_that_cannot_be_taken(site: Site, form: str) -> None:
    files = [("files", recording()["file"])]
    refused(site.user.post(f"/api/tokens/batch-upload{form}", data={"token_ids": "1,2"}, files=files), 400)
    refused(site.anonymous.post(f"/api/tokens/batch-upload{form}", data={"token_ids": "1"}, files=files), 401)


def test_the_progress_of_no_batch(site: Site, form: str) -> None:
    refused(site.user.get(f"/api/tokens/batch-progress{form}", params={"job_ids": ", ,"}), 400, "job_ids가 비어있습니다")
    invalid(site.user.get(f"/api/tokens/batch-progress{form}"), "query", "job_ids")


def test_the_queue_shows_no_address(site: Site, form: str) -> None:
    status = shaped(QueueStatus, site.anonymous.get(f"/api/tokens/queue/status{form}"))
    assert re.fullmatch(r"[a-z.]+", status.queue_info.queue_url)


def test_a_result_is_taken_only_with_the_ticket_of_its_link(site: Site, form: str) -> None:
    path = f"/api/tokens/webhook/analysis-complete{form}"
    missing = site.anonymous.post(path, json=RESULT)
    assert (missing.status_code, missing.json()) == (400, {"error": "job_id is required"})
    job_id = site.user.post(f"/api/tokens/{FIRST}/upload-audio", files=recording()).json()["job_id"]
    refused(site.anonymous.post(path, params={"job_id": job_id}, json=RESULT), 401)
    forged = site.ticket(job_id, JobKind.LINE)
    refused(site.anonymous.post(path, params={"job_id": job_id, "ticket": forged}, json=RESULT), 403)
    ended = site.finished(site.user, job_id)
    ticket = site.ticket(job_id, JobKind.TOKEN)
    late = site.anonymous.post(path, params={"job_id": job_id, "ticket": ticket, "task_id": "7"}, json=RESULT)
    assert (late.status_code, late.json()) == (200, {"received": True, "job_id": job_id, "message": "이미 완료된 작업"})
    assert site.user.get(f"/api/tokens/analysis-result/{job_id}").json() == ended
    unknown = {"job_id": str(UUID(int=0)), "ticket": site.ticket(str(UUID(int=0)), JobKind.TOKEN)}
    answer = site.anonymous.post(path, params=unknown, json=RESULT)
    assert (answer.status_code, answer.json()["received"]) == (200, True)
