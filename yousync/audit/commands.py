"""`yousync audit`: whether anything is lost, and whether anything of somebody is left."""

import json
from typing import Annotated

import typer
import uvloop

from yousync.local.process import LocalServerError
from yousync.terminal import complain, options

app = typer.Typer(invoke_without_command=True)

MAX_ID = 2**31 - 1

AsJson = Annotated[bool, typer.Option("--json", help="For programs")]


@app.callback()
def audit_command(
    context: typer.Context,
    wait: Annotated[float, typer.Option(min=0, help="Seconds for what is on its way at this moment to arrive")] = 10.0,
    days: Annotated[float, typer.Option(min=0, help="How far to look back; less than OUTBOX_RETENTION_DAYS")] = 6.0,
    as_json: AsJson = False,
) -> None:
    """Reconcile what was sent with what was handled (exit 1: something is lost, stuck or twice; exit 2: could not look).

    Looks at the databases and the broker of STATE_DIR, or of <SERVICE>_DATABASE_URL (DATABASE_URL) and BROKER_URL.
    """
    if context.invoked_subcommand is not None:
        return
    from yousync.audit import audit
    from yousync.stores import find_stores

    try:
        report = uvloop.run(audit(find_stores(options()), wait=wait, days=days))
    except LocalServerError as error:
        complain(str(error))
        raise typer.Exit(2) from error
    if as_json:
        typer.echo(json.dumps(report.as_json(), default=str, indent=2, ensure_ascii=False))
    else:
        for line in report.lines():
            typer.echo(line)
    raise typer.Exit(1 if report.faults else 0)


@app.command("user")
def audit_user_command(
    user_id: Annotated[int, typer.Argument(min=1, max=MAX_ID, help="The account's number")],
    wait: Annotated[float, typer.Option(min=0, help="Seconds for what is being erased at this moment to go")] = 10.0,
    as_json: AsJson = False,
) -> None:
    """List what is left of a person, in databases, broker and object store (exit 0: nothing; exit 2: could not look).

    Looks at those of STATE_DIR, or of <SERVICE>_DATABASE_URL (DATABASE_URL), BROKER_URL and STORAGE_URL.
    """
    from yousync.audit.person import Remains, audit_user
    from yousync.objects import open_objects
    from yousync.stores import find_stores

    chosen = options()

    async def look() -> Remains:
        async with open_objects(chosen) as storage:
            return await audit_user(find_stores(chosen), storage, user_id, wait=wait)

    try:
        remains = uvloop.run(look())
    except LocalServerError as error:
        complain(str(error))
        raise typer.Exit(2) from error
    typer.echo(json.dumps(remains.as_json(), indent=2, ensure_ascii=False) if as_json else "\n".join(remains.lines()))
    raise typer.Exit(1 if remains.left else 0)
