"""Waits until a platform that was just started answers."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from libs.common.web.internal import open_client
from yousync.environment import Address
from yousync.local.process import LocalServerError

READY_SECONDS = 60.0
_LOOK_SECONDS = 0.02  # between two looks at a service; a start takes one to three seconds


async def until_ready(addresses: Mapping[str, Address], running: Sequence[asyncio.Task[Any]] = ()) -> None:
    """Return when every service says that it is ready.

    Raises `LocalServerError` that names the one that is not after a minute, or when a server of `running` ends meanwhile.
    """
    for name, address in addresses.items():
        last = "it does not listen"
        try:
            async with asyncio.timeout(READY_SECONDS), open_client(address.url) as client:
                while True:
                    if any(task.done() for task in running):
                        raise LocalServerError("a service ended while starting; LOG_LEVEL=INFO says more")
                    try:
                        answer = await client.get("/health/ready")
                    except httpx.TransportError:
                        pass
                    else:
                        if answer.status_code == httpx.codes.OK:
                            break
                        last = answer.text
                    await asyncio.sleep(_LOOK_SECONDS)
        except TimeoutError:
            raise LocalServerError(f"{name} is not ready after {READY_SECONDS:g} s: {last}") from None
