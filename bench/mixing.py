"""What a dubbing costs: time, processor and memory of its mixing process, for short and long scenes."""

import asyncio
import os
import re
import resource
import time
from collections.abc import AsyncIterator
from pathlib import Path

from services.audio.mixer import Mixer
from services.audio.settings import AudioSettings
from tests.services.audio.tones import file_of, noise, tone

SCENES = ((10.0, 2), (60.0, 12), (300.0, 60))  # seconds, takes
TAKE_SECONDS = 4.0
PIECE = 256 * 1024
LOOK_SECONDS = 0.005
MB = 1_000_000


async def stored(file: bytes) -> AsyncIterator[bytes]:
    """As a store gives it."""
    for begin in range(0, len(file), PIECE):
        yield file[begin : begin + PIECE]


async def mix(seconds: float, takes: int) -> str:
    """Mix a scene in which the takes follow one another; the figures of it."""
    settings = AudioSettings()
    mixer = Mixer(seconds=settings.mixing_seconds, memory_mib=settings.mixing_memory_mib)
    background, take = file_of(tone(seconds)), file_of(noise(TAKE_SECONDS, 1))
    voices = [(stored(take), [[number * seconds / takes, 0.0, TAKE_SECONDS]]) for number in range(takes)]
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    watching = asyncio.create_task(peak())
    mixed = await mixer.mix(seconds, stored(background), voices)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return f"{seconds:7.0f} {takes:7} {wall:9.2f} {processor:9.2f} {await watching:9.0f} {len(mixed.file) / MB:9.2f}"


async def peak() -> float:
    """Peak resident memory in MB of the one process that this one starts, until it ends (proc(5), VmHWM)."""
    highest = 0.0
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        memory = re.search(r"VmHWM:\s+(\d+) kB", child_status())
        if memory is not None:
            highest = max(highest, int(memory[1]) * 1024 / MB)
        elif highest:
            return highest


def child_status() -> str:
    """What the kernel says of the process; nothing before it began and after its end."""
    try:
        pid = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().strip()
        command = Path(f"/proc/{pid}/cmdline").read_text()
        return Path(f"/proc/{pid}/status").read_text() if "mixing_process" in command else ""
    except OSError:
        return ""


async def main() -> None:
    print(f"{'scene s':>7} {'takes':>7} {'wall s':>9} {'CPU s':>9} {'peak MB':>9} {'file MB':>9}")
    for seconds, takes in SCENES:
        print(await mix(seconds, takes), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
