"""Work that must not be left halfway when its caller is cancelled."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def run_to_end(work: Coroutine[Any, Any, T]) -> T:
    """Await `work`; when the caller is cancelled meanwhile, let `work` finish first and raise `CancelledError` then.

    A thread cannot be interrupted, and a request on the wire cannot be taken back: cleaning up beside them would close
    a file under its writer, or miss an upload that the store had begun. The result is lost on cancellation, so `work`
    keeps what a clean-up needs in an object of the caller's.
    """
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError:
                continue  # told once already; it is raised below
        if not task.cancelled():
            task.exception()  # seen: the cancellation goes first
        raise
