"""How recordings come in a request: shared by the routes that take them."""

from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, contextmanager
from typing import Annotated, Any

from fastapi import Header, Request
from fastapi.exceptions import RequestValidationError
from starlette.requests import ClientDisconnect

from services.audio.errors import InvalidField, MalformedUpload, UploadTooLarge
from services.audio.multipart import OVERHEAD_BYTES, Form, file_in
from services.audio.uploads import Target, Uploader, UploadService

PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: {"description": "No complete multipart form, or an invalid Idempotency-Key"},
    404: {"description": "No such script or scene"},
    409: {"description": "The Idempotency-Key was used for another recording"},
    413: {"description": "More bytes than a recording may have"},
    415: {"description": "No audio format that can be analysed"},
    503: {"description": "Something that the upload needs does not answer; send it again later"},
}

IdempotencyKey = Annotated[str | None, Header(description="The same key with the same recording begins no second analysis")]


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
