"""`make demo`: one real recording through every room, shown live, printed word by word."""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from yousync.client import Client, ClientError
from yousync.samples import TAKES, load_catalog

DEMO_EMAIL = "alice@example.org"


async def run_demo(base_url: str, *, take: Path | None, script_id: int, console: Console) -> None:
    """Import the samples, sign in, upload, follow the stream, print the scores. Raises `ClientError` unless it completed."""
    take = take or TAKES / f"script-{script_id}.flac"
    if not take.is_file():
        raise ClientError(f"there is no recording {take}: name one with TAKE=path/to/take.wav")
    async with Client(base_url) as admin:
        await admin.sign_in("admin@example.org", admin=True)
        await admin.import_catalog(load_catalog())
    async with Client(base_url) as learner:
        await learner.sign_in(DEMO_EMAIL)
        script = await learner.script(script_id)
        console.print(f"The line:      [bold]{script['script']}[/bold]  (script {script_id})")
        console.print(f"The recording: {take}")
        final = await _follow(learner, await learner.upload(script_id, take), console)
        if final["status"] != "completed":
            raise ClientError(f"the analysis ended as {final['status']}: {final['message']}")
        committed = await learner.result(final["job_id"])
        if committed["result"] != final["result"]:
            raise ClientError("the result that the stream told differs from the one that can be read")
    _print_scores(final["result"]["result"], console)


async def _follow(client: Client, job_id: str, console: Console) -> dict[str, Any]:
    """Show the job's frames as a progress bar; the last frame."""
    columns = (
        TextColumn("{task.description:<24}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("waiting", total=100)
        async for frame in client.progress(job_id):
            if "error" in frame:
                raise ClientError(f"job {job_id}: {frame['error']}")
            bar.update(task, completed=frame["progress"], description=frame["message"])
            if frame["status"] in ("completed", "failed"):
                return frame
    raise ClientError(f"the stream of job {job_id} ended without a result")


def _print_scores(result: dict[str, Any], console: Console) -> None:
    table = Table("word", "score", "heard", "in time", "overlap", "intonation", title="Word by word")
    for column in table.columns[1:]:
        column.justify = "right"
    for word in result["word_analysis"]:
        table.add_row(
            word["word"],
            f"{word['word_score']:.2f}",
            "yes" if word["text_status"] == "pass" else "no",
            "yes" if word["time_match"] else "no",
            f"{word['overlap_ratio']:.2f}",
            f"{word['mfcc_similarity']:.2f}",
        )
    summary = result["summary"]
    console.print(table)
    console.print(
        f"Overall [bold]{result['overall_score']:.2f}[/bold] of 1: "
        f"{summary['passed_words']} of {summary['total_words']} words heard, {summary['time_matched_words']} in time"
    )
