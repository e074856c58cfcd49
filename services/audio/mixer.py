"""Has dubbings mixed in processes of their own, so that no event loop waits for it and no crash, hang or leak gets out."""

import asyncio
import contextlib
import json
import logging
import os
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from libs.common.storage.base import ObjectNotFound
from services.audio.dubbing_errors import MixingCrashed, MixingTimedOut
from services.audio.mixing_wire import HEADER, MAX_ANSWER_BYTES, Order, pack, pack_json

log = logging.getLogger(__name__)

ALARM_MARGIN_SECONDS: Final = 5.0
"""The process's own alarm rings this long after it should have been killed."""
_ROOT: Final = Path(__file__).parents[2]
_INHERITED: Final = ("PATH", "LD_LIBRARY_PATH")
_ENVIRONMENT: Final = {"PYTHONPATH": str(_ROOT), "LANG": "C.UTF-8", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


@dataclass(frozen=True, slots=True)
class Mixed:
    """A dubbing as a file, and whether the scene's background is in it."""

    file: bytes
    background: bool


class UnusableVoice(Exception):
    """The voice with this `number`, from 0, cannot be decoded or is no longer stored."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Mixer:
    """Mixes for at most `seconds` in at most `memory_mib`. A process per dubbing: to start one costs a third of a second."""

    def __init__(self, *, seconds: float, memory_mib: int) -> None:
        self._seconds = seconds
        self._memory_mib = memory_mib

    async def mix(
        self,
        seconds: float,
        background: AsyncIterator[bytes] | None,
        voices: Sequence[tuple[AsyncIterator[bytes], list[list[float]]]],
    ) -> Mixed:
        """The scene of `seconds` with its background and these recordings, each with its parts (`Order.voices`).

        A background that cannot be read is left out. Raises UnusableVoice of a voice that cannot be; or
        MixingTimedOut, MixingCrashed, and what reading a recording raises: then another try may succeed.
        """
        order = Order(
            seconds=seconds,
            background=background is not None,
            voices=[parts for _, parts in voices],
            timeout=self._seconds + ALARM_MARGIN_SECONDS,
        )
        process = await self._start()
        try:
            async with asyncio.timeout(self._seconds):
                with contextlib.suppress(ConnectionError):  # it has an answer already, or died; reading tells
                    await self._give(process, order, background, [recording for recording, _ in voices])
                return await self._answer(process)
        except TimeoutError:
            raise MixingTimedOut(f"mixing took more than {self._seconds:g} s") from None
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _start(self) -> asyncio.subprocess.Process:
        """In a session of its own: Ctrl-C in a terminal reaches only the service, which then decides."""
        environment = {name: os.environ[name] for name in _INHERITED if name in os.environ} | _ENVIRONMENT
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "services.audio.mixing_process", str(self._memory_mib)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        )

    async def _give(
        self,
        process: asyncio.subprocess.Process,
        order: Order,
        background: AsyncIterator[bytes] | None,
        voices: Sequence[AsyncIterator[bytes]],
    ) -> None:
        """Everything that is to be mixed, one recording after the other, no more of each in memory than a piece."""
        pipe = process.stdin
        assert pipe is not None
        pipe.write(pack_json(order))
        if background is not None:
            with contextlib.suppress(ObjectNotFound):  # deleted meanwhile: an empty one is none
                await _send(pipe, background)
            pipe.write(pack(b""))
        for number, voice in enumerate(voices):
            try:
                await _send(pipe, voice)
            except ObjectNotFound:
                raise UnusableVoice(number) from None
            pipe.write(pack(b""))
        await pipe.drain()

    async def _answer(self, process: asyncio.subprocess.Process) -> Mixed:
        assert process.stdout is not None
        try:
            match json.loads(await _receive(process.stdout)):
                case {"mixed": {"background": bool(background)}}:
                    return Mixed(await _receive(process.stdout), background)
                case {"unreadable": {"voice": int(number), "why": why}}:
                    log.info("a recording cannot be mixed", extra={"why": why})
                    raise UnusableVoice(number)
                case answer:
                    log.error("mixing failed", extra={"answer": str(answer)[:500]})
                    raise MixingCrashed("mixing failed")
        except (asyncio.IncompleteReadError, ConnectionError, ValueError) as error:
            status = await process.wait()
            raise MixingCrashed(f"the mixing process died (exit status {status})") from error


async def _send(pipe: asyncio.StreamWriter, recording: AsyncIterator[bytes]) -> None:
    async for piece in recording:
        if piece:
            pipe.write(pack(piece))
            await pipe.drain()


async def _receive(pipe: asyncio.StreamReader) -> bytes:
    (length,) = HEADER.unpack(await pipe.readexactly(HEADER.size))
    if length > MAX_ANSWER_BYTES:
        raise ValueError("a longer answer than any dubbing")
    return await pipe.readexactly(length)
