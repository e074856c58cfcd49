"""Files of every kind we serve, and files that somebody made to break us."""

import io
import random
import socket
from collections.abc import Callable
from typing import cast

import av
import numpy as np
import pytest
import soundfile

from services.analysis.errors import (
    AudioEmpty,
    AudioError,
    AudioTooLarge,
    AudioTooShort,
    AudioUnreadable,
    AudioUnsupported,
)
from services.analysis.scoring.decode import MAX_BYTES, SAMPLE_RATE, Container, decode, sniff
from services.analysis.scoring.result import Flag
from services.analysis.scoring.types import Samples, Vector
from tests.services.analysis.conftest import samples_of, wav


def encoded(samples: Samples, container: str, subtype: str | None = None, rate: int = SAMPLE_RATE) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=container, subtype=subtype)
    return file.getvalue()


def recorded(samples: Samples, container: str, codec: str, rate: int, **options: str) -> bytes:
    """As a browser's or a phone's recorder would send it."""
    file = io.BytesIO()
    with av.open(file, mode="w", format=container, options=options) as output:
        stream = cast(av.AudioStream, output.add_stream(codec, rate=rate, options={}))
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(samples[np.newaxis].astype(np.float32), format="flt", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        resampler = av.AudioResampler(format=stream.format, layout="mono", rate=rate, frame_size=stream.frame_size or 0)
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            output.mux(stream.encode(part))
        output.mux(stream.encode(None))
    return file.getvalue()


def alikeness(a: Samples, b: Samples) -> float:
    """Correlation of how loudness goes over time (50 ms windows), shifted by whatever a codec delays: 1 for the same speech."""

    def loudness(samples: Samples) -> Vector:
        steps = np.convolve(np.abs(samples), np.hanning(800), "same")[::80]
        return np.asarray((steps - steps.mean()) / np.linalg.norm(steps - steps.mean()), np.float64)

    return float(np.correlate(loudness(a), loudness(b), "full").max())


ENCODERS: dict[str, tuple[Container, Callable[[Samples], bytes]]] = {
    "wav": (Container.WAV, wav),
    "wav of 32-bit floats": (Container.WAV, lambda x: encoded(x, "WAV", "FLOAT")),
    "flac": (Container.FLAC, lambda x: encoded(x, "FLAC")),
    "ogg vorbis": (Container.OGG, lambda x: encoded(x, "OGG", "VORBIS")),
    "ogg opus": (Container.OGG, lambda x: encoded(x, "OGG", "OPUS")),
    "mp3": (Container.MP3, lambda x: encoded(x, "MP3")),
    "webm opus": (Container.MATROSKA, lambda x: recorded(x, "webm", "libopus", 48_000)),
    "m4a aac": (Container.MOV, lambda x: recorded(x, "mp4", "aac", 44_100)),
    "fragmented mp4, as Safari records": (
        Container.MOV,
        lambda x: recorded(x, "mp4", "aac", 48_000, movflags="frag_keyframe+empty_moov+default_base_moof"),
    ),
}


@pytest.fixture(scope="module")
def speech() -> Samples:
    return samples_of("script-1")


@pytest.mark.parametrize("kind", ENCODERS)
def test_what_people_record_is_decoded_to_what_was_said(speech: Samples, kind: str) -> None:
    container, encode = ENCODERS[kind]
    recording = decode(encode(speech))
    assert recording.container is container
    assert recording.samples.dtype == np.float32
    assert recording.seconds == pytest.approx(len(speech) / SAMPLE_RATE, abs=0.15)  # codecs pad
    assert recording.flags == frozenset()
    assert alikeness(recording.samples, speech) > 0.98
    assert alikeness(recording.samples, samples_of("script-2")) < 0.9


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000, 96_000])
def test_any_rate_becomes_16_khz_at_the_same_pitch(rate: int) -> None:
    tone = np.sin(2 * np.pi * 440 * np.arange(rate) / rate) / 2
    samples = decode(wav(tone.astype(np.float32), rate)).samples
    assert len(samples) == pytest.approx(SAMPLE_RATE, rel=0.01)
    assert np.abs(np.fft.rfft(samples[:SAMPLE_RATE])).argmax() == pytest.approx(440, abs=5)


def test_stereo_is_mixed_to_one_channel() -> None:
    left, right = np.full(SAMPLE_RATE, 0.5, np.float32), np.full(SAMPLE_RATE, -0.1, np.float32)
    recording = decode(wav(np.stack([left, right], axis=1)))
    assert recording.source_channels == 2
    assert float(recording.samples[SAMPLE_RATE // 2]) == pytest.approx(0.2, abs=0.01)


@pytest.mark.parametrize("kind", ["wav", "flac", "ogg vorbis", "webm opus"])
def test_only_the_first_30_seconds_are_kept_and_it_is_said(kind: str) -> None:
    rng = np.random.default_rng(1)
    long = (0.1 * rng.standard_normal(31 * SAMPLE_RATE)).astype(np.float32)
    recording = decode(ENCODERS[kind][1](long))
    assert recording.seconds == 30.0
    assert Flag.TOO_LONG in recording.flags


@pytest.mark.parametrize("kind", ["wav", "flac", "ogg vorbis", "mp3", "webm opus"])
def test_of_a_recording_that_was_cut_off_the_beginning_is_kept(speech: Samples, kind: str) -> None:
    data = ENCODERS[kind][1](speech)
    recording = decode(data[: len(data) * 2 // 3])
    assert 0.3 * len(speech) < len(recording.samples) < 0.9 * len(speech)


def test_a_cut_m4a_has_no_index_and_is_unreadable(speech: Samples) -> None:
    data = ENCODERS["m4a aac"][1](speech)
    with pytest.raises(AudioUnreadable):
        decode(data[: len(data) // 2])


def test_samples_that_are_no_numbers_become_silence_and_it_is_said() -> None:
    broken = np.full(SAMPLE_RATE, 0.1, np.float32)
    broken[100:200] = np.nan
    broken[300:400] = np.inf
    recording = decode(encoded(broken, "WAV", "FLOAT"))
    assert np.isfinite(recording.samples).all()
    assert np.abs(recording.samples).max() <= 1.0
    assert Flag.DAMAGED in recording.flags


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", AudioEmpty),
        (b"RIFF" + bytes(MAX_BYTES), AudioTooLarge),
        (b"To be, or not to be", AudioUnsupported),
        (b"MZ\x90\x00\x03" + bytes(2000), AudioUnsupported),
        (b"\x7fELF" + bytes(2000), AudioUnsupported),
        (b"%PDF-1.7" + bytes(2000), AudioUnsupported),
        (b"\xff\xd8\xff\xe0" + bytes(2000), AudioUnsupported),
        (b"RIFF\x00\x00\x00\x00WAVE", AudioUnreadable),
        (b"fLaC", AudioUnreadable),
        (b"OggS" + bytes(100), AudioUnreadable),
        (b"\x1aE\xdf\xa3" + bytes(100), AudioUnreadable),
        (b"\x00\x00\x00\x20ftypM4A " + bytes(100), AudioUnreadable),
        (b"ID3\x04" + bytes(2000), AudioUnreadable),
        (wav(np.zeros(1000, np.float32)), AudioTooShort),
        (wav(np.zeros(0, np.float32)), AudioTooShort),
        (wav(np.zeros(2000, np.float32), rate=4_000), AudioUnsupported),
        (wav(np.zeros((2000, 12), np.float32)), AudioUnsupported),
        (encoded(np.zeros(9600, np.float32), "WAV", "GSM610", 8_000), AudioUnsupported),
    ],
)
def test_what_cannot_be_scored_is_refused_by_name(data: bytes, error: type[AudioError]) -> None:
    with pytest.raises(error) as caught:
        decode(data)
    assert str(caught.value)


def test_a_video_without_sound_is_refused() -> None:
    file = io.BytesIO()
    with av.open(file, mode="w", format="matroska") as output:
        stream = output.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 16, 16, "yuv420p"
        output.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")))
        output.mux(stream.encode(None))
    with pytest.raises(AudioUnsupported, match="no sound"):
        decode(file.getvalue())


def test_files_that_point_elsewhere_never_make_us_call_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as trap:
        trap.setblocking(False)
        port = trap.getsockname()[1]
        url = f"http://127.0.0.1:{port}/x.wav"
        crafted = [
            f"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\n",
            f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{url}\n#EXT-X-ENDLIST\n",
            f"ffconcat version 1.0\nfile {url}\n",
            f"[playlist]\nFile1={url}\nNumberOfEntries=1\n",
            f'<MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><BaseURL>{url}</BaseURL></MPD>',
        ]
        disguises = [b"", b"\x1aE\xdf\xa3", b"\x00\x00\x00\x18ftypM4A ", b"ID3\x04\x00\x00\x00\x00\x00\x00", b"OggS"]
        for text in crafted:
            for disguise in disguises:
                with pytest.raises(AudioError):
                    decode(disguise + text.encode())
        with pytest.raises(BlockingIOError):
            trap.accept()


@pytest.mark.parametrize("kind", ENCODERS)
def test_damaged_files_are_decoded_or_refused_by_name(speech: Samples, kind: str) -> None:
    data = ENCODERS[kind][1](speech[: SAMPLE_RATE // 2])
    rng = random.Random(kind)
    for _ in range(60):
        damaged = bytearray(data)
        for _ in range(rng.choice([1, 4, 32, 256])):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        if rng.random() < 0.3:
            del damaged[rng.randrange(len(damaged)) :]
        if rng.random() < 0.2:
            at = rng.randrange(len(damaged) + 1)
            damaged[at:at] = rng.randbytes(rng.randrange(1, 200))
        try:
            samples = decode(bytes(damaged)).samples
        except AudioError:
            continue
        assert np.isfinite(samples).all()


def test_an_mpeg_header_of_another_layer_is_not_taken_for_mp3() -> None:
    assert sniff(b"\xff\xfb\x90\x00") is Container.MP3
    assert sniff(b"\xff\xf1\x50\x80") is None  # AAC in ADTS
    assert sniff(b"\xff\xff\xff\xff") is None
