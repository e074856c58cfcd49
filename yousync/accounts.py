"""The database of auth for an operator's commands, and how they end when it does not answer."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

import typer
import uvloop

from libs.common.errors import Unavailable, YouSyncError
from yousync.local.process import LocalServerError
from yousync.stores import find_database
from yousync.terminal import complain, options

if TYPE_CHECKING:  # imported where it is used: `yousync --help` need not wait for it
    from libs.common.db import Database

T = TypeVar("T")


@asynccontextmanager
async def database_of(url: str) -> AsyncIterator["Database"]:
    """The database at `url` (postgresql://)."""
    from sqlalchemy.engine import make_url

    from libs.common.db import Database

    driven = make_url(url).set(drivername="postgresql+asyncpg").render_as_string(hide_password=False)
    database = Database(driven, source="yousync", pool_size=1)
    try:
        yield database
    finally:
        await database.close()


def on_auth(work: Callable[["Database"], Awaitable[T]]) -> T:
    """What `work` gives, done on the database of auth in STATE_DIR, or at AUTH_DATABASE_URL (DATABASE_URL).

    Ends the command when that is refused (exit 1) or nobody answers (exit 2).
    """

    from libs.common.web.language import Language
    from services.auth.texts import speaking

    async def open_and_work() -> T:
        with speaking(Language.ENGLISH):
            async with database_of(find_database("auth", options())) as database:
                return await work(database)

    try:
        return uvloop.run(open_and_work())
    except (LocalServerError, Unavailable) as error:
        complain(str(error))
        raise typer.Exit(2) from error
    except YouSyncError as error:
        complain(error.detail)
        raise typer.Exit(1) from error
