"""`yousync acts`: the audit log, for whoever has to find out what happened."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from libs.common.acts import Act
from yousync.accounts import on_auth

if TYPE_CHECKING:
    from collections.abc import Sequence

    from libs.common.db import Database
    from services.auth.acts_repository import RecordedAct

_FORMATS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]


def acts(
    user: Annotated[int | None, typer.Option(help="What this account did, and what was done to it")] = None,
    act: Annotated[Act | None, typer.Option(help="Only these")] = None,
    since: Annotated[datetime | None, typer.Option(formats=_FORMATS, help="UTC")] = None,
    until: Annotated[datetime | None, typer.Option(formats=_FORMATS, help="UTC; before that")] = None,
    before: Annotated[int | None, typer.Option(help="Older than the one with this number, to read on")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most")] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="For programs: one object per line")] = False,
) -> None:
    """Print the audit log, the newest act first, in the order in which they were written (exit 2: could not look).

    Looks at the database of auth in STATE_DIR, or at AUTH_DATABASE_URL (DATABASE_URL).
    """

    async def look(database: "Database") -> "Sequence[RecordedAct]":
        from services.auth.acts_repository import Wanted, newest

        wanted = Wanted(person=user, act=act, since=_utc(since), until=_utc(until), before=before)
        async with database.reading() as connection:
            return await newest(connection, wanted, limit=limit)

    for each in on_auth(look):
        facts = {name: value for name, value in asdict(each).items() if value is not None}
        facts["at"] = each.at.astimezone(UTC).isoformat().replace("+00:00", "Z")
        typer.echo(json.dumps(facts, ensure_ascii=False) if as_json else _line(facts))


def _utc(time: datetime | None) -> datetime | None:
    return None if time is None else time.replace(tzinfo=UTC)


def _line(facts: dict[str, object]) -> str:
    who = facts.get("user_id", "-")
    rest = {name: value for name, value in facts.items() if name not in ("id", "at", "service", "act", "user_id")}
    if rest["times"] == 1:
        del rest["times"]
    told = " ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in rest.items())
    return f"{facts['id']:>8}  {facts['at']}  {facts['service']:<8} {who:>8}  {facts['act']:<20} {told}".rstrip()
