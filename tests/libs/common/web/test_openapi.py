"""What all services' API documents say in the same way."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI

from libs.common.errors import Kind, YouSyncError
from libs.common.settings import Settings
from libs.common.web import openapi
from libs.common.web.app import create_app
from libs.common.web.auth import Admin, OptionalUser, User
from libs.common.web.rights import ADMIN, PUBLIC, USER, Need, Who

PROBLEM = "application/problem+json"


class FilmNotFound(YouSyncError):
    """There is no such film.

    More than one line is too much.
    """

    kind = Kind.NOT_FOUND
    code = "film_not_found"


class SceneNotFound(YouSyncError):
    """There is no such scene."""

    kind = Kind.NOT_FOUND
    code = "scene_not_found"


class Busy(YouSyncError):
    """Somebody else does it."""

    kind = Kind.CONFLICT
    code = "busy"


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield


def document() -> dict[str, Any]:
    router = APIRouter(prefix="/api/films", tags=["films"])

    @router.get("/{film_id}", responses=openapi.answers(FilmNotFound("no film"), SceneNotFound("no scene"), Busy("wait")))
    async def get_film(film_id: int, user: OptionalUser) -> int:
        return film_id

    @router.put("/{film_id}", responses={413: {"description": "Too large"}})
    async def put_film(film_id: int, user: User, names: list[str]) -> int:
        return film_id

    @router.delete("/{film_id}")
    async def delete_film(film_id: int, user: Admin) -> int:
        return film_id

    @router.get("")
    async def films() -> int:
        return 1

    rights = {
        "GET /api/films/{film_id}": Need(Who.OPTIONAL),
        "PUT /api/films/{film_id}": USER,
        "DELETE /api/films/{film_id}": ADMIN,
        "GET /api/films": PUBLIC,
    }
    app: FastAPI = create_app(
        *("films", Settings(environment="test")), title="Films", routers=[router], lifespan=lifespan, checks={}, rights=rights
    )
    return app.openapi()


def operation(method: str, path: str = "/api/films/{film_id}") -> Any:
    return document()["paths"][path][method]


def test_an_operation_is_named_by_its_resource_and_function() -> None:
    assert {found["operationId"] for _, _, found in openapi.operations(document())} == {
        "films_get_film",
        "films_put_film",
        "films_delete_film",
        "films",
    }


@pytest.mark.parametrize(
    ("method", "security", "refusals"),
    [
        ("get", [{}, {"bearer": []}], set()),
        ("put", [{"bearer": []}], {"401"}),
        ("delete", [{"bearer": []}], {"401", "403"}),
    ],
)
def test_who_may_call_is_told(method: str, security: list[Any], refusals: set[str]) -> None:
    found = operation(method)
    assert found["security"] == security
    assert found["responses"].keys() & {"401", "403"} == refusals


def test_who_needs_no_login_is_told_of_none() -> None:
    assert "security" not in operation("get", "/api/films")
    assert document()["components"]["securitySchemes"].keys() == {"bearer"}


def test_an_error_is_described_by_its_name_and_shown_with_its_text() -> None:
    missing = operation("get")["responses"]["404"]
    assert missing["description"] == "There is no such film / There is no such scene"
    assert missing["content"][PROBLEM]["examples"]["scene_not_found"]["value"] == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "no scene",
        "code": "scene_not_found",
    }
    assert operation("get")["responses"]["409"]["content"][PROBLEM]["examples"].keys() == {"busy"}
    assert len(operation("put")["responses"]["401"]["content"][PROBLEM]["examples"]) == 3


def test_who_takes_json_may_get_what_is_no_text() -> None:
    assert operation("put")["responses"]["400"]["description"] == "The body is no text in UTF-8"
    assert "400" not in operation("get")["responses"]


def test_every_error_is_a_problem_document() -> None:
    for path, method, found in openapi.operations(document()):
        for status, answer in found["responses"].items():
            if status.startswith("4"):
                assert answer["content"].keys() == {PROBLEM}, (path, method, status)
    assert "HTTPValidationError" not in document()["components"]["schemas"]
