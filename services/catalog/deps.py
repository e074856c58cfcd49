"""What endpoints ask for."""

from typing import Annotated

from fastapi import Depends, Header, Request
from starlette.requests import ClientDisconnect

from services.catalog.bookmarks import Bookmarks
from services.catalog.editing import Editor
from services.catalog.errors import BadDocument, DocumentTooLarge
from services.catalog.exporting import Exporter
from services.catalog.importing import Importer
from services.catalog.listing import Lists
from services.catalog.personal import PersonalData
from services.catalog.preconditions import IfMatch
from services.catalog.removing import Remover
from services.catalog.requests import VideoRequests
from services.catalog.service import Catalogue
from services.catalog.viewing import Views


async def _catalogue(request: Request) -> Catalogue:
    catalogue: Catalogue = request.app.state.catalogue
    return catalogue


async def _lists(request: Request) -> Lists:
    lists: Lists = request.app.state.lists
    return lists


async def _views(request: Request) -> Views:
    views: Views = request.app.state.views
    return views


async def _importer(request: Request) -> Importer:
    importer: Importer = request.app.state.importer
    return importer


async def _remover(request: Request) -> Remover:
    remover: Remover = request.app.state.remover
    return remover


async def _editor(request: Request) -> Editor:
    editor: Editor = request.app.state.editor
    return editor


async def _exporter(request: Request) -> Exporter:
    exporter: Exporter = request.app.state.exporter
    return exporter


async def _bookmarks(request: Request) -> Bookmarks:
    bookmarks: Bookmarks = request.app.state.bookmarks
    return bookmarks


async def _personal_data(request: Request) -> PersonalData:
    personal_data: PersonalData = request.app.state.personal_data
    return personal_data


async def _video_requests(request: Request) -> VideoRequests:
    video_requests: VideoRequests = request.app.state.video_requests
    return video_requests


async def _if_match(
    request: Request,
    _: Annotated[str | None, Header(alias="If-Match", description="Change it only in a state of this ETag")] = None,
) -> IfMatch:
    lines = request.headers.getlist("if-match")  # a list may come in several
    return IfMatch(", ".join(lines) if lines else None)


async def _import_document(request: Request) -> bytes:
    """The body, when it is not too long; a longer one is not read to its end."""
    limit: int = request.app.state.settings.max_import_bytes
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limit:
        raise DocumentTooLarge(limit)
    content = bytearray()
    try:
        async for chunk in request.stream():
            content += chunk
            if len(content) > limit:
                raise DocumentTooLarge(limit)
    except ClientDisconnect as error:
        raise BadDocument("the connection ended before the document did") from error
    return bytes(content)


BookmarksDep = Annotated[Bookmarks, Depends(_bookmarks)]
CatalogueDep = Annotated[Catalogue, Depends(_catalogue)]
EditorDep = Annotated[Editor, Depends(_editor)]
ExporterDep = Annotated[Exporter, Depends(_exporter)]
IfMatchDep = Annotated[IfMatch, Depends(_if_match)]
ImporterDep = Annotated[Importer, Depends(_importer)]
ImportDocument = Annotated[bytes, Depends(_import_document)]
ListsDep = Annotated[Lists, Depends(_lists)]
PersonalDataDep = Annotated[PersonalData, Depends(_personal_data)]
RemoverDep = Annotated[Remover, Depends(_remover)]
VideoRequestsDep = Annotated[VideoRequests, Depends(_video_requests)]
ViewsDep = Annotated[Views, Depends(_views)]
