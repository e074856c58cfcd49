"""Untrusted bytes -> mono float32 samples at 16 kHz.

The container is chosen by its magic bytes and only that one demuxer is opened: left to guess, FFmpeg takes a crafted
SDP or playlist for media and connects to the network. Runs only in a worker process (see `services.analysis.pool`).
"""

import io
from dataclasses import dataclass
from enum import StrEnum
from math import ceil
from typing import Final

import av
import numpy as np
import soundfile

from services.analysis.errors import AudioEmpty, AudioTooLarge, AudioTooShort, AudioUnreadable, AudioUnsupported
from services.analysis.scoring.result import Flag
from services.analysis.scoring.types import Samples

SAMPLE_RATE: Final = 16_000
"""Hz; what the acoustic model was trained on."""
MAX_SECONDS: Final = 30.0
"""A line of a scene is rarely longer than 10 s; beyond this the rest is left out and the result says so."""
MAX_SCENE_SECONDS: Final = 120.0
"""Of a recording whose script is longer: scenes are clips of 10 to 60 s."""
MIN_SECONDS: Final = 0.2
"""Shorter than one spoken syllable."""
MAX_BYTES: Final = 32 * 1024 * 1024
"""120 s of stereo 32-bit PCM at 32 kHz; the client sends 16-bit mono (12 MB for 120 s)."""
RATES: Final = range(8_000, 192_001)
CHANNELS: Final = range(1, 9)
SNDFILE_CODECS: Final = frozenset(
    {"PCM_U8", "PCM_S8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"} | {"VORBIS", "OPUS", "MPEG_LAYER_III"}
)
"""libsndfile's names; its rarely used decoders (GSM, ADPCM, ..) stay shut."""
FFMPEG_CODECS: Final = frozenset({"opus", "vorbis", "aac", "alac", "mp3", "mp3float", "flac", "pcm_s16le"})
"""FFmpeg's names of what browsers and phones put into WebM and MP4."""
MAX_DAMAGED_PACKETS: Final = 50
"""A closing tab costs a packet or two; a file with this many undecodable ones is not worth more time."""
_BLOCK_SECONDS: Final = 1


class Container(StrEnum):
    """The containers that are opened, by the name of the one demuxer for it."""

    WAV = "wav"
    FLAC = "flac"
    OGG = "ogg"
    MP3 = "mp3"
    MATROSKA = "matroska"
    MOV = "mov"


@dataclass(frozen=True, slots=True)
class Recording:
    """What was recorded: `samples` as the engine hears them, and where they came from."""

    samples: Samples
    container: Container
    codec: str
    source_rate: int
    """Hz"""
    source_channels: int
    flags: frozenset[Flag]

    @property
    def seconds(self) -> float:
        return len(self.samples) / SAMPLE_RATE


def sniff(data: bytes) -> Container | None:
    """The container by its first bytes, None when it is none that we open."""
    if data[:4] in (b"RIFF", b"RF64") and data[8:12] == b"WAVE":
        return Container.WAV
    if data[:4] == b"fLaC":
        return Container.FLAC
    if data[:4] == b"OggS":
        return Container.OGG
    if data[:4] == b"\x1aE\xdf\xa3":  # EBML; WebM is a profile of Matroska
        return Container.MATROSKA
    if data[4:8] == b"ftyp":
        return Container.MOV
    if data[:3] == b"ID3" or _starts_with_mpeg_layer_3(data):
        return Container.MP3
    return None


def _starts_with_mpeg_layer_3(data: bytes) -> bool:
    """Frame header of ISO/IEC 11172-3: eleven sync bits, layer III, no reserved version, bit rate or sample rate."""
    if len(data) < 4 or data[0] != 0xFF or data[1] & 0xE0 != 0xE0:
        return False
    version, layer, bit_rate, rate = data[1] >> 3 & 3, data[1] >> 1 & 3, data[2] >> 4, data[2] >> 2 & 3
    return version != 1 and layer == 1 and bit_rate != 15 and rate != 3


def decode(data: bytes, max_seconds: float = MAX_SECONDS) -> Recording:
    """Decode at most `max_seconds` of `data`; of a damaged file whatever decodes is kept and flagged.

    Raises AudioEmpty, AudioTooLarge, AudioTooShort, AudioUnsupported or AudioUnreadable.
    """
    if not data:
        raise AudioEmpty("The recording is empty.")
    if len(data) > MAX_BYTES:
        raise AudioTooLarge(f"The recording has {len(data)} bytes; {MAX_BYTES} are the most that is accepted.")
    container = sniff(data)
    if container is None:
        raise AudioUnsupported("This is no audio file of a kind that can be scored: WAV, FLAC, OGG, MP3, WebM or M4A.")
    read = _read_with_ffmpeg if container in (Container.MATROSKA, Container.MOV) else _read_with_sndfile
    try:
        recording = read(data, container, max_seconds)
    except (soundfile.SoundFileError, av.FFmpegError, ValueError, OverflowError, MemoryError) as error:
        raise AudioUnreadable(f"The {container} file is damaged and cannot be read.") from error
    if recording.seconds < MIN_SECONDS:
        raise AudioTooShort(f"The recording holds {recording.seconds:.2f} s of sound; {MIN_SECONDS} s is the least.")
    return recording


def _read_with_sndfile(data: bytes, container: Container, max_seconds: float) -> Recording:
    with soundfile.SoundFile(io.BytesIO(data)) as file:
        _check_stream(file.subtype, SNDFILE_CODECS, file.samplerate, file.channels)
        blocks: list[Samples] = []
        damaged = False
        for _ in range(ceil(max_seconds / _BLOCK_SECONDS)):
            try:
                block = file.read(_BLOCK_SECONDS * file.samplerate, dtype="float32", always_2d=True)
            except soundfile.SoundFileError:
                damaged = True
                break
            if not len(block):
                break
            damaged |= not np.isfinite(block).all()
            blocks.append(_in_range(block).mean(axis=1))
        samples = np.concatenate(blocks) if blocks else np.zeros(0, np.float32)
        resampler = _resampler()
        frames = resampler.resample(_frame(samples, file.samplerate)) + resampler.resample(None) if len(samples) else []
        blocks = [_to_samples(frame) for frame in frames]
        return _recording(blocks, max_seconds, container, file.subtype, file.samplerate, file.channels, damaged)


def _read_with_ffmpeg(data: bytes, container: Container, max_seconds: float) -> Recording:
    # Both lists guard the same door: should a demuxer of a future FFmpeg open a second file, it finds no protocol.
    options = {"format_whitelist": container.value, "protocol_whitelist": "none", "probesize": "1000000"}
    with av.open(io.BytesIO(data), mode="r", format=container.value, metadata_errors="ignore", options=options) as file:
        if not file.streams.audio:
            raise AudioUnsupported("The file has no sound in it.")
        stream = file.streams.audio[0]
        decoder = stream.codec_context
        if decoder is None:  # FFmpeg has no decoder for what the file claims to hold
            raise AudioUnsupported("Sound encoded like this is not supported.")
        codec, rate, channels = decoder.name, decoder.sample_rate, decoder.channels
        _check_stream(codec, FFMPEG_CODECS, rate, channels)
        decoder.thread_count = 1
        resampler = _resampler()
        blocks: list[Samples] = []
        length = damaged_packets = 0
        packets = file.demux(stream)
        while length < max_seconds * SAMPLE_RATE and damaged_packets < MAX_DAMAGED_PACKETS:
            try:
                packet = next(packets, None)
                if packet is None:
                    break
                for frame in packet.decode():
                    frame.pts = None
                    for resampled in resampler.resample(frame):
                        blocks.append(_to_samples(resampled))
                        length += len(blocks[-1])
            except av.FFmpegError:
                damaged_packets += 1
        blocks += [_to_samples(frame) for frame in resampler.resample(None)]
        return _recording(blocks, max_seconds, container, codec, rate, channels, damaged_packets > 0)


def _check_stream(codec: str, known: frozenset[str], rate: int, channels: int) -> None:
    if codec not in known:
        raise AudioUnsupported(f"Sound encoded as {codec} is not supported.")
    if rate not in RATES or channels not in CHANNELS:
        raise AudioUnsupported(f"{channels} channels at {rate} Hz are not supported.")


def _resampler() -> av.AudioResampler:
    return av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)


def _frame(samples: Samples, rate: int) -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(samples[np.newaxis], format="flt", layout="mono")
    frame.sample_rate = rate
    return frame


def _to_samples(frame: av.AudioFrame) -> Samples:
    return frame.to_ndarray().reshape(-1).astype(np.float32)


def _in_range(samples: Samples) -> Samples:
    """Floating-point files may hold anything; -1..1 is full scale."""
    return np.clip(np.nan_to_num(samples, nan=0.0, posinf=1.0, neginf=-1.0), -1.0, 1.0)


def _recording(
    blocks: list[Samples], max_seconds: float, container: Container, codec: str, rate: int, channels: int, damaged: bool
) -> Recording:
    most = int(max_seconds * SAMPLE_RATE)
    samples = np.concatenate(blocks)[:most] if blocks else np.zeros(0, np.float32)
    told = {
        Flag.DAMAGED: damaged or not np.isfinite(samples).all(),
        Flag.TOO_LONG: len(samples) == most,
    }
    flags = frozenset(flag for flag, raised in told.items() if raised)
    return Recording(_in_range(samples), container, codec, rate, channels, flags)
