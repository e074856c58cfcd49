"""Routes of catalog."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from libs.common.contracts.catalog import Scene, ScriptSnapshot
from libs.common.web.internal import require_service
from services.catalog.deps import CatalogueDep, ImportDocument, ImporterDep, PageDep
from services.catalog.repository import Page
from services.catalog.schemas import (
    Actor,
    Address,
    DuetScene,
    ImportReport,
    Limit,
    Script,
    SearchText,
    Skip,
    Token,
    TokenDetail,
    UrlCheck,
    UrlKnown,
    Viewed,
)

actors_router = APIRouter(prefix="/api/actors", tags=["actors"])
tokens_router = APIRouter(prefix="/api/tokens", tags=["tokens"])
scripts_router = APIRouter(prefix="/api/scripts", tags=["scripts"])
urls_router = APIRouter(prefix="/api/urls", tags=["urls"])
duet_router = APIRouter(prefix="/api/duet", tags=["tokens"])
import_router = APIRouter(prefix="/api/catalog", tags=["catalogue"])
internal_router = APIRouter(prefix="/internal", dependencies=[Depends(require_service)], include_in_schema=False)


@actors_router.get("", summary="All actors", response_model=list[Actor])
async def list_actors(catalogue: CatalogueDep, page: PageDep) -> object:
    """By id."""
    return await catalogue.actors(page)


# `:path`, because a name may hold a slash.
@actors_router.get("/search/{query:path}", summary="Actors by name or alias", response_model=list[Actor])
async def search_actors(catalogue: CatalogueDep, query: SearchText, limit: Limit = 10) -> object:
    """Actors with `query` somewhere in their name or an alias, whatever the case."""
    return await catalogue.find_actors(query, limit)


@actors_router.get("/{query:path}", summary="Scenes of an actor", response_model=list[Token])
async def list_tokens_of_actor(catalogue: CatalogueDep, query: SearchText, page: PageDep) -> object:
    """Scenes of the actors whose name or alias contains `query`."""
    return await catalogue.tokens_of_actor(query, page)


@tokens_router.get("", summary="All scenes", response_model=list[Token])
async def list_tokens(catalogue: CatalogueDep, page: PageDep) -> object:
    """By id."""
    return await catalogue.tokens(page)


@tokens_router.get("/latest", summary="The newest scenes", response_model=list[Token])
async def list_latest(catalogue: CatalogueDep, page: PageDep) -> object:
    """The newest first."""
    return await catalogue.latest(page)


@tokens_router.get("/popular", summary="The most viewed scenes", response_model=list[Token])
async def list_popular(catalogue: CatalogueDep, page: PageDep) -> object:
    """The most viewed first."""
    return await catalogue.popular(page)


@tokens_router.get("/sync-collection", summary="Short scenes", response_model=list[Token])
async def list_sync_collection(catalogue: CatalogueDep, page: PageDep) -> object:
    """Scenes below 20 seconds, shuffled anew every day."""
    return await catalogue.sync_collection(page)


@tokens_router.get("/category/{category:path}", summary="Scenes of a category", response_model=list[Token])
async def list_of_category(catalogue: CatalogueDep, category: SearchText, page: PageDep) -> object:
    """Scenes with `category` somewhere in theirs, whatever the case."""
    return await catalogue.of_category(category, page)


@tokens_router.get("/{token_id}", summary="One scene with its lines")
async def get_token(catalogue: CatalogueDep, token_id: int) -> TokenDetail:
    """With the melody and a link to the background sound."""
    return TokenDetail.of(await catalogue.detail(token_id))


@tokens_router.get("/{token_id}/related", summary="Other scenes of the actor", response_model=list[Token])
async def list_related(catalogue: CatalogueDep, token_id: int, skip: Skip = 0, limit: Limit = 5) -> object:
    """The most viewed first."""
    return await catalogue.related(token_id, Page(skip, limit))


@tokens_router.post("/{token_id}/view", summary="Count a view")
async def count_view(catalogue: CatalogueDep, token_id: int) -> Viewed:
    """One more."""
    return Viewed(token_id=token_id, view_count=await catalogue.count_view(token_id))


@scripts_router.get("", summary="All lines", response_model=list[Script])
async def list_scripts(catalogue: CatalogueDep, page: PageDep) -> object:
    """By id."""
    return await catalogue.scripts(page)


@scripts_router.get("/{script_id}", summary="One line", response_model=Script)
async def get_script(catalogue: CatalogueDep, script_id: int) -> object:
    """With its words."""
    return await catalogue.script(script_id)


@scripts_router.get("/token/{token_id}", summary="The lines of a scene", response_model=list[Script])
async def list_scripts_of_token(catalogue: CatalogueDep, token_id: int, page: PageDep) -> object:
    """In the order in which they are spoken."""
    return await catalogue.scripts_of_token(token_id, page)


@urls_router.post("/check", summary="Whether there are scenes of a film")
async def check_url(catalogue: CatalogueDep, film: UrlCheck) -> UrlKnown:
    """By its exact address."""
    return UrlKnown(exists=await catalogue.knows_url(film.youtube_url))


@urls_router.get("/tokens", summary="The scenes of a film", response_model=list[Token])
async def list_tokens_of_url(catalogue: CatalogueDep, youtube_url: Annotated[Address, Query()]) -> object:
    """By its exact address."""
    return await catalogue.tokens_of_url(youtube_url)


@duet_router.get("/scenes", summary="Films with two scenes")
async def list_duets(catalogue: CatalogueDep) -> list[DuetScene]:
    """For two speakers: every film that has exactly two scenes."""
    return [DuetScene.of(duet) for duet in await catalogue.duets()]


@import_router.post(
    "/import",
    summary="Bring a catalogue document (administrators)",
    openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}}},
)
async def import_document(importer: ImporterDep, content: ImportDocument) -> ImportReport:
    """All or nothing; ids are kept; the second time nothing changes. An error names the entry."""
    return ImportReport.of(await importer.run(content))


@internal_router.get("/scripts/{script_id}", response_model=ScriptSnapshot)
async def get_snapshot(catalogue: CatalogueDep, script_id: int) -> object:
    """For a service whose own copy lacks the line."""
    return await catalogue.snapshot(script_id)


@internal_router.get("/tokens/{token_id}", response_model=Scene)
async def get_scene(catalogue: CatalogueDep, token_id: int) -> object:
    """For a service whose own copies lack the scene or its lines."""
    return await catalogue.scene(token_id)
