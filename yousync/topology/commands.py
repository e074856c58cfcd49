"""The commands: options in, lines or JSON out. Exit codes: 0 as declared, 1 not so or no broker, 2 asked in a wrong way."""

import json
from typing import Annotated

import typer
from aio_pika.abc import AbstractConnection
from yarl import URL

from libs.common.bus.rabbit import layout
from libs.common.bus.rabbit.layout import Layout
from libs.common.bus.rabbit.link import connect, say_goodbye
from yousync.broker import Broker, on_broker
from yousync.topology.apply import create, prune
from yousync.topology.compare import MENDED, Difference, Kind, compare
from yousync.topology.look import by_amqp, by_management
from yousync.topology.management import NoManagement, open_management
from yousync.topology.users import compare_users, make_users

app = typer.Typer(
    no_args_is_help=True,
    help="The topology that the code declares (with RETRY_LADDER) against a broker: BROKER_URL, else that of the fleet in "
    "STATE_DIR. Bindings, users, and what nobody declared are seen by the management API only (BROKER_MANAGEMENT_URL). "
    "Users are looked after where their passwords are given: AUTH_BROKER_PASSWORD and so on.",
)

Json = Annotated[bool, typer.Option("--json", help="For programs")]


@app.command()
def plan(for_programs: Json = False) -> None:
    """Print what `apply` would make. Nothing is changed."""
    differences, _ = on_broker(_look_only)
    missing = [each for each in differences if each.kind in MENDED]
    _print(missing, for_programs)
    if not for_programs:
        typer.echo(f"{len(missing)} to make." if missing else "Nothing to make: all that is declared is there.")
        if rest := len(differences) - len(missing):
            typer.echo(f"{rest} differences besides, which `yousync topology drift` tells.")


@app.command()
def drift(for_programs: Json = False) -> None:
    """Print what is missing (+), otherwise than declared (~, * users), ruled by a policy (!), unknown (-). Exit 1 if any is."""
    differences, _ = on_broker(_look_only)
    _print(differences, for_programs)
    if not for_programs:
        typer.echo(f"{len(differences)} differences." if differences else "As declared.")
    if differences:
        raise typer.Exit(1)


@app.command()
def apply(
    prune_too: Annotated[
        bool,
        typer.Option("--prune", help="Also delete what is unknown or otherwise, if nothing is in it and nobody reads it"),
    ] = False,
) -> None:
    """Make what is missing, and users as declared. Run again, it changes nothing. What else differs stays, unless --prune."""

    async def work(broker: Broker) -> list[Difference]:
        wanted = layout.whole(broker.retry_ladder)
        connection = await connect(URL(broker.amqp_url), "yousync topology")
        try:
            differences, complete = await _look(broker, wanted, connection)
            if prune_too and not complete:
                typer.echo("--prune needs the management API: nothing was changed.", err=True)
                raise typer.Exit(2)
            if prune_too:
                await prune(connection, differences, typer.echo)
                differences, _ = await _look(broker, wanted, connection)
            missing = [each for each in differences if each.kind is Kind.MISSING and each.thing != "user"]
            await create(connection, missing, wanted, typer.echo)
            if not complete:
                await create(connection, _bindings(wanted), wanted, lambda _: None)  # they may be there; then it is idle
                if broker.passwords:
                    typer.echo("Users were not made: that takes the management API.", err=True)
                    raise typer.Exit(1)
                return [each for each in differences if each.kind not in MENDED]
            # Who is let in finds all there is to find.
            async with open_management(broker.management_url) as management:
                users = [each for each in differences if each.thing == "user" and each.kind in MENDED]
                await make_users(management, users, broker.passwords, broker.retry_ladder, broker.virtual_host)
            for each in users:
                typer.echo(f"{each}  -> made so")
            return [each for each in differences if each.kind not in MENDED]
        finally:
            await say_goodbye(connection)

    left = on_broker(work)
    for each in left:
        typer.echo(f"{each}  -> stays")
    if left:
        typer.echo("What differs is mended by hand: drain the queue, or let --prune delete it when it is empty.", err=True)
        raise typer.Exit(1)
    typer.echo("As declared.")


async def _look_only(broker: Broker) -> tuple[list[Difference], bool]:
    connection = await connect(URL(broker.amqp_url), "yousync topology")
    try:
        return await _look(broker, layout.whole(broker.retry_ladder), connection)
    finally:
        await say_goodbye(connection)


async def _look(broker: Broker, wanted: Layout, connection: AbstractConnection) -> tuple[list[Difference], bool]:
    """The differences, and whether they are all."""
    try:
        async with open_management(broker.management_url) as management:
            differences = compare(wanted, await by_management(management, broker.virtual_host, wanted))
            if broker.passwords:
                differences += await compare_users(management, broker.passwords, broker.retry_ladder, broker.virtual_host)
            return differences, True
    except NoManagement as error:
        typer.echo(f"{error}.", err=True)
        typer.echo("Compared by AMQP instead: bindings, policies, users and what nobody declared were not looked at.", err=True)
        return await by_amqp(connection, wanted), False


def _bindings(wanted: Layout) -> list[Difference]:
    return [Difference(Kind.MISSING, "binding", each.queue, binding=each) for each in wanted.bindings]


def _print(differences: list[Difference], for_programs: bool) -> None:
    if for_programs:
        typer.echo(json.dumps([each.as_json() for each in differences], indent=2))
        return
    for each in differences:
        typer.echo(str(each))
