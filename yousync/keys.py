"""`yousync keys`: the keys that sign access tokens, replaced while everything runs."""

from typing import TYPE_CHECKING

import typer

from yousync.accounts import on_auth
from yousync.terminal import complain

if TYPE_CHECKING:
    from libs.common.db import Database

app = typer.Typer(no_args_is_help=True)


@app.callback()
def keys() -> None:
    """The keys that sign access tokens."""


@app.command()
def rotate() -> None:
    """Replace the signing key: nobody is signed out, no service is restarted (exit 1: there is none; exit 2: could not look).

    Works on the database of auth in STATE_DIR, or at AUTH_DATABASE_URL (DATABASE_URL).
    """
    from services.auth.keys import ROTATION_SECONDS

    retired = on_auth(retire)
    if not retired:
        complain("no key can be replaced: none was made yet, or the last one is on its way out")
        raise typer.Exit(1)
    for kid in retired:
        typer.echo(f"{kid} signs for {ROTATION_SECONDS:.0f} s more, what it signed is valid until it expires.")


async def retire(database: "Database") -> list[str]:
    """Let the keys in this database of auth sign for `ROTATION_SECONDS` more; their ids."""
    from libs.common.acts import Act, Origin
    from services.auth.acts import OPERATOR, record
    from services.auth.keys import ROTATION_SECONDS
    from services.auth.repository import retire_keys

    async with database.transaction() as tx:
        retired = await retire_keys(tx.connection, seconds=ROTATION_SECONDS)
        for kid in retired:
            await record(tx, Act.KEYS_ROTATED, Origin(), thing=f"key:{kid}", service=OPERATOR)
    return retired
