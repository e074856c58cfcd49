"""Answers to requests whose body nobody is going to read."""

import asyncio
from contextlib import suppress

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

# What still arrives is read and dropped for so long: closing at once would reset the connection, and the client might never
# see the answer (nginx calls it lingering close).
LINGER_SECONDS = 5.0


async def refuse(response: Response, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with `response` and end the connection if there is a body on its way."""
    given = dict(scope["headers"])
    if given.get(b"content-length", b"0") == b"0" and b"transfer-encoding" not in given:
        return await response(scope, receive, send)
    headers = [*response.raw_headers, (b"connection", b"close")]
    await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": response.body, "more_body": True})
    await linger(receive)
    return await send({"type": "http.response.body", "body": b"", "more_body": False})


async def linger(receive: Receive) -> None:
    """Read on until the body has ended, for so long as a client may need to notice."""
    with suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            while (message := await receive())["type"] == "http.request" and message.get("more_body"):
                pass
