"""Routes of catalog."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from libs.common.contracts.catalog import Scene, ScriptSnapshot
from libs.common.web.openapi import answers
from libs.common.web.origin import AdminOrigin
from services.catalog.caching import ASK_FIRST, NOT_MODIFIED, Cached
from services.catalog.deps import CatalogueDep, ImportDocument, ImporterDep, ListsDep, ViewsDep
from services.catalog.errors import (
    BadDocument,
    DocumentTooLarge,
    ImportRunning,
    NoActorOfToken,
    ScriptNotFound,
    TokenNotFound,
    UrlNotFound,
)
from services.catalog.etags import etag
from services.catalog.pages import PAGED, PagingDep, ShortPagingDep
from services.catalog.schemas import (
    Actor,
    Address,
    DuetScene,
    ImportReport,
    Limit,
    Script,
    SearchText,
    Token,
    TokenDetail,
    UrlCheck,
    UrlKnown,
    Viewed,
    detail_shown,
)

actors_router = APIRouter(prefix="/api/actors", tags=["actors"], route_class=Cached)
tokens_router = APIRouter(prefix="/api/tokens", tags=["tokens"], route_class=Cached)
scripts_router = APIRouter(prefix="/api/scripts", tags=["scripts"], route_class=Cached)
urls_router = APIRouter(prefix="/api/urls", tags=["urls"], route_class=Cached)
duet_router = APIRouter(prefix="/api/duet", tags=["tokens"], route_class=Cached)
import_router = APIRouter(prefix="/api/catalog", tags=["catalogue"])
internal_router = APIRouter(prefix="/internal", include_in_schema=False)


@actors_router.get("", summary="All actors", response_model=list[Actor], responses=PAGED)
async def list_actors(lists: ListsDep, paging: PagingDep) -> object:
    """By id."""
    return paging.of(await lists.actors(paging.page))


# `:text`, because a name may hold a slash, and whatever else comes is refused by name.
@actors_router.get(
    "/search/{query:text}", summary="Actors by name or alias", response_model=list[Actor], responses=NOT_MODIFIED
)
async def search_actors(lists: ListsDep, query: SearchText, limit: Limit = 10) -> object:
    """In Korean and English, whatever the case: who is called exactly so, then whose name or alias begins so, has it somewhere,
    or is at least like it. Initial consonants alone mean syllables: `ㅌㅎㄷ` finds 톰 하디."""
    return await lists.find_actors(query, limit)


@actors_router.get("/{query:text}", summary="Scenes of an actor", response_model=list[Token], responses=PAGED)
async def list_tokens_of_actor(lists: ListsDep, query: SearchText, paging: PagingDep) -> object:
    """Scenes of the first ten actors that a search for `query` finds, by id."""
    return paging.of(await lists.tokens_of_actor(query, paging.page))


@tokens_router.get("", summary="All scenes", response_model=list[Token], responses=PAGED)
async def list_tokens(lists: ListsDep, paging: PagingDep) -> object:
    """By id."""
    return paging.of(await lists.tokens(paging.page))


@tokens_router.get("/latest", summary="The newest scenes", response_model=list[Token], responses=PAGED)
async def list_latest(lists: ListsDep, paging: PagingDep) -> object:
    """The newest first."""
    return paging.of(await lists.latest(paging.page))


@tokens_router.get("/popular", summary="The most viewed scenes", response_model=list[Token], responses=PAGED)
async def list_popular(lists: ListsDep, paging: PagingDep) -> object:
    """The most viewed first, of equals the newest."""
    return paging.of(await lists.popular(paging.page))


@tokens_router.get("/sync-collection", summary="Short scenes", response_model=list[Token], responses=PAGED)
async def list_sync_collection(lists: ListsDep, paging: PagingDep) -> object:
    """Scenes below 20 seconds in an order that looks random, every day from another one on."""
    return paging.of(await lists.sync_collection(paging.page))


@tokens_router.get("/category/{category:text}", summary="Scenes of a category", response_model=list[Token], responses=PAGED)
async def list_of_category(lists: ListsDep, category: SearchText, paging: PagingDep) -> object:
    """Scenes with `category` somewhere in theirs, whatever the case, by id."""
    return paging.of(await lists.of_category(category, paging.page))


@tokens_router.get(
    "/{token_id}",
    summary="One scene with its lines",
    responses={**NOT_MODIFIED, **answers(TokenNotFound())},
    response_model=TokenDetail,
)
async def get_token(catalogue: CatalogueDep, token_id: int) -> Response:
    """With the melody and a link to the background sound, each `null` when there is none."""
    detail = await catalogue.detail(token_id)
    shown = detail_shown(detail)
    headers = {"ETag": etag(detail.token.version, shown.lasting), "Cache-Control": ASK_FIRST}
    return Response(shown.body, media_type="application/json", headers=headers)


@tokens_router.get(
    "/{token_id}/related",
    summary="Other scenes of the actor",
    response_model=list[Token],
    responses={**PAGED, **answers(TokenNotFound(), NoActorOfToken())},
)
async def list_related(lists: ListsDep, token_id: int, paging: ShortPagingDep) -> object:
    """The most viewed first, of equals the newest."""
    return paging.of(await lists.related(token_id, paging.page))


@tokens_router.post("/{token_id}/view", summary="Count a view", responses=answers(TokenNotFound()))
async def count_view(views: ViewsDep, token_id: int) -> Viewed:
    """One more."""
    return Viewed(token_id=token_id, view_count=await views.count(token_id))


@scripts_router.get("", summary="All lines", response_model=list[Script], responses=PAGED)
async def list_scripts(lists: ListsDep, paging: PagingDep) -> object:
    """By id."""
    return paging.of(await lists.scripts(paging.page))


@scripts_router.get(
    "/{script_id}",
    summary="One line",
    response_model=Script,
    responses={**NOT_MODIFIED, **answers(ScriptNotFound())},
)
async def get_script(catalogue: CatalogueDep, script_id: int, response: Response) -> object:
    """With its words."""
    script = await catalogue.script(script_id)
    response.headers["ETag"] = etag(script.version)
    response.headers["Cache-Control"] = ASK_FIRST
    return script


@scripts_router.get("/token/{token_id}", summary="The lines of a scene", response_model=list[Script], responses=PAGED)
async def list_scripts_of_token(lists: ListsDep, token_id: int, paging: PagingDep) -> object:
    """In the order in which they are spoken."""
    return paging.of(await lists.scripts_of_token(token_id, paging.page))


@urls_router.post("/check", summary="Whether there are scenes of a film")
async def check_url(catalogue: CatalogueDep, film: UrlCheck) -> UrlKnown:
    """By its exact address."""
    return UrlKnown(exists=await catalogue.knows_url(film.youtube_url))


@urls_router.get(
    "/tokens",
    summary="The scenes of a film",
    response_model=list[Token],
    responses={**NOT_MODIFIED, **answers(UrlNotFound())},
)
async def list_tokens_of_url(catalogue: CatalogueDep, youtube_url: Annotated[Address, Query()]) -> object:
    """By its exact address."""
    return await catalogue.tokens_of_url(youtube_url)


@duet_router.get("/scenes", summary="Films with two scenes", responses=PAGED)
async def list_duets(lists: ListsDep, paging: PagingDep) -> list[DuetScene]:
    """For two speakers: every film that has exactly two scenes, in the order in which the films came."""
    return [DuetScene.of(duet) for duet in paging.of(await lists.duets(paging.page))]


@import_router.post(
    "/import",
    summary="Bring a catalogue document (administrators)",
    responses=answers(
        BadDocument("tokens[0]: Input should be a valid dictionary"), ImportRunning(), DocumentTooLarge(64 * 2**20)
    ),
    openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}}},
)
async def import_document(importer: ImporterDep, content: ImportDocument, by: AdminOrigin) -> ImportReport:
    """All or nothing; ids are kept; the second time nothing changes. An error names the entry."""
    return ImportReport.of(await importer.run(content, by))


@internal_router.get("/scripts/{script_id}", response_model=ScriptSnapshot)
async def get_snapshot(catalogue: CatalogueDep, script_id: int) -> object:
    """For a service whose own copy lacks the line."""
    return await catalogue.snapshot(script_id)


@internal_router.get("/tokens/{token_id}", response_model=Scene)
async def get_scene(catalogue: CatalogueDep, token_id: int) -> object:
    """For a service whose own copies lack the scene or its lines."""
    return await catalogue.scene(token_id)
