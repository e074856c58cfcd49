"""Scoring in processes of their own, so that no event loop waits for it and no crash, hang or leak gets out of it."""

import asyncio
import contextlib
import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from services.analysis.errors import AUDIO_ERRORS, AudioError, PoolClosed, ScoringCrashed, ScoringTimedOut
from services.analysis.scoring.script import ScriptWord
from services.analysis.settings import AnalysisSettings
from services.analysis.wire import HEADER, MAX_ANSWER_BYTES, pack, pack_json

log = logging.getLogger(__name__)

START_SECONDS: Final = 30.0
"""Loading takes 0.3 s; a machine that needs longer than this is out of memory."""
RESTART_PAUSE_SECONDS: Final = 1.0
"""Between attempts to replace a process that does not even start."""
ALARM_MARGIN_SECONDS: Final = 5.0
"""The process's own alarm rings this long after the pool should have killed it."""
_ROOT: Final = Path(__file__).parents[2]
_INHERITED: Final = ("PATH", "LD_LIBRARY_PATH")
_ENVIRONMENT: Final = {"PYTHONPATH": str(_ROOT), "LANG": "C.UTF-8", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


class ScoringPool:
    """A fixed number of scoring processes; each scores one take at a time.

    async with ScoringPool(settings) as pool:
        result = await pool.score(path, words)
    """

    def __init__(self, settings: AnalysisSettings) -> None:
        self._settings = settings
        self._idle: asyncio.Queue[_Process | None] = asyncio.Queue()
        self._all: set[_Process] = set()
        self._replacing: set[asyncio.Task[None]] = set()
        self._closed = False

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def size(self) -> int:
        """Takes that can be scored at the same time."""
        return self._settings.scoring_processes

    async def start(self) -> None:
        """Start all processes and wait until their models are loaded. Raises ScoringCrashed when one cannot start."""
        try:
            for process in await asyncio.gather(*(self._start_process() for _ in range(self.size))):
                self._idle.put_nowait(process)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """End all processes at once, whatever they do; takes still being scored raise PoolClosed."""
        self._closed = True
        for task in self._replacing:
            task.cancel()
        await asyncio.gather(*self._replacing, return_exceptions=True)
        await asyncio.gather(*(self._end(process) for process in list(self._all)))
        self._idle.put_nowait(None)

    async def score(
        self,
        audio: bytes | Path,
        words: Sequence[ScriptWord],
        on_progress: Callable[[int, str], None] = lambda percent, step: None,
        *,
        line_start: float | None = None,
    ) -> dict[str, Any]:
        """The `AnalysisResult` of a take as plain JSON data; waits for a free process first.

        `on_progress` is called in the event loop with percent and the name of the step; `line_start`: see `Analyzer`.
        Raises AudioError (final), or ScoringTimedOut, ScoringCrashed, PoolClosed (another try may succeed). Cancelling
        ends the work at once.
        """
        process = await self._free_process()
        reusable = False
        try:
            async with asyncio.timeout(self._settings.scoring_timeout):
                result = await process.score(audio, words, line_start, self._settings.scoring_timeout, on_progress)
            reusable = True
        except AudioError:
            reusable = True
            raise
        except TimeoutError:
            raise ScoringTimedOut(f"Scoring took more than {self._settings.scoring_timeout:g} s.") from None
        except ScoringCrashed:
            if self._closed:
                raise PoolClosed("The analysis server is shutting down.") from None
            raise
        finally:
            if reusable and not self._closed:
                self._idle.put_nowait(process)
            else:
                self._replace_soon(process)
        return result

    async def _free_process(self) -> "_Process":
        while (process := await self._idle.get()) is not None:
            if process.alive:
                return process
            self._replace_soon(process)  # the kernel ended it while it was idle
        self._idle.put_nowait(None)  # for whoever waits behind
        raise PoolClosed("The analysis server is shutting down.")

    def _replace_soon(self, process: "_Process") -> None:
        if not self._closed:
            task = asyncio.create_task(self._replace(process))
            self._replacing.add(task)
            task.add_done_callback(self._replacing.discard)

    async def _replace(self, process: "_Process") -> None:
        await self._end(process)
        while True:
            try:
                self._idle.put_nowait(await self._start_process())
            except ScoringCrashed as error:
                log.error("a scoring process does not start: %s", error)
                await asyncio.sleep(RESTART_PAUSE_SECONDS)
            else:
                return

    async def _start_process(self) -> "_Process":
        process = await _Process.start(self._settings.scoring_memory_mib)
        self._all.add(process)
        try:
            async with asyncio.timeout(START_SECONDS):
                await process.ready()
        except TimeoutError:
            await self._end(process)
            raise ScoringCrashed(f"The scoring process was not ready after {START_SECONDS:g} s.") from None
        except BaseException:
            await self._end(process)
            raise
        return process

    async def _end(self, process: "_Process") -> None:
        await process.kill()
        self._all.discard(process)


class _Process:
    """One scoring process and the pipes to it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process, self._jobs, self._answers = process, process.stdin, process.stdout

    @classmethod
    async def start(cls, memory_mib: int) -> Self:
        """In a session of its own: Ctrl-C in a terminal reaches only the pool, which then decides."""
        environment = {name: os.environ[name] for name in _INHERITED if name in os.environ} | _ENVIRONMENT
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "services.analysis.scorer", str(memory_mib)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        )
        return cls(process)

    @property
    def alive(self) -> bool:
        return self._process.returncode is None

    async def ready(self) -> None:
        """Returns when the models are loaded."""
        await self._receive()

    async def score(
        self,
        audio: bytes | Path,
        words: Sequence[ScriptWord],
        line_start: float | None,
        timeout: float,
        on_progress: Callable[[int, str], None],
    ) -> dict[str, Any]:
        """One job. After anything but a result or an AudioError the process must not be used again."""
        job = {
            "path": str(audio) if isinstance(audio, Path) else None,
            "words": [asdict(word) for word in words],
            "line_start": line_start,
            "timeout": timeout + ALARM_MARGIN_SECONDS,
        }
        with contextlib.suppress(ConnectionError):  # of a process that died meanwhile; reading then tells how
            self._jobs.write(pack_json(job, allow_nan=True) + pack(audio if isinstance(audio, bytes) else b""))
            await self._jobs.drain()
        while True:
            match await self._receive():
                case {"progress": [int(percent), str(step)]}:
                    on_progress(percent, step)
                case {"result": dict(result)}:
                    return result
                case {"audio_error": {"code": str(code), "detail": str(detail)}} if code in AUDIO_ERRORS:
                    raise AUDIO_ERRORS[code](detail)
                case {"failure": failure}:
                    log.error("scoring failed: %s", failure)
                    raise ScoringCrashed("Scoring failed unexpectedly.")
                case _:
                    raise ScoringCrashed("The scoring process said something unexpected.")

    async def kill(self) -> None:
        """End it now and take its exit status; harmless when it has ended already."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        self._jobs.close()

    async def _receive(self) -> Any:
        try:
            (length,) = HEADER.unpack(await self._answers.readexactly(HEADER.size))
            if length > MAX_ANSWER_BYTES:
                raise ScoringCrashed("The scoring process said something unexpected.")
            return json.loads(await self._answers.readexactly(length))
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            status = await self._process.wait()
            raise ScoringCrashed(f"The scoring process died (exit status {status}).") from error
        except ValueError as error:
            raise ScoringCrashed("The scoring process said something unexpected.") from error
