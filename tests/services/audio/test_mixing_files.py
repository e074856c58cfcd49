"""Whatever recorders write is read where it was recorded, nothing else is, and browsers can play what comes out."""

import io
import struct
from typing import Literal

import av
import numpy as np
import pytest

from services.audio.mixing import RATE, Sound
from services.audio.mixing_files import Unreadable, decode, encode
from services.audio.mixing_wire import MEDIA_TYPE
from services.audio.sniffing import sniff
from tests.services.audio.tones import file_of, heard, level_of_tone, noise, place_of, tone

VOICE = noise(1.0, 1)
LATE = np.concatenate([np.zeros((1, RATE), np.float32), VOICE, np.zeros((1, RATE), np.float32)], axis=1)


def browser_file(sound: Sound, container: str, codec: Literal["aac", "libopus"]) -> bytes:
    """As a browser's recorder writes it."""
    buffer = io.BytesIO()
    with av.open(buffer, mode="w", format=container) as file:
        stream = file.add_stream(codec, rate=RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray(sound, format="flt", layout="mono")
        frame.sample_rate, frame.pts = RATE, 0
        resampler = av.AudioResampler(format=stream.format, frame_size=stream.codec_context.frame_size)
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            file.mux(stream.encode(piece))
        file.mux(stream.encode(None))
    return buffer.getvalue()


FILES = {
    "wav": file_of(LATE),
    "wav of floats": file_of(LATE, subtype="FLOAT"),
    "wav at 16 kHz": file_of(LATE, rate=16_000),
    "flac": file_of(LATE, container="FLAC"),
    "ogg vorbis": file_of(LATE, container="OGG", subtype="VORBIS"),
    "ogg opus": file_of(LATE, container="OGG", subtype="OPUS"),
    "webm": browser_file(LATE, "webm", "libopus"),
    "m4a": browser_file(LATE, "mp4", "aac"),
}


@pytest.mark.parametrize("name", FILES)
def test_every_kind_of_recording_is_heard_when_and_as_loud_as_it_was_recorded(name: str) -> None:
    place, whole = place_of(VOICE, decode(FILES[name], 10.0))
    assert place == pytest.approx(1.0, abs=0.005)
    assert whole == pytest.approx(1.0, abs=0.1)


def test_mp3_begins_a_little_late_as_its_encoders_do() -> None:
    place, whole = place_of(VOICE, decode(file_of(LATE, container="MP3", subtype="MPEG_LAYER_III"), 10.0))
    assert place == pytest.approx(1.0, abs=0.03)
    assert whole == pytest.approx(1.0, abs=0.1)


def test_no_more_is_decoded_than_is_asked_for() -> None:
    assert decode(FILES["wav"], 0.5).shape == (1, RATE // 2)


def test_more_than_two_channels_become_one() -> None:
    assert decode(file_of(np.tile(VOICE, (6, 1))), 1.0).shape == (1, RATE)


def test_numbers_that_no_loudspeaker_can_play_are_made_playable() -> None:
    broken = np.array([[np.nan, np.inf, -np.inf, 7.0, 0.5]], np.float32)
    assert decode(file_of(broken, subtype="FLOAT"), 1.0).tolist() == [[0.0, 1.0, -1.0, 1.0, 0.5]]


@pytest.mark.parametrize("name", ["wav", "flac", "webm"])
def test_of_a_damaged_recording_the_rest_is_heard(name: str) -> None:
    whole = FILES[name]
    sound = decode(whole[: len(whole) * 2 // 3], 10.0)
    assert place_of(VOICE[:, : RATE // 2], sound)[0] == pytest.approx(1.0, abs=0.005)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello",
        FILES["wav"][:44],
        FILES["webm"][:200],
        b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:1/secret.ts\n",
        b"v=0\nc=IN IP4 127.0.0.1\nm=audio 5004 RTP/AVP 0\n",
        b"RIFF" + struct.pack("<I", 36) + b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 0, 0, 0, 0, 0) + b"data\0\0\0\0",
        b"RIFF\xff\xff\xff\xffWAVE" + bytes(range(256)) * 8,
        b"\x1aE\xdf\xa3webm" + b"\xff" * 4096,
        b"\0\0\0\x18ftypM4A " + b"\xff" * 4096,
        file_of(VOICE, subtype="IMA_ADPCM"),  # a decoder that nobody needs stays shut
    ],
)
def test_what_holds_no_sound_of_a_known_kind_is_refused(data: bytes) -> None:
    with pytest.raises(Unreadable):
        decode(data, 10.0)


def test_a_process_without_memory_does_not_blame_the_recording(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory(*_: object, **__: object) -> None:
        raise av.error.MemoryError(12, "Cannot allocate memory")

    monkeypatch.setattr(av, "open", no_memory)
    with pytest.raises(MemoryError):
        decode(FILES["wav"], 1.0)


def test_what_was_mixed_is_heard_when_it_was_mixed() -> None:
    sound = np.tile(LATE, (2, 1)) + tone(3.0)
    played = heard(encode(sound))
    assert played.shape[1] / RATE == pytest.approx(3.0, abs=0.03)
    place, whole = place_of(VOICE, played)
    assert place == pytest.approx(1.0, abs=0.001)
    assert whole == pytest.approx(1.0, abs=0.05)
    assert level_of_tone(played, 0.1, 0.9) == pytest.approx(0.2, rel=0.02)


@pytest.mark.parametrize("seconds", [0.01, 1.0, 60.0])
def test_a_player_can_begin_with_the_first_bytes(seconds: float) -> None:
    file = encode(np.zeros((2, round(seconds * RATE)), np.float32))
    kind = sniff(file)
    assert kind is not None
    assert kind.media_type == MEDIA_TYPE
    assert 0 < file.index(b"moov") < file.index(b"mdat")
