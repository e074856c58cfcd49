"""A mixing process: `python -m services.audio.mixing_process MEMORY_MIB`, one per dubbing, started by `mixer.Mixer`.

It opens what strangers send, so it holds no secret (it is given a bare environment), writes no file, and lives within a memory
limit. One that hangs, crashes or leaks takes nothing with it.
"""

import json
import os
import resource
import signal
import sys
from typing import BinaryIO, Final

from services.audio.mixing import Mix
from services.audio.mixing_files import Unreadable, decode, encode
from services.audio.mixing_wire import HEADER, Order, pack, pack_json

MAX_RECORDING_BYTES: Final = 64 * 1024 * 1024
"""Five minutes of 48 kHz stereo WAV; of takes the upload sees to it."""
NICENESS: Final = 10
"""Whoever uploads or listens beside it goes first."""


def mixed(order: Order, recordings: BinaryIO) -> bytes:
    """The frames of the answer."""
    mix = Mix(order["seconds"])
    background = order["background"]
    if background:
        try:
            mix.lay_background(decode(_recording(recordings), order["seconds"]))
        except Unreadable:  # the learner is not to blame for it, and their own voice is what they want to hear
            background = False
    for index, parts in enumerate(order["voices"]):
        try:
            voice = decode(_recording(recordings), max(skip + seconds for _, skip, seconds in parts))
        except Unreadable as error:
            return pack_json({"unreadable": {"voice": index, "why": str(error)}})
        for at, skip, seconds in parts:
            mix.lay_voice(voice, at=at, skip=skip, seconds=seconds)
    return pack_json({"mixed": {"background": background}}) + pack(encode(mix.finished()))


def _recording(pipe: BinaryIO) -> bytes:
    data = bytearray()
    while piece := _frame(pipe):
        if len(data) <= MAX_RECORDING_BYTES:
            data += piece
    if len(data) > MAX_RECORDING_BYTES:
        raise Unreadable(f"more than {MAX_RECORDING_BYTES} bytes")
    return bytes(data)


def _frame(pipe: BinaryIO) -> bytes:
    header = pipe.read(HEADER.size)
    if len(header) < HEADER.size:
        raise EOFError
    (length,) = HEADER.unpack(header)
    body = pipe.read(length)
    if len(body) < length:
        raise EOFError
    return body


def limit(memory_mib: int) -> None:
    """Let this process grow to `memory_mib` of address space, write no file and leave no core dump behind."""
    resource.setrlimit(resource.RLIMIT_AS, (memory_mib << 20, memory_mib << 20))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))
    os.nice(NICENESS)


def main() -> None:
    # Codec libraries print to stdout and stderr as they please; the pipes are moved out of their reach.
    recordings, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    limit(int(sys.argv[1]))
    try:
        order: Order = json.loads(_frame(recordings))
        # Should this process hang in native code after whoever started it has died, nobody else would end it.
        signal.setitimer(signal.ITIMER_REAL, order["timeout"])
        answer = mixed(order, recordings)
    except EOFError:
        sys.exit("nobody waits any more")
    except Exception as error:
        answer = pack_json({"failure": f"{type(error).__name__}: {error}"})
    answers.write(answer)
    answers.flush()


if __name__ == "__main__":
    main()
