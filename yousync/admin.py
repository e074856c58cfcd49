"""`yousync admin`: who is an administrator, from where nobody needs to be one."""

import json
import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated

import typer

from yousync.accounts import on_auth

if TYPE_CHECKING:
    from libs.common.acts import Origin
    from libs.common.db import Database
    from services.auth.administration import Administration, ManagedAccount

app = typer.Typer(
    no_args_is_help=True,
    help="Who is an administrator: in the database of auth in STATE_DIR, or at AUTH_DATABASE_URL (DATABASE_URL). With "
    "AUTH_ADMIN_EMAILS as auth has it, those are told as well. Exit 1: refused, or unknown; exit 2: could not look.",
)

Whom = Annotated[str, typer.Argument(metavar="EMAIL_OR_ID")]


@app.command("list")
def list_administrators(as_json: Annotated[bool, typer.Option("--json", help="For programs")] = False) -> None:
    """Print all administrators, and what makes them so."""
    found = on_auth(lambda database: _administration(database).administrators())
    if as_json:
        typer.echo(json.dumps([_facts(each) for each in found], indent=2, ensure_ascii=False))
        return
    for each in found:
        typer.echo(_line(each))


@app.command()
def grant(whom: Whom) -> None:
    """Make somebody an administrator who has signed in once. Their next access token says so."""
    typer.echo(_line(on_auth(_for(whom, lambda administration, user_id, by: administration.grant(user_id, by)))))


@app.command()
def revoke(whom: Whom) -> None:
    """Make somebody an administrator no more; their sessions end. Not the last one, and nobody whom the settings name."""
    typer.echo(_line(on_auth(_for(whom, lambda administration, user_id, by: administration.revoke(user_id, by)))))


Doing = Callable[["Administration", int, "Origin"], Awaitable["ManagedAccount"]]


def _for(whom: str, doing: Doing) -> Callable[["Database"], Awaitable["ManagedAccount"]]:
    async def work(database: "Database") -> "ManagedAccount":
        from libs.common.acts import Origin
        from services.auth import repository
        from services.auth.errors import AccountNotFound

        async with database.reading() as connection:
            if whom.isascii() and whom.isdigit():
                account = await repository.account(connection, int(whom))
            else:
                account = await repository.account_of_email(connection, whom)
        if account is None:
            raise AccountNotFound
        return await doing(_administration(database), account.id, Origin())

    return work


def _administration(database: "Database") -> "Administration":
    from libs.common.settings import MAX_LEEWAY
    from services.auth.acts import OPERATOR
    from services.auth.administration import Administration
    from services.auth.settings import MAX_TOKEN_SECONDS, addresses

    emails = addresses(os.environ.get("AUTH_ADMIN_EMAILS", ""))
    # What auth's tokens live for, only auth's own settings say; no longer than this.
    outlive = MAX_TOKEN_SECONDS + MAX_LEEWAY
    return Administration(database, outlive_seconds=outlive, admin_emails=emails, service=OPERATOR)


def _facts(managed: "ManagedAccount") -> dict[str, object]:
    account = managed.account
    return {"id": account.id, "email": account.email, "is_active": account.is_active, "admin_by": managed.admin_by}


def _line(managed: "ManagedAccount") -> str:
    kinds = {"grant": "administrator", "settings": "administrator by AUTH_ADMIN_EMAILS", None: "no administrator"}
    off = "" if managed.account.is_active else ", switched off"
    return f"{managed.account.id:>10}  {managed.account.email}  {kinds[managed.admin_by]}{off}"
