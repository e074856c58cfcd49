"""`yousync keys`: the keys that sign access tokens, replaced while everything runs."""

import typer
import uvloop
from rich.console import Console

from libs.common.errors import Unavailable
from yousync.local.process import LocalServerError
from yousync.options import Options
from yousync.stores import find_database

app = typer.Typer(no_args_is_help=True)
errors = Console(stderr=True, soft_wrap=True)


@app.callback()
def keys() -> None:
    """The keys that sign access tokens."""


@app.command()
def rotate() -> None:
    """Replace the signing key: nobody is signed out, no service is restarted (exit 1: there is none; exit 2: could not look).

    Works on the database of auth in STATE_DIR, or at AUTH_DATABASE_URL (DATABASE_URL).
    """
    from services.auth.keys import ROTATION_SECONDS

    try:
        retired = uvloop.run(retire(find_database("auth", Options())))
    except (LocalServerError, Unavailable) as error:
        errors.print(str(error), style="red", markup=False, highlight=False)
        raise typer.Exit(2) from error
    if not retired:
        errors.print("no key can be replaced: none was made yet, or the last one is on its way out", style="red")
        raise typer.Exit(1)
    for kid in retired:
        typer.echo(f"{kid} signs for {ROTATION_SECONDS:.0f} s more, what it signed is valid until it expires.")


async def retire(database_url: str) -> list[str]:
    """Let the keys in this database of auth sign for `ROTATION_SECONDS` more; their ids."""
    from sqlalchemy.engine import make_url

    from libs.common.db import Database
    from services.auth.keys import ROTATION_SECONDS
    from services.auth.repository import retire_keys

    url = make_url(database_url).set(drivername="postgresql+asyncpg").render_as_string(hide_password=False)
    database = Database(url, source="yousync", pool_size=1)
    try:
        async with database.transaction() as tx:
            return await retire_keys(tx.connection, seconds=ROTATION_SECONDS)
    finally:
        await database.close()
