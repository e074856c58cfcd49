"""The commands: options in, lines or JSON out. Exit codes: 0 done, 1 not all of it or no broker, 2 asked in a wrong way."""

import json
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, TypeVar

import typer

from libs.common.bus.base import DeadLetter
from libs.common.bus.rabbit.graveyard import Graveyard, open_graveyard
from libs.common.bus.topology import QUEUES
from yousync.broker import Broker, on_broker
from yousync.dlq.letters import Filter, as_line, as_text, facts, parse_time, short, visible
from yousync.dlq.work import Act, count, find, settle

T = TypeVar("T")

SERVICES = sorted({queue.service for queue in QUEUES})

app = typer.Typer(
    no_args_is_help=True,
    help="Dead letters: messages that nobody retries by itself any more. Works on BROKER_URL, else on the fleet in STATE_DIR.",
)


def _time(text: str) -> datetime:
    try:
        return parse_time(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _service(name: str) -> str:
    if name not in SERVICES:
        raise typer.BadParameter(f"{name!r} consumes nothing; those that do: {', '.join(SERVICES)}")
    return name


Service = Annotated[str | None, typer.Option(parser=_service, help="Whose dead letters; default: everybody's")]
Queue = Annotated[str, typer.Option(help="Only those that died in this queue")]
Group = Annotated[str, typer.Option(help="Only this group, as `list` prints it: reason:exception:event type")]
Job = Annotated[str, typer.Option(help="Only those of this job")]
Since = Annotated[datetime | None, typer.Option(parser=_time, help="Died since then: 2026-11-23T04:05 (UTC), or 2h ago")]
Until = Annotated[datetime | None, typer.Option(parser=_time, help="Died until then")]
Id = Annotated[list[str] | None, typer.Option("--id", help="Only this message; may be given more than once")]
Json = Annotated[bool, typer.Option("--json", help="For programs")]
Limit = Annotated[int, typer.Option(min=1, help="At most so many")]
Rate = Annotated[float, typer.Option(min=0.01, help="So many a second: what comes back is work beside the live work")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only tell what would be done")]


@app.command("list")
def list_groups(
    service: Service = None,
    queue: Queue = "",
    group: Group = "",
    job: Job = "",
    since: Since = None,
    until: Until = None,
    ids: Id = None,
    for_programs: Json = False,
) -> None:
    """Count the dead letters by what killed them. Nothing is taken or changed."""
    which = Filter(queue, group, job, since, until, frozenset(ids or ()))
    groups = _on_graveyard(lambda yard: count(yard, _services(service), which)).largest_first()
    if for_programs:
        typer.echo(json.dumps([each.as_json() for each in groups], indent=2, ensure_ascii=False))
        return
    for each in groups:
        typer.echo(visible(f"{each.count:>6}  {each.queue}  {each.name}"))
        typer.echo(visible(f"        {short(each.first)} to {short(each.last)}  {each.error[:200]}"))
    typer.echo(f"{sum(each.count for each in groups)} dead letters in {len(groups)} groups" if groups else "No dead letters.")


@app.command()
def show(
    service: Service = None,
    queue: Queue = "",
    group: Group = "",
    job: Job = "",
    since: Since = None,
    until: Until = None,
    ids: Id = None,
    limit: Limit = 10,
    for_programs: Json = False,
) -> None:
    """Show dead letters whole: why, when, and what was in them. Nothing is taken or changed."""
    which = Filter(queue, group, job, since, until, frozenset(ids or ()))
    found, more = _on_graveyard(lambda yard: find(yard, _services(service), which, limit))
    for number, (owner, letter) in enumerate(found):
        if for_programs:
            typer.echo(_json_line(owner, letter))
            continue
        if number:
            typer.echo("")
        for line in as_text(owner, letter):
            typer.echo(line)
    if more:
        typer.echo(f"There are more than these {limit}: --limit shows more of them.", err=True)
    _end(len(found), which)


@app.command()
def redrive(
    service: Service = None,
    queue: Queue = "",
    group: Group = "",
    job: Job = "",
    since: Since = None,
    until: Until = None,
    ids: Id = None,
    limit: Limit = 100,
    rate: Rate = 20.0,
    dry_run: DryRun = False,
    for_programs: Json = False,
) -> None:
    """Send dead letters back to the queue they died in, as first attempts.

    One that is interrupted may leave a letter in both places, which inboxes catch, and never in none. What dies again
    meanwhile is left for the next time.
    """
    which = Filter(queue, group, job, since, until, frozenset(ids or ()))
    _settle(service, which, Act.REDRIVE, limit=limit, rate=rate, dry=dry_run, for_programs=for_programs)


@app.command()
def drop(
    service: Service = None,
    queue: Queue = "",
    group: Group = "",
    job: Job = "",
    since: Since = None,
    until: Until = None,
    ids: Id = None,
    limit: Limit = 100,
    rate: Rate = 1000.0,
    yes: Annotated[bool, typer.Option("--yes", help="Really; without it nothing is dropped and the exit code is 2")] = False,
    dry_run: DryRun = False,
    for_programs: Json = False,
) -> None:
    """Throw dead letters away for good. `show --json` saves them before."""
    which = Filter(queue, group, job, since, until, frozenset(ids or ()))
    _settle(service, which, Act.DROP, limit=limit, rate=rate, dry=dry_run or not yes, for_programs=for_programs)
    if not yes and not dry_run:
        typer.echo("Nothing was dropped: say --yes.", err=True)
        raise typer.Exit(2)


def _settle(service: str | None, which: Filter, act: Act, *, limit: int, rate: float, dry: bool, for_programs: bool) -> None:
    word = {Act.REDRIVE: "redriven", Act.DROP: "dropped"}[act]
    outcome = f"would be {word}" if dry else word

    def tell(owner: str, letter: DeadLetter, problem: str) -> None:
        if for_programs:
            typer.echo(_json_line(owner, letter, outcome="stays" if problem else outcome, problem=problem))
        else:
            typer.echo(f"{as_line(letter)}  -> {f'stays: {visible(problem)}' if problem else outcome}")

    done = _on_graveyard(lambda yard: settle(yard, _services(service), which, act, limit=limit, rate=rate, tell=tell, dry=dry))
    stayed = f", {done.stayed} stay" if done.stayed else ""
    more = f"; more match: --limit does more than {limit}" if done.more else ""
    typer.echo(f"{done.settled} {outcome}{stayed}{more}", err=for_programs)
    if done.stayed:
        raise typer.Exit(1)
    _end(done.settled, which)


def _end(found: int, which: Filter) -> None:
    """Somebody who names a message wants to know when it is not there; a filter may match nothing."""
    if not found:
        typer.echo("No dead letter matches.", err=True)
        if which.ids:
            raise typer.Exit(1)


def _json_line(owner: str, letter: DeadLetter, **more: str) -> str:
    return json.dumps({**facts(owner, letter), **more}, ensure_ascii=False)


def _on_graveyard(work: Callable[[Graveyard], Awaitable[T]]) -> T:
    async def open_and_work(broker: Broker) -> T:
        async with open_graveyard(broker.amqp_url, name="yousync dlq") as graveyard:
            return await work(graveyard)

    return on_broker(open_and_work)


def _services(service: str | None) -> list[str]:
    return [service] if service else SERVICES
