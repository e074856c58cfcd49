"""Errors as RFC 9457 problem details that keep `detail` where the existing clients read it.

`detail` is a string for expected errors and FastAPI's list for 422, as in the service that this one replaces; `type`,
`title`, `status` and `code` are added around it.
"""

import logging
from collections.abc import Callable, Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

from fastapi import FastAPI, Request
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException

from libs.common.errors import Kind, YouSyncError
from libs.common.web import refusals

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = "2"

STATUS = {
    Kind.INVALID: HTTPStatus.BAD_REQUEST,
    Kind.UNPROCESSABLE: HTTPStatus.UNPROCESSABLE_ENTITY,
    Kind.UNAUTHENTICATED: HTTPStatus.UNAUTHORIZED,
    Kind.FORBIDDEN: HTTPStatus.FORBIDDEN,
    Kind.NOT_FOUND: HTTPStatus.NOT_FOUND,
    Kind.CONFLICT: HTTPStatus.CONFLICT,
    Kind.PRECONDITION: HTTPStatus.PRECONDITION_FAILED,
    Kind.TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    Kind.UNSUPPORTED: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    Kind.LIMITED: HTTPStatus.TOO_MANY_REQUESTS,
    Kind.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
}


def problem(
    status: int,
    detail: Any,
    *,
    code: str | None = None,
    members: Mapping[str, Any] = MappingProxyType({}),
    headers: dict[str, str] | None = None,
) -> JSONResponse:
    """A problem document as a response; `members` are what it says beyond the usual ones."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    if code is not None:
        body["code"] = code
    return JSONResponse({**body, **members}, status_code=status, headers=headers, media_type=MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Answer every error of `app` with a problem document."""
    app.add_exception_handler(YouSyncError, _expected)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(Exception, _unexpected)


async def _expected(request: Request, error: Exception) -> Response:
    assert isinstance(error, YouSyncError)
    refusals.note(request.scope, error)
    headers = {}
    if error.kind is Kind.UNAUTHENTICATED:
        headers["WWW-Authenticate"] = "Bearer"
    if error.kind in (Kind.UNAVAILABLE, Kind.LIMITED):
        headers["Retry-After"] = RETRY_AFTER_SECONDS
    return problem(STATUS[error.kind], error.detail, code=error.code, members=error.members, headers=headers)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = _allowed(request) or headers.get("Allow", "")
    return problem(error.status_code, error.detail, headers=headers)


def _allowed(request: Request) -> str:
    """All methods of the path (RFC 9110, 15.5.6): the framework knows only those of its first route."""
    contexts = [context for context in iter_route_contexts(request.app.routes) if context.methods is not None]
    path = request.scope["path"]
    first = next((context.path for context in contexts if context.path_regex.match(path)), None)
    return ", ".join(sorted({method for each in contexts if each.path == first for method in each.methods or ()}))


async def _validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, _encodable(error.errors()), code="validation")


async def _unexpected(request: Request, error: Exception) -> Response:
    log.exception("unhandled error", exc_info=error, extra={"path": request.url.path})
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "Internal Server Error", code="internal")


def _encodable(errors: Any) -> Any:
    """Validation errors may hold what JSON cannot: exceptions in `ctx`, bytes and lone surrogates in `input`."""

    def replace(value: Any) -> Any:
        if isinstance(value, str):
            return value.encode("utf-8", "replace").decode("utf-8")
        if isinstance(value, dict):
            return {replace(key): replace(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [replace(item) for item in value]
        if (isinstance(value, float) and value != value) or value in (float("inf"), float("-inf")):
            return str(value)
        return value

    encoders: dict[Any, Callable[[Any], Any]] = {bytes: lambda b: b.decode("utf-8", "replace"), Exception: str, ValueError: str}
    return replace(jsonable_encoder(errors, custom_encoder=encoders))
