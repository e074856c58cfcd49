"""Whatever happens in a mixing process stays there."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from libs.common.storage.base import ObjectNotFound, StorageUnavailable
from services.audio.dubbing_errors import MixingCrashed, MixingTimedOut
from services.audio.mixer import Mixed, Mixer, UnusableVoice
from tests.services.audio.tones import file_of, heard, level_of_tone, noise, place_of, tone

VOICE = noise(1.0, 1)
WAV = file_of(VOICE)
AT_1 = [[1.0, 0.0, 1.0]]


def mixer(*, seconds: float = 100.0, memory_mib: int = 2048) -> Mixer:
    return Mixer(seconds=seconds, memory_mib=memory_mib)


async def stored(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def failing(error: Exception) -> AsyncIterator[bytes]:
    for piece in list[bytes]():
        yield piece
    raise error


def processes() -> list[int]:
    """Mixing processes that this process has started and whose status nobody took."""
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    return [int(pid) for pid in children if b"mixing_process" in proc(int(pid), "cmdline")]


async def striking(signal_number: signal.Signals) -> AsyncIterator[bytes]:
    """A recording that is too long for a pipe; in its midst the process that reads it is struck by a signal."""
    for begun in range(20):
        if begun == 3:
            for pid in processes():
                os.kill(pid, signal_number)
        yield bytes(2**20)


async def endless() -> AsyncIterator[bytes]:
    """A recording that never ends."""
    yield WAV
    await asyncio.Event().wait()


def proc(pid: int, name: str) -> bytes:
    """What the kernel says of a process, nothing of one that is gone."""
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


async def test_a_scene_is_mixed_from_what_arrives_in_pieces() -> None:
    mixed = await mixer().mix(4.0, stored(file_of(tone(4.0))), [(stored(WAV[:5], b"", WAV[5:]), AT_1)])
    assert mixed.background
    sound = heard(mixed.file)
    assert place_of(VOICE, sound)[0] == pytest.approx(1.0, abs=0.005)
    assert level_of_tone(sound, 2.1, 4.0) == pytest.approx(0.2, rel=0.05)


async def test_of_one_recording_several_parts_are_heard() -> None:
    mixed = await mixer().mix(4.0, None, [(stored(WAV), [[0.5, 0.0, 0.5], [3.0, 0.5, 0.5]])])
    sound = heard(mixed.file)
    assert place_of(VOICE[:, :24_000], sound)[0] == pytest.approx(0.5, abs=0.005)
    assert place_of(VOICE[:, 24_000:], sound)[0] == pytest.approx(3.0, abs=0.005)


@pytest.mark.parametrize("background", [stored(b"no sound"), stored(), failing(ObjectNotFound("gone"))])
async def test_a_background_that_cannot_be_read_is_left_out(background: AsyncIterator[bytes]) -> None:
    mixed = await mixer().mix(3.0, background, [(stored(WAV), AT_1)])
    assert not mixed.background
    assert place_of(VOICE, heard(mixed.file))[1] == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("voice", [stored(b"no sound" * 100_000), failing(ObjectNotFound("gone"))])
async def test_a_voice_that_cannot_be_read_is_named(voice: AsyncIterator[bytes]) -> None:
    with pytest.raises(UnusableVoice) as unusable:
        await mixer().mix(3.0, None, [(stored(WAV), AT_1), (voice, AT_1), (stored(WAV), AT_1)])
    assert unusable.value.number == 1


async def test_a_store_that_does_not_answer_is_no_fault_of_the_recording() -> None:
    with pytest.raises(StorageUnavailable):
        await mixer().mix(3.0, None, [(failing(StorageUnavailable("away")), AT_1)])
    assert processes() == []


async def test_a_process_that_dies_takes_nothing_with_it() -> None:
    with pytest.raises(MixingCrashed, match="-11"):
        await mixer().mix(3.0, None, [(striking(signal.SIGSEGV), AT_1)])
    assert processes() == []


async def test_a_process_that_hangs_is_ended() -> None:
    with pytest.raises(MixingTimedOut):
        await mixer(seconds=1.0).mix(3.0, None, [(striking(signal.SIGSTOP), AT_1)])
    assert processes() == []


async def test_a_process_that_needs_too_much_memory_fails_alone() -> None:
    with pytest.raises(MixingCrashed):
        await mixer(memory_mib=512).mix(3000.0, None, [(stored(WAV), AT_1)])


async def test_whoever_is_cancelled_leaves_no_process_behind() -> None:
    mixing: asyncio.Task[Mixed] = asyncio.create_task(mixer().mix(3.0, None, [(endless(), AT_1)]))
    while not processes():
        await asyncio.sleep(0.01)
    mixing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await mixing
    assert processes() == []


async def test_a_process_knows_no_secret_and_writes_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIO_SECRET", "secret")
    seen: list[bytes] = []

    async def looked() -> AsyncIterator[bytes]:
        [pid] = processes()
        seen.extend((proc(pid, "environ"), proc(pid, "limits")))
        yield WAV

    # two pieces larger than a pipe before it: the process reads, so it has begun
    await mixer().mix(3.0, stored(bytes(2**20), bytes(2**20)), [(looked(), AT_1)])
    assert b"secret" not in seen[0]
    [files] = [line for line in seen[1].splitlines() if line.startswith(b"Max file size")]
    assert files.split()[3:5] == [b"0", b"0"]
