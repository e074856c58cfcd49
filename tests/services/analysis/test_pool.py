"""Whatever happens in a scoring process stays there, and the next take is scored."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Callable
from itertools import cycle
from pathlib import Path

import pytest

from services.analysis.errors import AudioUnsupported, PoolClosed, ScoringCrashed, ScoringTimedOut
from services.analysis.pool import ScoringPool
from services.analysis.scoring.analyze import Analyzer
from services.analysis.scoring.script import ScriptWord
from services.analysis.settings import AnalysisSettings
from tests.services.analysis.conftest import SAMPLES, Lines, quietly, take

TAKE = SAMPLES / "takes" / "script-9.flac"


def settings(processes: int = 1, timeout: float = 30.0) -> AnalysisSettings:
    return AnalysisSettings(scoring_processes=processes, scoring_timeout=timeout)


@pytest.fixture
async def pool() -> AsyncIterator[ScoringPool]:
    async with ScoringPool(settings()) as pool:
        yield pool


def scorers(parent: int = os.getpid()) -> list[int]:
    """Process ids of the scoring processes that this (or another) process has started and that still live."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [int(pid) for pid in children if is_scorer(int(pid))]


def is_scorer(pid: int) -> bool:
    """False as well for a process that has ended, whether or not its status was taken."""
    try:
        return b"services.analysis.scorer" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return False


async def end_of(pid: int) -> None:
    """Returns when the scoring process has ended."""
    while is_scorer(pid):
        await asyncio.sleep(0.01)


def strike(signal_number: signal.Signals, step: str = "listen") -> Callable[[int, str], None]:
    """A listener to progress that sends a signal to the scoring process when it begins `step`."""

    def listen(percent: int, begun: str) -> None:
        if begun == step:
            for pid in scorers():
                os.kill(pid, signal_number)

    return listen


async def test_a_take_is_scored_as_the_engine_scores_it(pool: ScoringPool, analyzer: Analyzer, lines: Lines) -> None:
    alone = analyzer.analyze(take("script-9"), lines[9], quietly).to_json()
    for audio in (TAKE, take("script-9")):
        result = await pool.score(audio, lines[9])
        assert result["overall_score"] == alone["overall_score"] > 0.8
        assert [word["word"] for word in result["word_analysis"]] == [word.word for word in lines[9]]


async def test_a_script_with_broken_numbers_is_scored_without_them(pool: ScoringPool, lines: Lines) -> None:
    nan, inf = float("nan"), float("inf")
    broken = cycle([(nan, 1.0), (0.0, inf)])
    words = [ScriptWord(w.word, w.id, *times, mfcc=[[nan] * 13] * 9) for w, times in zip(lines[9], broken, strict=False)]
    result = await pool.score(TAKE, words)
    assert result["summary"]["text_accuracy"] == 1.0
    assert "no_script_times" in result["quality"]["flags"]


async def test_progress_is_told_while_the_loop_stays_free(pool: ScoringPool, lines: Lines) -> None:
    told: list[int] = []
    turns = 0

    async def spin() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0.001)

    spinning = asyncio.create_task(spin())
    await pool.score(TAKE, lines[9], lambda percent, step: told.append(percent))
    spinning.cancel()
    assert told == [5, 20, 60, 75, 90]
    assert turns > 20


async def test_as_many_takes_as_processes_are_scored_at_once(lines: Lines) -> None:
    running: set[int] = set()
    most = 0

    async def score(pool: ScoringPool, number: int) -> None:
        def listen(percent: int, step: str) -> None:
            nonlocal most
            running.add(number)
            most = max(most, len(running))

        await pool.score(TAKE, lines[9], listen)
        running.discard(number)

    async with ScoringPool(settings(processes=2)) as pool:
        await asyncio.gather(*(score(pool, number) for number in range(6)))
    assert most == 2


async def test_a_bad_recording_is_named_and_costs_no_process(pool: ScoringPool, lines: Lines) -> None:
    before = scorers()
    with pytest.raises(AudioUnsupported, match="no audio file"):
        await pool.score(b"MZ this is a program", lines[9])
    assert (await pool.score(TAKE, lines[9]))["overall_score"] > 0.8
    assert scorers() == before


async def test_a_recording_that_is_not_there_is_a_failure_of_ours(pool: ScoringPool, lines: Lines) -> None:
    with pytest.raises(ScoringCrashed):
        await pool.score(Path("/nowhere/take.wav"), lines[9])


@pytest.mark.parametrize("fatal", [signal.SIGKILL, signal.SIGSEGV])
async def test_a_process_that_dies_fails_its_take_and_the_next_one_is_scored(
    pool: ScoringPool, lines: Lines, fatal: signal.Signals
) -> None:
    with pytest.raises(ScoringCrashed) as caught:
        await pool.score(TAKE, lines[9], strike(fatal))
    assert caught.value.retryable
    assert (await pool.score(TAKE, lines[9]))["overall_score"] > 0.8


async def test_a_process_that_died_while_idle_is_replaced_unnoticed(pool: ScoringPool, lines: Lines) -> None:
    (pid,) = scorers()
    os.kill(pid, signal.SIGKILL)
    await end_of(pid)
    await asyncio.sleep(0.1)  # the event loop takes the exit status in a thread of its own
    assert (await pool.score(TAKE, lines[9]))["overall_score"] > 0.8


async def test_a_process_that_hangs_is_ended_and_the_next_take_is_scored(lines: Lines) -> None:
    async with ScoringPool(settings(timeout=4)) as pool:
        (hung,) = scorers()
        with pytest.raises(ScoringTimedOut) as caught:
            await pool.score(TAKE, lines[9], strike(signal.SIGSTOP))
        assert caught.value.retryable
        assert (await pool.score(TAKE, lines[9]))["overall_score"] > 0.8
        assert hung not in scorers()


async def test_cancelling_ends_the_work_and_the_next_take_is_scored(pool: ScoringPool, lines: Lines) -> None:
    (pid,) = scorers()
    begun = asyncio.Event()
    scoring = asyncio.create_task(pool.score(TAKE, lines[9], lambda percent, step: begun.set()))
    await begun.wait()
    scoring.cancel()
    with pytest.raises(asyncio.CancelledError):
        await scoring
    assert (await pool.score(TAKE, lines[9]))["overall_score"] > 0.8
    assert pid not in scorers()


async def test_a_listener_that_fails_is_not_blamed_on_the_take(pool: ScoringPool, lines: Lines) -> None:
    def listen(percent: int, step: str) -> None:
        raise KeyError(step)

    with pytest.raises(KeyError):
        await pool.score(TAKE, lines[9], listen)
    assert (await pool.score(TAKE, lines[9]))["overall_score"] > 0.8


async def test_closing_ends_running_work_and_refuses_more(lines: Lines) -> None:
    pool = ScoringPool(settings())
    await pool.start()
    begun = asyncio.Event()
    running = asyncio.create_task(pool.score(TAKE, lines[9], lambda percent, step: begun.set()))
    waiting = asyncio.create_task(pool.score(TAKE, lines[9]))
    await begun.wait()
    async with asyncio.timeout(2):
        await pool.close()
    for task in (running, waiting):
        with pytest.raises(PoolClosed):
            await task
    with pytest.raises(PoolClosed):
        await pool.score(TAKE, lines[9])
    assert scorers() == []


async def test_a_scoring_process_is_given_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROKER_URL", "amqp://user:secret@127.0.0.1/")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    async with ScoringPool(settings()):
        (pid,) = scorers()
        environment = await asyncio.to_thread(Path(f"/proc/{pid}/environ").read_bytes)
        assert b"secret" not in environment
        assert b"PYTHONPATH" in environment


def test_a_scoring_process_can_neither_outgrow_its_memory_nor_write_a_file(tmp_path: Path) -> None:
    script = f"""
        from services.analysis.scorer import limit
        limit(512)
        try:
            bytearray(1 << 30)
        except MemoryError:
            print("no memory")
        try:
            open({str(tmp_path / "x")!r}, "w", buffering=1).write("text\\n")
        except OSError:
            print("no file")
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, cwd=SAMPLES.parent).stdout
    assert printed.split("\n")[:2] == ["no memory", "no file"]


async def test_scoring_processes_end_when_the_server_is_killed() -> None:
    script = """
        import asyncio
        from services.analysis.pool import ScoringPool
        from services.analysis.settings import AnalysisSettings

        async def main():
            async with ScoringPool(AnalysisSettings(scoring_processes=1)):
                print("ready", flush=True)
                await asyncio.sleep(60)

        asyncio.run(main())
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    server = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, cwd=SAMPLES.parent)
    assert server.stdout is not None
    assert await server.stdout.readline() == b"ready\n"
    (pid,) = scorers(server.pid)
    server.kill()
    await server.wait()
    async with asyncio.timeout(5):
        await end_of(pid)
