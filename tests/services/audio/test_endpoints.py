"""Who may read what, and how it looks."""

import asyncio
import re

import httpx
import pytest
from pydantic import ValidationError

from libs.common.web.service_tokens import HEADER
from services.audio.settings import AudioSettings
from tests.callers import as_service
from tests.services.audio.house import House, Open, bearer

PATHS = {
    "/api/scripts/analysis-result/": "결과가 없습니다.",
    "/api/tokens/analysis-result/": "분석 결과를 찾을 수 없습니다.",
}


@pytest.mark.parametrize("path", PATHS)
async def test_a_job_looks_as_the_contract_says(house: House, path: str) -> None:
    work = await house.dispatched()
    body = (await house.client.get(path + work.job_id)).json()
    assert body == {
        "job_id": work.job_id,
        "token_id": 3,
        "status": "processing",
        "progress": 70,
        "result": None,
        "message": "분석 서버 호출",
        "created_at": body["created_at"],
    }
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", body["created_at"])


@pytest.mark.parametrize("path", PATHS)
async def test_an_owned_job_is_shown_to_its_owner_and_to_administrators_only(house: House, path: str) -> None:
    work = await house.dispatched(headers=bearer(1))
    answers = {
        "owner": await house.client.get(path + work.job_id, headers=bearer(1)),
        "admin": await house.client.get(path + work.job_id, headers=bearer(9, admin=True)),
        "other": await house.client.get(path + work.job_id, headers=bearer(2)),
        "nobody": await house.client.get(path + work.job_id),
    }
    assert {who: answer.status_code for who, answer in answers.items()} == {
        "owner": 200,
        "admin": 200,
        "other": 404,
        "nobody": 404,
    }
    assert answers["other"].json()["detail"] == PATHS[path]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("job_id", ["0" * 32, "x", "%00", "a" * 5000, "%ED%A0%80", "../jobs", "'"])
async def test_an_unknown_job_is_not_found(house: House, path: str, job_id: str) -> None:
    answer = await house.client.get(path + job_id)
    assert answer.status_code == 404
    if "/" not in job_id:
        assert answer.json()["detail"] == PATHS[path]


async def test_a_gateway_reads_any_job(house: House) -> None:
    work = await house.dispatched(headers=bearer(1))
    gateway = as_service("gateway", "audio")
    answer = await house.client.get(f"/internal/jobs/{work.job_id}", headers=gateway)
    assert answer.json() == {
        "job_id": work.job_id,
        "user_id": 1,
        "sequence": 1,
        "status": "processing",
        "progress": 70,
        "message": "분석 서버 호출",
        "result": None,
    }
    unknown = await house.client.get(f"/internal/jobs/{'0' * 32}", headers=gateway)
    assert unknown.status_code == 404


async def test_nobody_else_reads_the_internal_endpoint(house: House) -> None:
    for headers in ({}, {HEADER: ""}, {HEADER: "x" * 40}, as_service("catalog", "audio"), as_service("gateway", "auth")):
        answer = await house.client.get(f"/internal/jobs/{'0' * 32}", headers={**bearer(1, admin=True), **headers})
        assert answer.status_code == 403


async def test_readiness_tells_what_is_missing(open_house: Open) -> None:
    async with open_house() as house:
        async with asyncio.timeout(10):  # it answers before it has reached everything that it needs
            while (answer := await house.client.get("/health/ready")).status_code != httpx.codes.OK:
                await asyncio.sleep(0.01)
        assert answer.json()["checks"] == {"database": "ok", "bus": "ok", "storage": "ok"}
        await house.bus.close()
        answer = await house.client.get("/health/ready")
        assert (answer.status_code, answer.json()["checks"]["bus"]) == (503, "unavailable (BusUnavailable)")


async def test_the_metrics_name_no_job(house: House) -> None:
    work = await house.dispatched()
    await house.state(work.job_id)
    text = (await house.client.get("/metrics")).text
    assert "yousync_audio_jobs" in text
    assert work.job_id not in text


async def test_the_upload_is_documented_as_a_form_with_a_file(house: House) -> None:
    document = (await house.client.get("/openapi.json")).json()
    operation = document["paths"]["/api/scripts/{script_id}/upload-audio"]["post"]
    assert "multipart/form-data" in operation["requestBody"]["content"]
    assert not any(path.startswith("/internal") for path in document["paths"])


def test_production_refuses_to_start_with_a_laptops_settings() -> None:
    with pytest.raises(ValidationError, match="BROKER_URL") as caught:
        AudioSettings(environment="production")
    for name in ("DATABASE_URL", "STORAGE_URL", "STORAGE_SIGNING_KEY", "AUTH_URL", "SERVICE_PRIVATE_KEY", "CATALOG_URL"):
        assert name in str(caught.value)
