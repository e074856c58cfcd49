"""Objects in S3, or in a server that speaks its API."""

import asyncio
import io
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from datetime import timedelta
from typing import Any

import aioboto3
from aiohttp import ClientError as HttpClientError
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from libs.common.storage.base import ObjectNotFound, StorageUnavailable, StoredObject, check_key, check_media_type
from libs.common.storage.cancellation import run_to_end

# S3 allows 10,000 parts, so objects up to 80 GB. All of one size, as some look-alikes demand.
PART_BYTES = 8 * 1024 * 1024
READ_BYTES = 256 * 1024
_DEFAULT_REGION = "us-east-1"
_MISSING = {"NoSuchKey", "NotFound", "404"}  # HEAD has no body, so botocore knows its 404 only by number

logger = logging.getLogger(__name__)


class _NotConnected:
    """In the place of the client while there is none: services answer before their stores are there."""

    def __getattr__(self, name: str) -> Any:
        raise _unavailable()


_NOT_CONNECTED = _NotConnected()


class S3Storage:
    """`Storage` in one bucket, over one long-lived client."""

    def __init__(
        self,
        bucket: str,
        *,
        endpoint_url: str | None = None,
        public_endpoint_url: str | None = None,
        region: str | None = None,
        create_bucket: bool = False,
    ) -> None:
        self._bucket = bucket
        self._endpoint_url = endpoint_url
        self._public_endpoint_url = public_endpoint_url or endpoint_url
        self._region = region or (_DEFAULT_REGION if endpoint_url else None)
        self._create_bucket = create_bucket
        self._session = aioboto3.Session()
        self._clients = AsyncExitStack()
        self._client: Any = _NOT_CONNECTED
        self._signing_client: Any = _NOT_CONNECTED

    async def start(self) -> None:
        """Open the client and look at the bucket; it is made when `create_bucket` was asked for. May be tried again."""
        try:
            with _translated(bucket=True):
                self._client = await self._open(self._endpoint_url)
                # Signing needs no connection, only the host name that the client will use: it is part of what is signed.
                self._signing_client = self._client
                if self._public_endpoint_url != self._endpoint_url:
                    self._signing_client = await self._open(self._public_endpoint_url)
                await self._find_bucket()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Close the connections."""
        self._client = self._signing_client = _NOT_CONNECTED
        await self._clients.aclose()

    async def check(self) -> None:
        """Ask for the bucket."""
        with _translated(bucket=True):
            await self._client.head_bucket(Bucket=self._bucket)

    async def put(self, key: str, chunks: AsyncIterator[bytes], *, media_type: str) -> StoredObject:
        """See `Storage.put`. Below `PART_BYTES` one request, above a multipart upload; at most two parts are in memory."""
        check_key(key)
        check_media_type(media_type)
        upload = _MultipartUpload(self._client, {"Bucket": self._bucket, "Key": key}, media_type)
        part = io.BytesIO()
        try:
            async for chunk in chunks:
                rest = memoryview(chunk)
                while rest:
                    taken = part.write(rest[: PART_BYTES - part.tell()])
                    rest = rest[taken:]
                    if part.tell() == PART_BYTES:
                        await upload.add(part)
                        part = io.BytesIO()
            size = upload.size + part.tell()
            if upload.size:
                await upload.complete(part)
            else:
                part.seek(0)
                with _translated():
                    await self._client.put_object(Bucket=self._bucket, Key=key, Body=part, ContentType=media_type)
        except BaseException:
            await upload.abort()
            raise
        return StoredObject(key, size, media_type)

    async def read(self, key: str) -> AsyncIterator[bytes]:
        """See `Storage.read`."""
        check_key(key)
        with _translated():
            answer = await self._client.get_object(Bucket=self._bucket, Key=key)
        body = answer["Body"]
        async with body:
            while True:
                with _translated():
                    chunk: bytes = await body.read(READ_BYTES)
                if not chunk:
                    return
                yield chunk

    async def stat(self, key: str) -> StoredObject:
        """See `Storage.stat`."""
        check_key(key)
        with _translated():
            answer = await self._client.head_object(Bucket=self._bucket, Key=key)
        return StoredObject(key, answer["ContentLength"], answer["ContentType"])

    async def delete(self, key: str) -> None:
        """See `Storage.delete`."""
        check_key(key)
        with _translated():
            await self._client.delete_object(Bucket=self._bucket, Key=key)

    async def keys(self, prefix: str) -> AsyncIterator[str]:
        """See `Storage.keys`: one request per 1,000 keys."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
        with _translated(bucket=True):
            async for page in pages:
                for found in page.get("Contents", ()):
                    yield found["Key"]

    async def signed_url(self, key: str, *, expires_in: timedelta) -> str:
        """See `Storage.signed_url`: a presigned GET (Signature Version 4; S3 allows at most 7 days)."""
        check_key(key)
        with _translated():
            url: str = await self._signing_client.generate_presigned_url(
                "get_object",
                Params={"Bucket": self._bucket, "Key": key},
                ExpiresIn=int(expires_in.total_seconds()),
            )
        return url

    def uri(self, key: str) -> str:
        """`s3://bucket/key`."""
        return f"s3://{self._bucket}/{check_key(key)}"

    async def _open(self, endpoint_url: str | None) -> Any:
        config = Config(
            signature_version="s3v4",
            s3={
                # Only AWS itself resolves a host name per bucket.
                "addressing_style": "path" if endpoint_url else "auto",
                # Hashing a part holds the event loop for some 20 ms; under TLS nobody could change the part anyway.
                "payload_signing_enabled": endpoint_url is not None and not endpoint_url.startswith("https:"),
            },
            connect_timeout=3,
            read_timeout=30,
            retries={"mode": "standard", "max_attempts": 3},
            # botocore's default adds CRC trailers to every upload, which many S3 look-alikes refuse or store as content.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        client = self._session.client("s3", endpoint_url=endpoint_url, region_name=self._region, config=config)
        return await self._clients.enter_async_context(client)

    async def _find_bucket(self) -> None:
        try:
            await self._client.head_bucket(Bucket=self._bucket)
        except ClientError as error:
            if _code(error) not in _MISSING or not self._create_bucket:
                raise
            region = self._client.meta.region_name
            # The one region that must not be named, for it was S3's only one when the call was designed.
            where = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
            with suppress(self._client.exceptions.BucketAlreadyOwnedByYou):  # another service of ours was faster
                await self._client.create_bucket(Bucket=self._bucket, **where)


class _MultipartUpload:
    """An upload in parts: one is on its way while the caller fills the next."""

    def __init__(self, client: Any, target: dict[str, str], media_type: str) -> None:
        self._client = client
        self._target = target
        self._media_type = media_type
        self._id: str | None = None
        self._parts: list[dict[str, object]] = []
        self._sending: asyncio.Task[None] | None = None
        self.size = 0

    async def add(self, part: io.BytesIO) -> None:
        """Send the part in the background, once the one before has arrived."""
        if self._id is None:
            await run_to_end(self._begin())
        await self._arrived()
        self.size += part.tell()
        part.seek(0)
        self._sending = asyncio.create_task(self._send(len(self._parts) + 1, part))

    async def complete(self, last: io.BytesIO) -> None:
        """Send the last part, which may be empty, and make the object appear."""
        if last.tell():
            await self.add(last)
        await self._arrived()
        await run_to_end(self._finish())

    async def abort(self) -> None:
        """Leave nothing behind: S3 keeps, and bills, the parts of an unfinished upload for ever."""
        await run_to_end(self._abort())

    async def _arrived(self) -> None:
        if self._sending is not None:
            await self._sending
            self._sending = None

    async def _begin(self) -> None:
        with _translated():
            answer = await self._client.create_multipart_upload(**self._target, ContentType=self._media_type)
        self._id = answer["UploadId"]

    async def _send(self, number: int, part: io.BytesIO) -> None:
        with _translated():
            answer = await self._client.upload_part(**self._target, UploadId=self._id, PartNumber=number, Body=part)
        self._parts.append({"PartNumber": number, "ETag": answer["ETag"]})

    async def _finish(self) -> None:
        with _translated():
            await self._client.complete_multipart_upload(
                **self._target, UploadId=self._id, MultipartUpload={"Parts": self._parts}
            )
        self._id = None

    async def _abort(self) -> None:
        if self._sending is not None:
            self._sending.cancel()
            # Awaited, for a part that arrives after the abort would stay; what it raises is no news any more.
            await asyncio.gather(self._sending, return_exceptions=True)
        if self._id is None:
            return
        try:
            with _translated():
                await self._client.abort_multipart_upload(**self._target, UploadId=self._id)
        except (StorageUnavailable, ObjectNotFound):  # what went wrong before is what the caller has to hear of
            logger.warning("an unfinished upload could not be aborted", extra=self._target, exc_info=True)


@contextmanager
def _translated(*, bucket: bool = False) -> Iterator[None]:
    """What botocore and the HTTP client raise, by the names of the port; without the bucket there is no store."""
    try:
        yield
    except ClientError as error:
        if _code(error) in _MISSING and not bucket:
            raise ObjectNotFound("There is no such object.") from None
        raise _unavailable() from error
    except (BotoCoreError, HttpClientError, OSError) as error:  # OSError: timeouts and connection errors are some
        raise _unavailable() from error


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _unavailable() -> StorageUnavailable:
    return StorageUnavailable("The object storage cannot be used at the moment.")
