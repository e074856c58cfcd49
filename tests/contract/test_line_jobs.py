"""Section 7: jobs of a line, the pair that the web client uses; who may see them."""

import re

import pytest

from libs.common.contracts.audio import JobKind
from tests.contract.catalogue import FIRST, LINES, SHORT_LINE, UNKNOWN
from tests.contract.shapes import JobState, Shape, invalid, refused, shaped
from tests.contract.site import Site, recording

RESULT = {"status": "success", "result": {"overall_score": 1.0, "word_analysis": [], "summary": {}}}
FINAL = {"status": "completed", "progress": 100, "message": "분석 완료"}


class Accepted(Shape):
    message: str
    job_id: str
    status: str


@pytest.mark.parametrize("who", ["user", "anonymous", "expired"])
def test_an_upload_begins_a_job(site: Site, who: str, form: str) -> None:
    answer = site.callers[who].post(f"/api/scripts/{LINES[0]}/upload-audio{form}", files=recording())
    accepted = shaped(Accepted, answer)
    assert (accepted.message, accepted.status) == ("업로드 완료, 분석 시작", "processing")
    assert re.fullmatch("[0-9a-f]{32}", accepted.job_id)


def test_an_upload_that_cannot_be_taken(site: Site, form: str) -> None:
    refused(site.user.post(f"/api/scripts/{UNKNOWN}/upload-audio{form}", files=recording()), 404, "Script not found")
    refused(site.user.post(f"/api/scripts/{2**31}/upload-audio{form}", files=recording()), 404, "Script not found")
    invalid(site.user.post(f"/api/scripts/abc/upload-audio{form}", files=recording()), "path", "script_id")
    path = f"/api/scripts/{LINES[0]}/upload-audio{form}"
    invalid(site.user.post(path, files={"other": b"1"}), "body", "file")
    refused(site.user.post(path, files={"file": ("take.wav", b"no recording at all")}), 415)
    invalid(site.user.post(path, files={"file": ("take.wav", b"")}), "body", "file")


def test_a_finished_job_is_read_by_its_owner(site: Site, form: str) -> None:
    job_id = site.upload(site.user, LINES[0])
    assert FINAL.items() <= site.finished(site.user, job_id).items()
    states = [shaped(JobState, site.user.get(f"/api/{flow}/analysis-result/{job_id}{form}")) for flow in ("scripts", "tokens")]
    assert states[0] == states[1]
    assert (states[0].job_id, states[0].token_id) == (job_id, FIRST)
    payload = states[0].result["result"]
    assert 0 <= payload["overall_score"] <= 1
    assert [word["word"] for word in payload["word_analysis"]] == ["you", "could", "leave", "the"]
    assert {word["text_status"] for word in payload["word_analysis"]} <= {"pass", "fail"}


def test_nobody_elses_job_is_there(site: Site, form: str) -> None:
    job_id = site.upload(site.user, SHORT_LINE)
    for who in (site.anonymous, site.other, site.callers["expired"], site.callers["forged"]):
        refused(who.get(f"/api/scripts/analysis-result/{job_id}{form}"), 404, "결과가 없습니다.")
        refused(who.get(f"/api/tokens/analysis-result/{job_id}{form}"), 404, "분석 결과를 찾을 수 없습니다.")


@pytest.mark.parametrize("job_id", ["0" * 32, "x", "%00", "%F0%9F%8E%A4"])
def test_a_job_that_there_is_not(site: Site, job_id: str, form: str) -> None:
    refused(site.user.get(f"/api/scripts/analysis-result/{job_id}{form}"), 404, "결과가 없습니다.")


def test_an_anonymous_job_is_read_by_whoever_knows_its_id(site: Site, form: str) -> None:
    job_id = site.upload(site.anonymous, SHORT_LINE)
    assert FINAL.items() <= site.finished(site.anonymous, job_id).items()
    for who in (site.anonymous, site.other):
        assert shaped(JobState, who.get(f"/api/tokens/analysis-result/{job_id}{form}")).status == "completed"


def test_only_administrators_have_old_results_of_nobody_erased_and_the_others_stay(site: Site, form: str) -> None:
    path = f"/api/scripts/cleanup/anonymous-results{form}"
    job_id = site.upload(site.anonymous, SHORT_LINE)
    refused(site.anonymous.post(path), 401, "Not authenticated")
    refused(site.user.post(path), 403)
    answer = site.admin.post(path)
    assert (answer.status_code, answer.json()) == (200, {"message": "익명 사용자 결과 정리 작업 완료"})
    assert FINAL.items() <= site.finished(site.anonymous, job_id).items()
    assert site.admin.post(path).status_code == 200
    shaped(JobState, site.anonymous.get(f"/api/scripts/analysis-result/{job_id}"))


def test_a_result_is_taken_only_with_the_ticket_of_its_link(site: Site, form: str) -> None:
    path = f"/api/scripts/webhook/analysis-complete{form}"
    job_id = site.upload(site.user, LINES[0])
    before = site.finished(site.user, job_id)
    refused(site.anonymous.post(path, json=RESULT), 400, "job_id missing")
    refused(site.anonymous.post(path, params={"job_id": job_id}, json=RESULT), 401)
    others = site.ticket("0" * 32, JobKind.LINE)
    refused(site.anonymous.post(path, params={"job_id": job_id, "ticket": others}, json=RESULT), 403)
    old = site.ticket(job_id, JobKind.LINE, seconds=-60)
    refused(site.anonymous.post(path, params={"job_id": job_id, "ticket": old}, json=RESULT), 403)
    ticket = {"job_id": job_id, "ticket": site.ticket(job_id, JobKind.LINE)}
    refused(site.anonymous.post(path, params=ticket, content=b"no json"), 400)
    late = site.anonymous.post(path, params=ticket, json=RESULT)
    assert (late.status_code, late.json()) == (200, {"received": True, "job_id": job_id})
    assert site.user.get(f"/api/scripts/analysis-result/{job_id}").json() == before
