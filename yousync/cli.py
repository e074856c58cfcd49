"""The `yousync` command: start a platform on this machine, and do to a running one what an operator does."""

import asyncio
import json
import signal
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from yousync.acts import acts
from yousync.admin import app as admin
from yousync.audit.commands import app as audit
from yousync.catalog.commands import app as catalog
from yousync.client import Client
from yousync.dlq.commands import app as dlq
from yousync.doctor.commands import doctor
from yousync.keys import app as keys
from yousync.local.process import LocalServerError
from yousync.terminal import complain, console, options, run
from yousync.topology.commands import app as topology

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
fleet = typer.Typer(no_args_is_help=True, help="Every service in a process of its own on this machine.")
app.add_typer(admin, name="admin")
app.add_typer(audit, name="audit")
app.add_typer(catalog, name="catalog")
app.add_typer(fleet, name="fleet")
app.add_typer(dlq, name="dlq")
app.add_typer(keys, name="keys")
app.add_typer(topology, name="topology")
app.command()(acts)
app.command()(doctor)

Url = Annotated[str | None, typer.Option(help="Where the platform answers; default http://127.0.0.1:PORT")]


@app.command()
def up() -> None:
    """Run the platform in this terminal until Ctrl-C (PORT, HOST, STATE_DIR, BROKER_URL, DATABASE_URL, STORAGE_URL)."""
    from yousync.embedded import embedded_platform

    chosen = options()

    async def serve() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        async with embedded_platform(chosen) as url:
            console.print(f"YouSync answers at {url}  (documentation: {url}/docs, health: {url}/health)")
            console.print(f"State is in {chosen.state_dir}; Ctrl-C ends it.")
            await stop.wait()
            console.print("Ending ...")

    run(serve())


@app.command()
def demo(
    take: Annotated[Path | None, typer.Option(envvar="TAKE", help="A recording: wav, flac, ogg, mp3, webm, m4a")] = None,
    script: Annotated[int, typer.Option(envvar="SCRIPT", help="Which line of the sample catalogue it speaks")] = 1,
) -> None:
    """Upload one recording of a line, show the live progress, print the scores word by word."""
    from yousync.demo import run_demo
    from yousync.embedded import embedded_platform

    chosen = options()

    async def show() -> None:
        if await _answers(chosen.base_url):
            console.print(f"Using the platform that runs at {chosen.base_url}")
            await run_demo(chosen.base_url, take=take, script_id=script, console=console)
            console.print(f"Look at it: {chosen.base_url}/docs")
            return
        async with embedded_platform(chosen) as url:
            await run_demo(url, take=take, script_id=script, console=console)
        console.print(f"Start it with `make up`, then look at {chosen.base_url}/docs")

    run(show())


@app.command()
def token(
    email: Annotated[str, typer.Option(help="Whom to sign in; made if unknown")],
    admin: Annotated[bool, typer.Option("--admin", help="Make them an administrator")] = False,
    url: Url = None,
) -> None:
    """Print a bearer token of a running development platform."""

    async def sign_in() -> None:
        async with Client(url or options().base_url) as client:
            typer.echo(await client.sign_in(email, admin=admin))

    run(sign_in())


@app.command()
def trace(
    job: Annotated[str, typer.Argument(help="Its id, as the upload's answer and every log line have it")],
    as_json: Annotated[bool, typer.Option("--json", help="For programs")] = False,
) -> None:
    """Tell everything that happened to a job, and where it is stuck (exit 1: stuck or unknown; exit 2: could not look).

    Looks at the databases and the broker of STATE_DIR, or of <SERVICE>_DATABASE_URL (DATABASE_URL) and BROKER_URL.
    """
    from yousync.stores import find_stores
    from yousync.trace.gather import gather
    from yousync.trace.show import show
    from yousync.trace.story import tell

    try:
        story = tell(uvloop.run(gather(find_stores(options()), job)))
    except LocalServerError as error:
        complain(str(error))
        raise typer.Exit(2) from error
    if as_json:
        typer.echo(json.dumps(story.as_json(), indent=2, ensure_ascii=False))
    else:
        show(story, console)
    raise typer.Exit(1 if story.stuck else 0)


@fleet.command("up")
def fleet_up() -> None:
    """Start every service that does not run yet, each with STATE_DIR/run/<service>.pid and .log."""
    from yousync.fleet import run_folder, start_fleet

    chosen = options()

    async def start() -> None:
        addresses = await start_fleet(chosen)
        for name, address in addresses.items():
            console.print(f"  {name:<9} {address.url}")
        console.print(f"YouSync answers at {chosen.base_url}; logs and pids are in {run_folder(chosen)}")

    run(start())


@fleet.command("down")
def fleet_down() -> None:
    """Stop the services of this state folder, and the private servers that were started for them."""
    from yousync.fleet import stop_fleet

    chosen = options()
    run(stop_fleet(chosen))
    console.print(f"Nothing of {chosen.state_dir} runs any more.")


async def _answers(url: str) -> bool:
    async with Client(url) as client:
        return await client.is_healthy()


if __name__ == "__main__":
    app()
