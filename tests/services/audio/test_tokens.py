"""Recordings of whole scenes: what clients send and get, and what analysis servers are asked for."""

import re
from collections.abc import AsyncIterator

import pytest

from libs.common.contracts.audio import (
    AnalysisProgressed,
    AnalysisReportCompleted,
    AnalysisReportProgressed,
    AnalysisReportStarted,
    AnalysisRequested,
    AnalysisStarted,
    AudioUploaded,
    JobKind,
    Priority,
)
from libs.common.contracts.catalog import ScriptDeleted, ScriptUpdated, TokenDeleted, TokenUpdated
from libs.common.contracts.notifier import frame_of
from libs.common.db import Database
from libs.common.storage.factory import open_storage
from services.audio import repository
from tests.services.audio.house import FakeCatalog, House, Open, bearer, script, token, wav

UPLOAD = "/api/tokens/3/upload-audio/"


@pytest.fixture
async def scene(house: House) -> House:
    """A running service that knows scene 3 with its two lines; the later one came first."""
    await house.tell(token())
    await house.tell(ScriptUpdated(**{**script(5).model_dump(), "start_time": 13.0, "end_time": 15.0}))
    return house


async def test_an_upload_answers_as_the_contract_says(scene: House) -> None:
    answer = await scene.upload_scene()
    assert answer.status_code == 200
    body = answer.json()
    assert body == {
        "message": "업로드 완료, 백그라운드에서 처리됩니다.",
        "job_id": body["job_id"],
        "status": "processing",
        "token_info": {
            "id": 3,
            "s3_textgrid_url": "Tom Hardy/vid1/0/scene.TextGrid",
            "s3_pitch_url": "Tom Hardy/vid1/1/pitch.json",
        },
    }
    assert re.fullmatch("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", body["job_id"])


async def test_an_upload_leaves_the_bytes_in_storage_and_the_fact_on_the_bus(scene: House) -> None:
    recording = wav(0.5)
    answer = await scene.upload_scene(recording, headers=bearer(42))
    fact = await scene.facts.until(AudioUploaded)
    assert fact == AudioUploaded(
        job_id=answer.json()["job_id"],
        sequence=1,
        kind=JobKind.TOKEN,
        take_id=fact.take_id,
        token_id=3,
        script_id=None,
        user_id=42,
        size=len(recording),
        media_type="audio/wav",
    )
    assert [file.read_bytes() for file in scene.objects()] == [recording]
    [key] = await scene.rows("SELECT object_key FROM takes")
    assert key.object_key == f"takes/42/3/scene/{fact.take_id}.wav"


async def test_a_server_is_asked_for_all_words_of_the_scene_in_the_order_of_its_lines(scene: House) -> None:
    work = await scene.dispatched_scene()
    assert (work.kind, work.priority, work.token_id, work.script_id) == (JobKind.TOKEN, Priority.NORMAL, 3, None)
    assert (work.line_start, work.line_end) == (9.0, 16.0)
    assert work.words == script(7).words + script(5).words
    store = open_storage(scene.folder.as_uri(), signing_key=bytes(32), public_url="")
    assert work.textgrid_uri == store.uri("Tom Hardy/vid1/0/scene.TextGrid")
    assert work.pitch_uri == store.uri("Tom Hardy/vid1/1/pitch.json")


async def test_reference_objects_may_lie_in_a_bucket_of_their_own(open_house: Open) -> None:
    async with open_house(reference_bucket="references") as house:
        await house.tell(token(s3_textgrid_url="s3://other/scene.TextGrid"))
        work = await house.dispatched_scene()
        assert (work.textgrid_uri, work.pitch_uri) == (
            "s3://other/scene.TextGrid",
            "s3://references/Tom Hardy/vid1/1/pitch.json",
        )


@pytest.mark.parametrize("missing", [None, "", "../../etc/passwd"])
async def test_a_scene_without_usable_reference_objects_is_analysed_without_them(house: House, missing: str | None) -> None:
    await house.tell(token(s3_textgrid_url=missing, s3_pitch_url=missing))
    work = await house.dispatched_scene()
    assert (work.textgrid_uri, work.pitch_uri) == (None, None)


async def test_lines_that_are_gone_are_not_asked_for_but_those_of_a_scene_that_is_gone_are(scene: House) -> None:
    await scene.tell(ScriptDeleted(script_id=5, token_id=3, version=9))
    assert (await scene.dispatched_scene()).words == script(7).words

    job_id = (await scene.dispatched_scene()).job_id
    await scene.tell(TokenDeleted(token_id=3, version=9))
    await scene.tell(ScriptDeleted(script_id=7, token_id=3, version=9))
    database = Database(scene.app.state.settings.database_url.get_secret_value(), source="test")
    assignments = await repository.assignments(database, [job_id])
    await database.close()
    assert assignments[job_id].words == script(7).words + script(5).words


async def test_a_job_of_a_scene_is_told_in_the_words_that_its_clients_know(scene: House) -> None:
    work = await scene.dispatched_scene()
    told = {"job_id": work.job_id, "lease": work.lease, "worker": "w"}
    await scene.tell(AnalysisReportStarted(**told))
    await scene.tell(AnalysisReportProgressed(**told, progress=50, step="비교"))
    frames = [frame_of(await scene.facts.until(fact)) for fact in (AudioUploaded, AnalysisStarted, AnalysisProgressed)]
    assert [frame.data["message"] for frame in frames] == ["S3 업로드 중...", "분석 중... 결과 대기", "분석 중... 비교"]
    for slash in ("", "/"):
        answer = await scene.client.get(f"/api/tokens/analysis-result/{work.job_id}{slash}", headers=bearer(1))
        assert (answer.json()["message"], answer.json()["status"]) == ("분석 중... 비교", "processing")
    again = await scene.dispatched_scene()
    assert (await scene.state(again.job_id))["message"] == "분석 서버 요청 중..."


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Basic x"}, {"Authorization": "Bearer nonsense"}])
@pytest.mark.parametrize("path", [UPLOAD, "/api/tokens/batch-upload/"])
async def test_only_who_is_signed_in_uploads(scene: House, path: str, headers: dict[str, str]) -> None:
    answer = await scene.client.post(path, files={"file": wav(), "files": wav()}, data={"token_ids": "3"}, headers=headers)
    assert answer.status_code == 401
    assert await scene.rows("SELECT 1 FROM takes") == []


@pytest.mark.parametrize("token_id", ["0", "-1", "8", str(2**31), str(10**30)])
async def test_an_unknown_scene_is_not_found(open_house: Open, catalog: FakeCatalog, token_id: str) -> None:
    async with open_house(catalog_url=catalog.url) as house:
        answer = await house.client.post(f"/api/tokens/{token_id}/upload-audio/", files={"file": wav()}, headers=bearer(1))
        assert (answer.status_code, answer.json()["detail"]) == (404, "Token not found")


@pytest.mark.parametrize(("path", "field"), [("/api/tokens/abc/upload-audio/", "path"), (UPLOAD, "body")])
async def test_what_is_no_number_and_what_has_no_file_is_not_valid(scene: House, path: str, field: str) -> None:
    answer = await scene.client.post(path, headers=bearer(1))
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"][0] == field


async def test_the_same_key_makes_one_job(scene: House) -> None:
    headers = {**bearer(1), "Idempotency-Key": "b1946ac9"}
    answers = [await scene.upload_scene(headers=headers) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert len(scene.objects()) == 1
    assert (await scene.upload(headers=headers)).json()["job_id"] != answers[0].json()["job_id"]


async def test_a_known_scene_takes_uploads_without_the_catalogue(scene: House) -> None:
    assert (await scene.upload_scene()).status_code == 200


async def test_a_scene_that_only_the_catalogue_knows_is_asked_for_once(open_house: Open, catalog: FakeCatalog) -> None:
    catalog.knows(token(4), script(8, token_id=4))
    async with open_house(catalog_url=catalog.url) as house:
        for _ in range(2):
            assert (await house.upload_scene(token_id=4)).status_code == 200
        assert catalog.asked == [4]
        assert (await house.work.until(AnalysisRequested)).words == script(8).words
        assert (await house.upload(script_id=8)).status_code == 200


async def test_a_scene_whose_lines_are_still_on_their_way_is_asked_for(open_house: Open, catalog: FakeCatalog) -> None:
    catalog.knows(token(4), script(8, token_id=4))
    async with open_house(catalog_url=catalog.url) as house:
        await house.tell(token(4))
        assert (await house.upload_scene(token_id=4)).status_code == 200
        assert (await house.work.until(AnalysisRequested)).words == script(8).words


async def test_a_known_scene_without_lines_needs_no_catalogue(house: House) -> None:
    await house.tell(token(4))
    assert (await house.upload_scene(token_id=4)).status_code == 200
    assert (await house.work.until(AnalysisRequested)).words == ()


async def test_an_unknown_scene_waits_for_a_catalogue_that_does_not_answer(house: House) -> None:
    answer = await house.upload_scene(token_id=4)
    assert (answer.status_code, answer.json()["code"]) == (503, "catalog_unavailable")


async def test_versions_of_a_scene_decide_and_not_arrival(scene: House) -> None:
    await scene.tell(TokenUpdated(**token(version=3, s3_pitch_url="new.json").model_dump()))
    await scene.tell(TokenUpdated(**token(version=2, s3_pitch_url="old.json").model_dump()))
    assert (await scene.upload_scene()).json()["token_info"]["s3_pitch_url"] == "new.json"
    await scene.tell(TokenDeleted(token_id=3, version=4))
    await scene.tell(TokenUpdated(**token(version=3).model_dump()))
    assert (await scene.upload_scene()).status_code == 404


async def test_a_scene_that_comes_back_takes_uploads_again(scene: House) -> None:
    await scene.tell(TokenDeleted(token_id=3, version=4))
    await scene.tell(token(version=5))
    assert (await scene.upload_scene()).status_code == 200


# --- Batches ----------------------------------------------------------------------------------------------------------


def part(name: str, data: bytes) -> bytes:
    return f'--b\r\nContent-Disposition: form-data; name="{name}"; filename="x"\r\n\r\n'.encode() + data + b"\r\n"


IDS, FILE = part("token_ids", b"3, 3"), part("files", wav())


async def batch(house: House, *parts: bytes) -> tuple[int, dict[str, object]]:
    """The answer to a batch of these parts, sent in pieces without its length."""
    body = b"".join(parts) + b"--b--\r\n"

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 700):
            yield body[start : start + 700]

    headers = {**bearer(1), "Content-Type": "multipart/form-data; boundary=b"}
    answer = await house.client.post("/api/tokens/batch-upload/", content=pieces(), headers=headers)
    return answer.status_code, answer.json()


@pytest.mark.parametrize("parts", [(IDS, FILE, FILE), (FILE, FILE, IDS), (FILE, part("x", b"y"), IDS, FILE)])
async def test_a_batch_begins_a_job_for_each_recording(scene: House, parts: tuple[bytes, ...]) -> None:
    status, body = await batch(scene, *parts)
    assert status == 200
    job_ids = body["job_ids"]
    assert isinstance(job_ids, list)
    assert body == {"message": "2개 파일 배치 처리 시작", "job_ids": job_ids, "total_files": 2}
    for number in (1, 2):
        work = await scene.work.until(AnalysisRequested, number)
        assert (work.kind, work.priority) == (JobKind.TOKEN, Priority.LOW)
        job_ids.remove(work.job_id)
    assert [file.read_bytes() for file in scene.objects()] == [wav(), wav()]


@pytest.mark.parametrize(
    ("parts", "status", "said"),
    [
        ((IDS, FILE), 400, "파일 개수(1)와 토큰 ID 개수(2)가 다릅니다."),
        ((IDS, FILE, FILE, FILE), 400, "파일 개수(3)와 토큰 ID 개수(2)가 다릅니다."),
        ((FILE, part("token_ids", b"8")), 404, "Token not found"),
        ((part("token_ids", b"3"), part("files", b"hello")), 415, "1번째 파일: "),
        ((FILE, part("files", b""), IDS), 422, "2번째 파일: "),
        ((FILE,), 422, "Field required"),
        ((IDS,), 422, "Field required"),
        ((FILE, part("token_ids", b"3,x")), 422, "token_ids must be numbers"),
        ((FILE, part("token_ids", b"")), 422, "token_ids must be numbers"),
        ((FILE, part("token_ids", "３".encode())), 422, "token_ids must be numbers"),
        ((FILE, part("token_ids", b"3" * 5000)), 413, "최대"),
        ((FILE, part("files", wav(2))), 413, "2번째 파일: "),
        ((FILE, FILE, FILE, FILE, IDS), 413, "한 번에 최대 3개"),
        ((part("token_ids", b"3,3,3,3"), FILE), 413, "한 번에 최대 3개"),
        ((FILE, FILE[:-9]), 400, "the multipart form ends too early"),
    ],
)
async def test_of_a_batch_that_is_wrong_nothing_is_taken(
    open_house: Open, catalog: FakeCatalog, parts: tuple[bytes, ...], status: int, said: str
) -> None:
    async with open_house(catalog_url=catalog.url, max_batch_files=3, max_upload_bytes=20_000) as house:
        await house.tell(token())
        answered, body = await batch(house, *parts)
        assert answered == status
        assert said in str(body["detail"])
        assert house.objects() == []
        assert await house.rows("SELECT 1 FROM takes") == await house.rows("SELECT 1 FROM jobs") == []


async def test_all_recordings_of_a_batch_together_are_bounded(open_house: Open) -> None:
    async with open_house(max_batch_bytes=100_000) as house:
        await house.tell(token())
        status, body = await batch(house, *(part("files", wav(1)) for _ in range(10)), IDS)
        assert (status, body["code"]) == (413, "upload_too_large")
        assert house.objects() == []


async def test_progress_of_a_batch_looks_as_the_contract_says(scene: House) -> None:
    _, body = await batch(scene, IDS, FILE, FILE)
    job_ids = body["job_ids"]
    assert isinstance(job_ids, list)
    work = [await scene.work.until(AnalysisRequested, number) for number in (1, 2)]
    done = next(each for each in work if each.job_id == job_ids[0])
    await scene.tell(AnalysisReportCompleted(job_id=done.job_id, lease=done.lease, worker="w", result={}))
    foreign = (await scene.upload(headers=bearer(2))).json()["job_id"]
    asked = f"/api/tokens/batch-progress/?job_ids={job_ids[0]},{job_ids[1]}, {foreign},x"
    answer = (await scene.client.get(asked, headers=bearer(1))).json()
    unknown = {"status": "not_found", "progress": 0, "message": "작업을 찾을 수 없습니다.", "token_id": None}
    waiting = answer["batch_results"][1]
    assert answer == {
        "batch_results": [
            {"job_id": job_ids[0], "status": "completed", "progress": 100, "message": "분석 완료", "token_id": 3},
            {**waiting, "job_id": job_ids[1], "status": "processing", "token_id": 3},
            {"job_id": foreign, **unknown},
            {"job_id": "x", **unknown},
        ],
        "summary": {"total_jobs": 4, "completed": 1, "failed": 2, "in_progress": 1, "overall_progress": 25.0},
    }


@pytest.mark.parametrize(
    ("query", "status"), [("job_ids=", 400), ("job_ids=,%20,", 400), ("", 422), (f"job_ids={'x,' * 3000}", 422)]
)
async def test_progress_of_nothing_or_of_too_much_is_refused(house: House, query: str, status: int) -> None:
    answer = await house.client.get(f"/api/tokens/batch-progress/?{query}")
    assert answer.status_code == status
    if status == 400:
        assert answer.json()["detail"] == "job_ids가 비어있습니다"


async def test_the_state_of_the_queue_looks_as_the_contract_says(scene: House) -> None:
    await scene.dispatched_scene()
    line = await scene.dispatched()
    await scene.tell(AnalysisReportStarted(job_id=line.job_id, lease=line.lease, worker="w"))
    assert (await scene.client.get("/api/tokens/queue/status/")).json() == {
        "status": "success",
        "queue_info": {"messages_available": 1, "messages_in_flight": 1, "queue_url": "analysis.work"},
        "sqs_enabled": False,
    }
