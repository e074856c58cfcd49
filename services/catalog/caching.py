"""Lets browsers and proxies keep what they were shown: a tag on every answer to a GET, and 304 to whoever has it already."""

from collections.abc import Callable, Coroutine
from typing import Any, Final

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from libs.common.web.openapi import Responses
from services.catalog.etags import digest, unmodified

# Lists: a home page asks for ten of them at once. They may be as old as a person takes to look at them; a view or an edit shows
# that much later.
BRIEFLY: Final = "public, max-age=10, stale-while-revalidate=60"
# Single things, which are edited from what was shown, and hold links that end: kept, but never shown without asking.
ASK_FIRST: Final = "no-cache"

NOT_MODIFIED: Final[Responses] = {304: {"description": "It is as `If-None-Match` says that the caller has it"}}

_KEPT = ("etag", "cache-control", "vary", "link", "x-total-count")  # what a 304 repeats: RFC 9110, 15.4.5


class Cached(APIRoute):
    """A route whose answers may be kept: `BRIEFLY` unless they say otherwise, with their body's tag unless they have one."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, with what is said above."""
        handler = super().get_route_handler()

        async def answer(request: Request) -> Response:
            response = await handler(request)
            if request.method != "GET" or response.status_code != 200:
                return response
            response.headers.setdefault("Cache-Control", BRIEFLY)
            tag = response.headers.setdefault("ETag", f'"{digest(bytes(response.body))}"')
            if unmodified(", ".join(request.headers.getlist("if-none-match")), tag):
                return Response(status_code=304, headers={k: v for k, v in response.headers.items() if k in _KEPT})
            return response

        return answer
