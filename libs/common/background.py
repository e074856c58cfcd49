"""What runs beside an app's requests: consumers, relay, sweepers."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

log = logging.getLogger(__name__)


@asynccontextmanager
async def background(*jobs: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run `jobs` until the block ends, then cancel them and wait. One that ends by an error is logged; the block goes on."""
    tasks = [asyncio.create_task(job) for job in jobs]
    for task in tasks:
        task.add_done_callback(_log_failure)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("a background job ended", exc_info=error)


async def every(seconds: float, action: Callable[[], Awaitable[None]], *, what: str) -> None:
    """Call `action` now and then each `seconds`, for ever. A failure is logged and does not end it."""
    while True:
        try:
            await action()
        except Exception as error:
            log.warning("%s failed, the next try is in %g s", what, seconds, extra={"error": repr(error)})
        await asyncio.sleep(seconds)


async def whenever(woken: asyncio.Event, action: Callable[[], Awaitable[None]], *, what: str, seconds: float) -> None:
    """Call `action` now, whenever `woken` is set, and each `seconds`, for ever: what failed is due again, and others may have
    died over theirs. A failure is logged and does not end it."""
    while True:
        woken.clear()
        try:
            await action()
        except Exception as error:
            log.warning("%s failed, the next try is in %g s", what, seconds, extra={"error": repr(error)})
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await woken.wait()


async def eventually(action: Callable[[], Awaitable[None]], *, what: str, seconds: float = 1.0) -> None:
    """Call `action` until it succeeds, each `seconds`: for what a service connects to, in whatever order they start."""
    while True:
        try:
            return await action()
        except Exception as error:
            log.warning("%s failed, the next try is in %g s", what, seconds, extra={"error": repr(error)})
        await asyncio.sleep(seconds)
