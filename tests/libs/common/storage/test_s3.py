import socket
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import aioboto3
import httpx
import pytest
import pytest_asyncio

from libs.common.storage.base import ObjectNotFound, Storage, StorageUnavailable
from libs.common.storage.factory import open_storage
from libs.common.storage.s3 import PART_BYTES
from tests.libs.common.storage.conformance import HOUR, Leftovers, StorageConformance, noise, stream
from yousync.local.s3 import PrivateS3

BUCKET = "storage-conformance"


def url_of(bucket: str, endpoint_url: str, **parameters: str) -> str:
    return f"s3://{bucket}?{urlencode({'endpoint_url': endpoint_url, 'region': 'us-east-1', **parameters})}"


def opened(bucket: str, endpoint_url: str, **parameters: str) -> Storage:
    return open_storage(url_of(bucket, endpoint_url, **parameters), signing_key=b"k" * 32, public_url="http://127.0.0.1")


@pytest.fixture(autouse=True, scope="module")
def credentials(s3: PrivateS3) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as environment:
        for name, value in s3.environment.items():
            environment.setenv(name, value)
        yield


@pytest_asyncio.fixture(scope="module")
async def operator(s3: PrivateS3, credentials: None) -> AsyncIterator[Any]:
    """Somebody with a client of their own, who sees what the store really holds."""
    async with aioboto3.Session().client("s3", endpoint_url=s3.endpoint_url, region_name="us-east-1") as client:
        yield client


@pytest_asyncio.fixture(scope="module")
async def shared(s3: PrivateS3, credentials: None) -> AsyncIterator[Storage]:
    """One client for all tests: opening one takes longer than most of them."""
    storage = opened(BUCKET, s3.endpoint_url, create_bucket="true")
    await storage.start()
    yield storage
    await storage.close()


@pytest_asyncio.fixture
async def storage(shared: Storage, operator: Any) -> AsyncIterator[Storage]:
    """The store, emptied after each test."""
    yield shared
    for entry in (await operator.list_objects_v2(Bucket=BUCKET)).get("Contents", []):
        await operator.delete_object(Bucket=BUCKET, Key=entry["Key"])


@pytest.fixture
def storage_url(s3: PrivateS3) -> str:
    return url_of(BUCKET, s3.endpoint_url)


@pytest.fixture
def leftovers(operator: Any) -> Leftovers:
    async def unfinished() -> list[str]:
        answer = await operator.list_multipart_uploads(Bucket=BUCKET)
        return [upload["Key"] for upload in answer.get("Uploads", [])]

    return unfinished


class TestS3Storage(StorageConformance):
    pass


async def test_a_part_that_fails_leaves_nothing(storage: Storage, operator: Any, leftovers: Leftovers) -> None:
    async def sabotaged() -> AsyncIterator[bytes]:
        yield noise(2 * PART_BYTES)
        (upload,) = (await operator.list_multipart_uploads(Bucket=BUCKET))["Uploads"]
        await operator.abort_multipart_upload(Bucket=BUCKET, Key="k", UploadId=upload["UploadId"])
        yield noise(2 * PART_BYTES)

    with pytest.raises(StorageUnavailable):
        await storage.put("k", sabotaged(), media_type="audio/wav")
    assert await leftovers() == []
    with pytest.raises(ObjectNotFound):
        await storage.stat("k")


async def test_the_uri_is_what_every_s3_program_understands(storage: Storage, operator: Any) -> None:
    await storage.put("이순신/a b.wav", stream(b"RIFF...."), media_type="audio/wav")
    assert storage.uri("이순신/a b.wav") == f"s3://{BUCKET}/이순신/a b.wav"
    answer = await operator.get_object(Bucket=BUCKET, Key="이순신/a b.wav")
    async with answer["Body"] as body:
        assert await body.read() == b"RIFF...."


async def test_content_is_stored_without_checksum_trailers(storage: Storage, operator: Any) -> None:
    """Look-alikes store botocore's default trailers as content; nothing may ask for them."""
    await storage.put("k", stream(b"RIFF...."), media_type="audio/wav")
    head = await operator.head_object(Bucket=BUCKET, Key="k", ChecksumMode="ENABLED")
    assert head["ContentLength"] == 8
    assert not [name for name in head if name.startswith("Checksum")]


async def test_a_signed_url_is_a_sigv4_link_of_that_lifetime_without_the_secret(storage: Storage, s3: PrivateS3) -> None:
    url = await storage.signed_url("a b.wav", expires_in=timedelta(minutes=15))
    assert url.startswith(f"{s3.endpoint_url}/{BUCKET}/a%20b.wav?")
    query = parse_qs(urlsplit(url).query)
    assert query["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
    assert query["X-Amz-Expires"] == ["900"]
    assert s3.environment["AWS_SECRET_ACCESS_KEY"] not in url


async def test_a_signed_url_names_the_host_that_clients_see(storage: Storage, s3: PrivateS3, http: httpx.AsyncClient) -> None:
    outside = s3.endpoint_url.replace("127.0.0.1", "localhost")
    await storage.put("k", stream(b"x"), media_type="audio/wav")
    inside = opened(BUCKET, s3.endpoint_url, public_endpoint_url=outside)
    await inside.start()
    url = await inside.signed_url("k", expires_in=HOUR)
    await inside.close()
    assert url.startswith(f"{outside}/{BUCKET}/k?")
    assert (await http.get(url)).content == b"x"


async def test_a_bucket_that_is_missing_is_an_unavailable_store_and_is_not_made(s3: PrivateS3, operator: Any) -> None:
    storage = opened("never-made", s3.endpoint_url)
    with pytest.raises(StorageUnavailable):
        await storage.start()
    assert "never-made" not in [bucket["Name"] for bucket in (await operator.list_buckets())["Buckets"]]


async def test_a_start_that_failed_can_be_tried_again(s3: PrivateS3, operator: Any) -> None:
    storage = opened("made-later", s3.endpoint_url)
    with pytest.raises(StorageUnavailable):
        await storage.start()
    await operator.create_bucket(Bucket="made-later")
    await storage.start()
    await storage.check()
    await storage.close()
    await operator.delete_bucket(Bucket="made-later")


async def test_a_bucket_is_made_when_the_url_asks_for_it(s3: PrivateS3, operator: Any) -> None:
    for _ in range(2):  # by the second service it is found
        storage = opened("made-by-us", s3.endpoint_url, create_bucket="true")
        await storage.start()
        await storage.check()
        await storage.close()
    await operator.delete_bucket(Bucket="made-by-us")


async def test_a_bucket_that_disappears_is_noticed(s3: PrivateS3, operator: Any) -> None:
    storage = opened("goes-away", s3.endpoint_url, create_bucket="true")
    await storage.start()
    await operator.delete_bucket(Bucket="goes-away")
    with pytest.raises(StorageUnavailable):
        await storage.check()
    with pytest.raises(StorageUnavailable):
        await storage.put("k", stream(b"x"), media_type="audio/wav")
    await storage.close()


async def test_a_server_that_does_not_answer_is_an_unavailable_store() -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    storage = opened("bucket", f"http://127.0.0.1:{port}")
    with pytest.raises(StorageUnavailable) as caught:
        await storage.start()
    assert str(port) not in caught.value.detail


async def test_missing_credentials_are_an_unavailable_store(s3: PrivateS3, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in s3.environment:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(StorageUnavailable):
        await opened("bucket", s3.endpoint_url).start()


async def test_a_store_that_is_not_connected_yet_is_unavailable(s3: PrivateS3) -> None:
    storage = opened(BUCKET, s3.endpoint_url)
    for call in (storage.check, lambda: storage.put("a", stream(b"x"), media_type="audio/wav"), lambda: storage.delete("a")):
        with pytest.raises(StorageUnavailable):
            await call()
    with pytest.raises(StorageUnavailable):
        await storage.signed_url("a", expires_in=HOUR)
