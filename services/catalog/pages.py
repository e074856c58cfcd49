"""Pages of lists in HTTP: bare arrays as ever, and beside them `Link` to the next page and, at the end, how many there are."""

from collections.abc import Sequence
from typing import Annotated, TypeVar
from urllib.parse import quote

from fastapi import Depends, Query
from starlette.requests import Request
from starlette.responses import Response

from libs.common.web.openapi import Responses, answers
from services.catalog.caching import NOT_MODIFIED
from services.catalog.errors import BadPage
from services.catalog.paging import MAX_CURSOR, Listing, Page
from services.catalog.schemas import Limit, Skip

T = TypeVar("T")

After = Annotated[
    str | None, Query(max_length=MAX_CURSOR, description="Where the page before has ended, out of its `Link`; without `skip`")
]

PAGED: Responses = {
    200: {
        "headers": {
            "Link": {"description": 'The next page, `rel="next"`; none at the end', "schema": {"type": "string"}},
            "X-Total-Count": {"description": "How many there are, where the list ends here", "schema": {"type": "integer"}},
        }
    },
    **NOT_MODIFIED,
    **answers(BadPage()),
}


class Paging:
    """The page that a request asks for, and what its answer says of the others."""

    def __init__(self, request: Request, response: Response, page: Page) -> None:
        self.page = page
        self._path: str = request.scope["path"]
        self._headers = response.headers

    def of(self, listing: Listing[T]) -> Sequence[T]:
        """What the body shows of `listing`."""
        if listing.next is not None:
            # From the path alone: who answers under which name is the proxies' to know.
            target = f"{quote(self._path)}?after={listing.next}&limit={self.page.limit}"
            self._headers["Link"] = f'<{target}>; rel="next"'
        if listing.total is not None:
            self._headers["X-Total-Count"] = str(listing.total)
        return listing.items


async def _paging(request: Request, response: Response, skip: Skip = 0, limit: Limit = 100, after: After = None) -> Paging:
    return Paging(request, response, Page(skip, limit, after))


async def _short_paging(request: Request, response: Response, skip: Skip = 0, limit: Limit = 5, after: After = None) -> Paging:
    return Paging(request, response, Page(skip, limit, after))


PagingDep = Annotated[Paging, Depends(_paging)]
ShortPagingDep = Annotated[Paging, Depends(_short_paging)]
"""Five entries unless more are asked for."""
