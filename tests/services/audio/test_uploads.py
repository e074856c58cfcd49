"""An upload as clients make it, from the request to what is left in storage, database and on the bus."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from libs.common.contracts.audio import AnalysisRequested, AudioUploaded, JobKind
from libs.common.contracts.catalog import ScriptDeleted, ScriptUpdated
from services.audio.uploads import UploadService
from tests.services.audio.house import PATIENCE, FakeCatalog, House, Open, bearer, script, wav

HEADS = {
    "wav": (wav(), "audio/wav"),
    "flac": (b"fLaC" + bytes(60), "audio/flac"),
    "ogg": (b"OggS" + bytes(60), "audio/ogg"),
    "mp3": (b"\xff\xfb\x90\x64" + bytes(60), "audio/mpeg"),
    "mp3 with a tag": (b"ID3\x04" + bytes(60), "audio/mpeg"),
    "webm": (b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x84webm" + bytes(60), "audio/webm"),
    "m4a": (b"\x00\x00\x00\x20ftypM4A " + bytes(60), "audio/mp4"),
    "mp4": (b"\x00\x00\x00\x20ftypisom" + bytes(60), "audio/mp4"),
}


async def test_an_upload_answers_as_the_contract_says(house: House) -> None:
    answer = await house.upload()
    assert answer.status_code == 200
    body = answer.json()
    assert body == {"message": "업로드 완료, 분석 시작", "job_id": body["job_id"], "status": "processing"}
    assert re.fullmatch("[0-9a-f]{32}", body["job_id"])


async def test_an_upload_leaves_the_bytes_in_storage_and_the_fact_on_the_bus(house: House) -> None:
    recording = wav(0.5)
    answer = await house.upload(recording, headers=bearer(42))
    fact = await house.facts.until(AudioUploaded)
    assert fact == AudioUploaded(
        job_id=answer.json()["job_id"],
        sequence=1,
        kind=JobKind.LINE,
        take_id=fact.take_id,
        token_id=3,
        script_id=7,
        user_id=42,
        size=len(recording),
        media_type="audio/wav",
    )
    assert [file.read_bytes() for file in house.objects()] == [recording]
    [key] = await house.rows("SELECT object_key FROM takes")
    assert key.object_key == f"takes/42/3/7/{fact.take_id}.wav"


@pytest.mark.parametrize(("data", "media_type"), list(HEADS.values()), ids=list(HEADS))
async def test_audio_is_known_by_its_first_bytes(house: House, data: bytes, media_type: str) -> None:
    assert (await house.upload(data)).status_code == 200
    assert (await house.facts.until(AudioUploaded)).media_type == media_type


@pytest.mark.parametrize(
    "data",
    [
        b"hello, this is text",
        b"MZ\x90\x00" + bytes(60),
        b"%PDF-1.7" + bytes(60),
        b"\x89PNG\r\n\x1a\n" + bytes(60),
        b"RIFF\x00\x00\x00\x00AVI " + bytes(60),
        b"\x00\x00\x00\x20ftypavif" + bytes(60),
        b"\xff\xff\xff\xff" + bytes(60),
        b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\n",
        b"\xff",
        b"R",
    ],
)
async def test_what_is_no_audio_is_refused_and_not_kept(house: House, data: bytes) -> None:
    answer = await house.upload(data)
    assert answer.status_code == 415
    assert answer.json()["detail"].startswith("지원하지 않는 파일 형식입니다.")
    assert house.objects() == []


async def test_an_empty_file_is_no_valid_field(house: House) -> None:
    answer = await house.upload(b"")
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", "file"]


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (None, b""),
        ("application/json", b"{}"),
        ("multipart/form-data; boundary=b", b"--b--\r\n"),
        ("multipart/form-data; boundary=b", b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n1\r\n--b--\r\n'),
    ],
)
async def test_a_missing_file_is_answered_in_the_shape_that_clients_know(
    house: House, content_type: str | None, body: bytes
) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}
    answer = await house.client.post("/api/scripts/7/upload-audio", content=body, headers=headers)
    assert answer.status_code == 422
    assert answer.json()["detail"] == [{"type": "missing", "loc": ["body", "file"], "msg": "Field required", "input": None}]


def part(data: bytes, name: str = "file") -> bytes:
    head = f'--b\r\nContent-Disposition: form-data; name="{name}"; filename="a.wav/../../evil"\r\n\r\n'
    return head.encode() + data + b"\r\n"


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data; boundary=b", part(wav())),  # no last boundary
        ("multipart/form-data; boundary=b", part(wav())[:-200]),
        ("multipart/form-data; boundary=b", b"this is no form"),
        ("multipart/form-data", part(wav()) + b"--b--\r\n"),
        (f"multipart/form-data; boundary={'b' * 300}", part(wav()) + b"--b--\r\n"),
    ],
)
async def test_a_broken_form_is_refused_and_leaves_nothing(house: House, content_type: str, body: bytes) -> None:
    answer = await house.client.post("/api/scripts/7/upload-audio", content=body, headers={"Content-Type": content_type})
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_upload")
    assert house.objects() == []
    assert await house.rows("SELECT 1 FROM jobs") == []


async def test_other_fields_are_ignored_and_the_first_file_counts(house: House) -> None:
    body = part(b"x" * 1000, "note") + part(wav(0.1)) + part(wav(0.2)) + b"--b--\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    answer = await house.client.post("/api/scripts/7/upload-audio", content=body, headers=headers)
    assert answer.status_code == 200
    assert [file.read_bytes() for file in house.objects()] == [wav(0.1)]


async def test_the_clients_file_name_is_in_no_key(house: House) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    await house.client.post("/api/scripts/7/upload-audio", content=part(wav()) + b"--b--\r\n", headers=headers)
    fact = await house.facts.until(AudioUploaded)
    [key] = await house.rows("SELECT object_key FROM takes")
    assert key.object_key == f"takes/anonymous/3/7/{fact.take_id}.wav"


@pytest.mark.parametrize("name", ["file", "note"])
async def test_a_field_of_any_name_is_bounded(open_house: Open, name: str) -> None:
    async with open_house(max_upload_bytes=10_000) as house:
        body = part(wav() + bytes(200_000), name) + b"--b--\r\n"

        async def in_pieces() -> AsyncIterator[bytes]:
            for start in range(0, len(body), 5_000):
                yield body[start : start + 5_000]  # so that no Content-Length tells beforehand

        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        answer = await house.client.post("/api/scripts/7/upload-audio", content=in_pieces(), headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (413, "upload_too_large")
        assert "10,000" in answer.json()["detail"]
        assert house.objects() == []


async def test_a_recording_of_exactly_the_limit_is_accepted(open_house: Open) -> None:
    recording = wav(0.3)
    async with open_house(max_upload_bytes=len(recording)) as house:
        assert (await house.upload(recording)).status_code == 200
        assert (await house.upload(recording + b"x")).status_code == 413


@pytest.mark.parametrize("script_id", ["0", "-1", "8", str(2**31), str(2**63), str(10**30)])
async def test_an_unknown_line_is_not_found(open_house: Open, catalog: FakeCatalog, script_id: str) -> None:
    async with open_house(catalog_url=catalog.url) as house:
        answer = await house.client.post(f"/api/scripts/{script_id}/upload-audio", files={"file": wav()})
        assert (answer.status_code, answer.json()["detail"]) == (404, "Script not found")


async def test_a_line_that_is_no_number_is_a_validation_error(house: House) -> None:
    answer = await house.client.post("/api/scripts/abc/upload-audio", files={"file": wav()})
    assert answer.status_code == 422


async def test_a_line_that_only_the_catalogue_knows_is_asked_for_once(open_house: Open, catalog: FakeCatalog) -> None:
    async with open_house(catalog_url=catalog.url) as house:
        catalog.scripts[8] = script(8).model_dump(mode="json")
        assert (await house.upload(script_id=8)).status_code == 200
        assert (await house.upload(script_id=8)).status_code == 200
        assert len(catalog.asked) == 1
        assert (await house.work.until(AnalysisRequested)).words == script(8).words


async def test_uploads_of_known_lines_go_on_without_the_catalogue(house: House) -> None:
    assert (await house.upload()).status_code == 200


@pytest.mark.parametrize("status", [403, 500])
async def test_an_unknown_line_waits_for_a_catalogue_that_does_not_answer(
    open_house: Open, catalog: FakeCatalog, status: int
) -> None:
    catalog.status = status
    async with open_house(catalog_url=catalog.url) as house:
        answer = await house.upload(script_id=8)
        assert (answer.status_code, answer.json()["code"]) == (503, "catalog_unavailable")
        assert answer.headers["Retry-After"]


async def test_a_deleted_line_takes_no_more_uploads_even_if_an_older_event_comes_late(house: House) -> None:
    await house.tell(ScriptDeleted(script_id=7, token_id=3, version=3))
    await house.tell(ScriptUpdated(**script(version=2).model_dump()))
    assert (await house.upload()).status_code == 404


async def test_the_newest_version_of_a_line_is_what_gets_analysed(house: House) -> None:
    await house.tell(ScriptUpdated(**{**script(version=3).model_dump(), "words": ()}))
    await house.tell(ScriptUpdated(**script(version=2).model_dump()))
    assert (await house.dispatched()).words == ()


async def test_the_same_key_makes_one_job(house: House) -> None:
    headers = {**bearer(1), "Idempotency-Key": "b1946ac9"}
    answers = await asyncio.gather(*(house.upload(headers=headers) for _ in range(4)))
    assert len({answer.json()["job_id"] for answer in answers}) == 1
    assert len(house.objects()) == 1
    assert len(await house.rows("SELECT 1 FROM jobs")) == 1


async def test_without_a_key_every_upload_is_a_take_of_its_own(house: House) -> None:
    assert (await house.upload()).json()["job_id"] != (await house.upload()).json()["job_id"]
    assert len(house.objects()) == 2


async def test_another_user_or_line_with_the_same_key_makes_another_job(house: House) -> None:
    await house.tell(script(8))
    key = {"Idempotency-Key": "same"}
    answers = [
        await house.upload(headers={**bearer(1), **key}),
        await house.upload(headers={**bearer(2), **key}),
        await house.upload(headers=key),
        await house.upload(headers={**bearer(1), **key}, script_id=8),
    ]
    assert len({answer.json()["job_id"] for answer in answers}) == 4


async def test_a_key_with_another_recording_is_refused(house: House) -> None:
    headers = {"Idempotency-Key": "same"}
    await house.upload(headers=headers)
    answer = await house.upload(wav(0.2), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_key_reused")
    assert len(house.objects()) == 1


async def test_a_key_is_forgotten_after_its_time(open_house: Open) -> None:
    async with open_house(idempotency_seconds=0.001) as house:
        headers = {"Idempotency-Key": "same"}
        first = await house.upload(headers=headers)
        await asyncio.sleep(0.01)
        assert (await house.upload(headers=headers)).json()["job_id"] != first.json()["job_id"]


@pytest.mark.parametrize("key", ["", "x" * 201, "caf\xe9"])
async def test_a_key_that_is_none_is_refused(house: House, key: str) -> None:
    answer = await house.upload(headers={"Idempotency-Key": key.encode("latin-1")})  # type: ignore[dict-item]
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_idempotency_key")


async def test_a_transaction_that_fails_leaves_no_recording(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*arguments: object) -> None:
        raise RuntimeError("the disk of the database is full")

    monkeypatch.setattr("services.audio.repository.add", fail)
    assert (await house.upload()).status_code == 500
    assert house.objects() == []


async def test_a_storage_that_cannot_write_is_503_and_leaves_no_job(house: House) -> None:
    for folder in sorted(house.folder.rglob("*"), reverse=True):
        folder.rmdir() if folder.is_dir() else folder.unlink()
    house.folder.rmdir()
    answer = await house.upload()
    assert (answer.status_code, answer.json()["code"]) == (503, "storage_unavailable")
    assert await house.rows("SELECT 1 FROM jobs") == []


async def test_a_bad_token_counts_as_none(house: House) -> None:
    answer = await house.upload(headers={"Authorization": "Bearer nonsense"})
    assert answer.status_code == 200
    assert (await house.facts.until(AudioUploaded)).user_id is None


async def test_both_forms_of_the_path_are_served(house: House) -> None:
    answer = await house.client.post("/api/scripts/7/upload-audio/", files={"file": wav()})
    assert answer.status_code == 200


# --- What nobody comes to own -----------------------------------------------------------------------------------------


async def test_a_recording_whose_process_dies_before_it_is_a_take_is_erased_a_day_later(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    async def dies(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as dying:
        for name in ("begin", "discard"):
            dying.setattr(UploadService, name, dies)
        with pytest.raises(Killed):
            await house.upload(headers=bearer(1))
    assert len(house.objects()) == 1
    [noted] = await house.rows("SELECT due_at - now() AS left FROM objects_to_erase")
    assert timedelta(hours=23) < noted.left <= timedelta(hours=24)
    await house.rows("UPDATE objects_to_erase SET due_at = now()")
    async with asyncio.timeout(PATIENCE):
        while house.objects() or await house.rows("SELECT 1 FROM objects_to_erase"):
            await asyncio.sleep(0.01)


async def test_what_became_a_take_or_was_refused_is_noted_no_more(house: House) -> None:
    assert (await house.upload()).status_code == 200
    assert (await house.upload(b"no audio at all")).status_code == 415
    keyed = {**bearer(1), "Idempotency-Key": "k"}
    assert {(await house.upload(headers=keyed)).status_code for _ in range(2)} == {200}
    assert len(house.objects()) == 2
    assert await house.rows("SELECT 1 FROM objects_to_erase") == []


async def test_an_upload_that_was_given_up_meanwhile_becomes_no_take(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    begin = UploadService.begin

    async def late(self: UploadService, *values: Any) -> list[str]:
        await house.rows("UPDATE objects_to_erase SET attempts = 1")
        return await begin(self, *values)

    monkeypatch.setattr(UploadService, "begin", late)
    assert (await house.upload()).status_code == 503
    assert (house.objects(), await house.rows("SELECT 1 FROM takes")) == ([], [])
