"""The HTTP side of `DiskStorage`: what its signed URLs point at."""

from fastapi import APIRouter
from fastapi.responses import FileResponse

from libs.common.storage.base import ObjectNotFound
from libs.common.storage.disk import DiskStorage
from libs.common.storage.signing import BadSignature, LinkExpired
from libs.common.web.openapi import Responses, answers

ANSWERS: Responses = {
    200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}},
    **answers(
        BadSignature("This link is not valid. Ask for a new one."),
        LinkExpired("This link has expired. Ask for a new one."),
        ObjectNotFound("there is no such object"),
    ),
}


def disk_objects_router(storage: DiskStorage) -> APIRouter:
    """`GET` and `HEAD /objects/{key}` for holders of a link that this storage signed; 403 for everybody else.

    Answers Range requests (an audio element seeks with them), `ETag` and `If-Range`.
    """
    router = APIRouter(tags=["objects"])

    @router.head("/objects/{key:path}", include_in_schema=False)
    @router.get(
        "/objects/{key:path}",
        summary="One stored object, by a signed link",
        response_class=FileResponse,
        responses=ANSWERS,
    )
    async def get_object(key: str, expires: str = "", signature: str = "") -> FileResponse:
        """Ranges of bytes too. The link is made by whoever may see the object, for a short time."""
        # The signature goes first: without one, nothing is told about a key, not even whether it could exist.
        seconds_left = storage.signer.verify(key, expires=expires, signature=signature)
        found = await storage.find(key)
        return FileResponse(
            found.path,
            stat_result=found.stat,
            media_type=found.media_type,
            headers={
                "Cache-Control": f"private, max-age={seconds_left}",  # a copy lives no longer than the link to it
                "Content-Disposition": "inline",
                # The bytes came from a user. Whatever they are, a browser must not run them as a page of this origin.
                "X-Content-Type-Options": "nosniff",
                "Content-Security-Policy": "sandbox",
            },
        )

    return router
