"""How recordings come in a request: shared by the routes that take them."""

from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, contextmanager
from typing import Annotated, Any

from fastapi import Header, Request
from fastapi.exceptions import RequestValidationError
from starlette.requests import ClientDisconnect

from libs.common.web.openapi import answers
from services.audio.errors import (
    CatalogUnavailable,
    IdempotencyKeyReused,
    InvalidField,
    InvalidIdempotencyKey,
    MalformedUpload,
    UnsupportedAudio,
    UploadTooLarge,
)
from services.audio.multipart import OVERHEAD_BYTES, Form, file_in
from services.audio.uploads import Target, Uploader, UploadService

PROBLEMS = answers(
    MalformedUpload("the connection ended before the upload did"),
    InvalidIdempotencyKey(),
    IdempotencyKeyReused(),
    UploadTooLarge(50 * 1024 * 1024),
    UnsupportedAudio(),
    CatalogUnavailable(),
)

IdempotencyKey = Annotated[
    str | None,
    Header(
        description="The same key with the same recording begins no second analysis",
        json_schema_extra={"pattern": "^[ -~]{1,200}$"},  # refused with a name of its own, not as the framework would
    ),
]


def documented(**fields: dict[str, Any]) -> dict[str, Any]:
    """What the API document says of a form with these required fields: it is not parsed by the framework."""
    schema = {"type": "object", "required": list(fields), "properties": fields}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


FILE = {"type": "string", "format": "binary"}


@contextmanager
def field_errors() -> Iterator[None]:
    """Answers a field that cannot be taken in the shape that clients know from the framework."""
    try:
        yield
    except InvalidField as error:
        problem = {"type": error.problem, "loc": ["body", error.field], "msg": error.detail, "input": None}
        raise RequestValidationError([problem]) from error


def form_of(request: Request, *, max_bytes: int, field: str) -> Form:
    """The multipart form of a request, whose files may have `max_bytes` in all. Raises what `Form` does, UploadTooLarge."""
    if int(request.headers.get("content-length", "0")) > max_bytes + OVERHEAD_BYTES:
        raise UploadTooLarge(max_bytes)
    return Form(request.headers.get("content-type", ""), body_of(request), max_bytes=max_bytes, field=field)


async def accept_file(
    request: Request, uploads: UploadService, target: Target, uploader: Uploader, key: str | None, *, max_bytes: int
) -> str:
    """Take the recording in the field `file` and begin its job; the job's id."""
    with field_errors():
        form = form_of(request, max_bytes=max_bytes, field="file")
        async with aclosing(file_in(form, "file", max_bytes=max_bytes)) as recording:
            return await uploads.accept(target, uploader, recording, key)


async def body_of(request: Request) -> AsyncIterator[bytes]:
    """The body as it arrives. Raises MalformedUpload when it breaks off."""
    try:
        async for data in request.stream():
            yield data
    except ClientDisconnect as error:
        raise MalformedUpload("the connection ended before the upload did") from error
