"""The commands: files in, files out. Exit codes: 0 done, 1 not done, 2 asked in a wrong way."""

import json
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from hashlib import sha256
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, Annotated, Any

import typer

from yousync.catalog.files import BadSceneFile, Tiers
from yousync.catalog.parts import add_up, parts_of
from yousync.client import Client, ClientError
from yousync.samples import load_catalog
from yousync.terminal import complain, options, run

app = typer.Typer(no_args_is_help=True, help="The catalogue: scenes, lines, words, actors.")

Bearer = Annotated[
    str | None, typer.Option(envvar="YOUSYNC_TOKEN", help="An administrator's bearer; default: development sign-in")
]
Url = Annotated[str | None, typer.Option(help="Where the platform answers; default http://127.0.0.1:PORT")]


@app.command("import")
def import_catalog(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A JSON document, see services/catalog/README.md")],
    bearer: Bearer = None,
    url: Url = None,
) -> None:
    """Import a catalogue: all or nothing, ids kept; importing the same file twice changes nothing.

    A file of more than 48 MiB goes in parts, each all or nothing: after an error, import it again.
    """

    async def send() -> None:
        try:
            document = load_catalog(file)
        except ValueError as error:
            raise ClientError(str(error)) from error
        await _import(document, url, bearer)

    run(send())


@app.command("export")
def export_catalog(
    file: Annotated[Path, typer.Argument(dir_okay=False, allow_dash=True, help="Where to; - is the terminal")],
    bearer: Bearer = None,
    url: Url = None,
) -> None:
    """Write the whole catalogue as it is at one moment into a file that `import` takes. All of it, or no file."""

    async def fetch() -> None:
        async with _administrator(url, bearer) as client:
            if str(file) == "-":
                async for chunk in client.export_catalog():
                    sys.stdout.buffer.write(chunk)
                return
            try:
                with _whole(file) as part:
                    async for chunk in client.export_catalog():
                        part.write(chunk)
            except OSError as error:
                raise ClientError(f"{file}: {error.strerror}") from error

    run(fetch())


@app.command()
def scene(
    textgrid: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A Praat TextGrid, see docs/scenes.md")],
    film: Annotated[str, typer.Option(help="The film's address; the scene's times are seconds into it")],
    actor: Annotated[str, typer.Option(help="Who speaks: a name or an alias that is known, or somebody new")],
    name: Annotated[str, typer.Option(help="What the scene is called; by film and name it is found again")],
    pitch: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="The melody: a Praat PitchTier, or JSON [{time, hz}]")
    ] = None,
    category: Annotated[str | None, typer.Option(help="Such as 드라마; default: as it is")] = None,
    at: Annotated[float, typer.Option(help="Seconds into the film where the files begin with 0")] = 0.0,
    words: Annotated[str | None, typer.Option(help="The tier of the words; default: words")] = None,
    lines: Annotated[
        str | None, typer.Option(help="The tier of the lines; default: lines, else a line ends at a pause")
    ] = None,
    translations: Annotated[str | None, typer.Option(help="The tier of translations; default: translation")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the document that would be imported")] = False,
    bearer: Bearer = None,
    url: Url = None,
) -> None:
    """Make a scene with its lines and words of a TextGrid, or make it anew: what did not change keeps its ids."""
    document = _scene_document(textgrid, pitch, Tiers(words, lines, translations), film=film, name=name, at=at)
    document["scenes"][0] |= {"actor_name": actor} | ({"category": category} if category is not None else {})

    async def send() -> None:
        await _import(document, url, bearer)

    if dry_run:
        typer.echo(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        run(send())


def _scene_document(textgrid: Path, pitch: Path | None, tiers: Tiers, *, film: str, name: str, at: float) -> dict[str, Any]:
    # praatio is needed by this command alone, and takes its time to load
    from yousync.catalog.melody import melody_of
    from yousync.catalog.textgrid import scene_of

    file = textgrid
    try:
        scene: dict[str, Any] = {"youtube_url": film, "token_name": name, **scene_of(textgrid.read_bytes(), tiers, at=at)}
        if pitch is None:
            return {"scenes": [scene]}
        file = pitch
        melody = melody_of(pitch.read_bytes(), at=at)
    except BadSceneFile as error:
        complain(f"{file}: {error}")
        raise typer.Exit(2) from error
    # the same scene has the same key again
    known_by = "\n".join((film, name)).encode("utf-8", "surrogateescape")
    key = f"scenes/{sha256(known_by).hexdigest()[:24]}/pitch.json"
    return {"scenes": [{**scene, "s3_pitch_url": key}], "pitch": {key: melody}}


async def _import(document: dict[str, Any], url: str | None, bearer: str | None) -> None:
    async with _administrator(url, bearer) as client:
        reports = [await client.import_catalog(part) for part in parts_of(document)]
        typer.echo(json.dumps(add_up(reports), indent=2, ensure_ascii=False))


@asynccontextmanager
async def _administrator(url: str | None, bearer: str | None) -> AsyncIterator[Client]:
    async with Client(url or options().base_url, token=bearer) as client:
        if bearer is None:
            await client.sign_in("admin@example.org", admin=True)
        yield client


@contextmanager
def _whole(file: Path) -> Iterator[IO[bytes]]:
    """What is written becomes `file` at the end; what breaks off leaves nothing behind."""
    with NamedTemporaryFile(dir=file.parent, prefix=f".{file.name}.", delete=False) as part:
        try:
            yield part
            part.flush()
            Path(part.name).replace(file)
        except BaseException:
            Path(part.name).unlink(missing_ok=True)
            raise
