"""Routes of administrators: single things are made, changed, deleted."""

from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, contextmanager
from typing import Any

from fastapi import APIRouter, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from libs.common.web.openapi import Responses, answers
from libs.common.web.origin import AdminOrigin
from services.catalog.deps import EditorDep, ExporterDep, IfMatchDep, RemoverDep
from services.catalog.errors import ActorExists, ChangedMeanwhile, ImportRunning, InvalidField, ScriptNotFound, TokenNotFound
from services.catalog.etags import etag
from services.catalog.schemas import Actor, Script, Token
from services.catalog.write_schemas import ActorNew, ScriptChange, ScriptNew, TokenChange, TokenNew

router = APIRouter(prefix="/api")

_TAGGED: Responses = {
    200: {"headers": {"ETag": {"description": "Of its new state, for `If-Match`", "schema": {"type": "string"}}}}
}

_DOCUMENT: Responses = {
    200: {
        "description": "What `POST /api/catalog/import` takes",
        "content": {
            "application/json": {
                "schema": {"type": "object"},
                "example": {
                    "urls": ["https://www.youtube.com/watch?v=vid00000001"],
                    "actors": [{"id": 1, "name": "Tom Hardy", "aliases": ["톰 하디"]}],
                    "token_actors": [{"token_id": 1, "actor_id": 1}],
                },
            }
        },
    }
}


class Deleted(BaseModel):
    """It is gone."""

    detail: str


@router.post("/actors", tags=["actors"], summary="Add an actor", responses=answers(ActorExists(), ImportRunning()))
async def create_actor(editor: EditorDep, by: AdminOrigin, new: ActorNew) -> Actor:
    """Names are compared whatever their case."""
    return Actor.model_validate(await editor.create_actor(new, by))


@router.post("/tokens", tags=["tokens"], summary="Add a scene", responses={**_TAGGED, **answers(ImportRunning())})
async def create_token(editor: EditorDep, by: AdminOrigin, new: TokenNew, response: Response) -> Token:
    """Its film is known from then on; its actor is who is called `actor_name`, also by an alias, or somebody new."""
    with _field_errors():
        token = await editor.create_token(new, by)
    response.headers["ETag"] = etag(token.version)
    return Token.model_validate(token)


@router.put(
    "/tokens/{token_id}",
    tags=["tokens"],
    summary="Change a scene",
    responses={**_TAGGED, **answers(TokenNotFound(), ImportRunning(), ChangedMeanwhile())},
)
async def change_token(
    editor: EditorDep, by: AdminOrigin, token_id: int, change: TokenChange, seen: IfMatchDep, response: Response
) -> Token:
    """What the body does not name stays as it is, views always do. `null` clears what may be empty."""
    with _field_errors():
        token = await editor.change_token(token_id, change, seen, by)
    response.headers["ETag"] = etag(token.version)
    return Token.model_validate(token)


@router.delete(
    "/tokens/{token_id}",
    tags=["tokens"],
    summary="Delete a scene",
    responses=answers(TokenNotFound(), ImportRunning(), ChangedMeanwhile()),
)
async def delete_token(remover: RemoverDep, by: AdminOrigin, token_id: int, seen: IfMatchDep) -> Deleted:
    """With its lines, their words and bookmarks of it. Recordings and results of learners are not the catalogue's and stay."""
    await remover.remove_token(token_id, seen, by)
    return Deleted(detail="Token deleted successfully")


@router.post(
    "/scripts", tags=["scripts"], summary="Add a line", responses={**_TAGGED, **answers(TokenNotFound(), ImportRunning())}
)
async def create_script(editor: EditorDep, by: AdminOrigin, new: ScriptNew, response: Response) -> Script:
    """With its words, if they are given: in order, without overlap, within the line's time."""
    with _field_errors():
        script = await editor.create_script(new, by)
    response.headers["ETag"] = etag(script.version)
    return Script.model_validate(script)


@router.put(
    "/scripts/{script_id}",
    tags=["scripts"],
    summary="Change a line",
    responses={**_TAGGED, **answers(ScriptNotFound(), TokenNotFound(), ImportRunning(), ChangedMeanwhile())},
)
async def change_script(
    editor: EditorDep, by: AdminOrigin, script_id: int, change: ScriptChange, seen: IfMatchDep, response: Response
) -> Script:
    """What the body does not name stays as it is. `words` replace all that the line has."""
    with _field_errors():
        script = await editor.change_script(script_id, change, seen, by)
    response.headers["ETag"] = etag(script.version)
    return Script.model_validate(script)


@router.delete(
    "/scripts/{script_id}",
    tags=["scripts"],
    summary="Delete a line",
    responses=answers(ScriptNotFound(), ImportRunning(), ChangedMeanwhile()),
)
async def delete_script(remover: RemoverDep, by: AdminOrigin, script_id: int, seen: IfMatchDep) -> Deleted:
    """With its words. Recordings and results of learners are not the catalogue's and stay."""
    await remover.remove_script(script_id, seen, by)
    return Deleted(detail="Script deleted successfully")


@router.get(
    "/catalog/export",
    tags=["catalogue"],
    summary="The whole catalogue as an import document",
    response_class=StreamingResponse,
    responses=_DOCUMENT,
)
async def export_document(exporter: ExporterDep) -> StreamingResponse:
    """As it is at one moment, with ids, views and melodies. Breaks off when it cannot go on."""
    document = exporter.run()
    begun = await anext(document)  # what fails at once is answered as an error

    async def whole() -> AsyncIterator[bytes]:
        async with aclosing(document):
            yield begun
            async for chunk in document:
                yield chunk

    headers = {"Content-Disposition": 'attachment; filename="catalog.json"', "Cache-Control": "no-store"}
    return StreamingResponse(whole(), media_type="application/json", headers=headers)


@contextmanager
def _field_errors() -> Iterator[None]:
    """Answers what does not fit together in the shape in which clients know wrong fields."""
    try:
        yield
    except InvalidField as error:
        where: list[Any] = [int(part) if part.isdecimal() else part for part in error.field.split(".")]
        problem = {"type": "value_error", "loc": ["body", *where], "msg": error.detail, "input": None}
        raise RequestValidationError([problem]) from error
