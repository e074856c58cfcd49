"""Between files and sound, for the mixing process: hostile bytes in, a file that every browser plays out."""

import io
from typing import Final

import av
import numpy as np

from services.audio.mixing import RATE, Sound
from services.audio.sniffing import FLAC, HEAD_BYTES, MP3, MP4, OGG, WAV, WEBM, sniff

BIT_RATE: Final = 160_000
"""Bits a second of AAC-LC in stereo, at which FFmpeg's own encoder is hard to tell from the original."""

# The one demuxer that is opened for each kind of file. Left to guess, FFmpeg takes a crafted SDP or playlist for media and
# connects to the network.
_DEMUXERS: Final = {WAV: "wav", FLAC: "flac", OGG: "ogg", MP3: "mp3", WEBM: "matroska", MP4: "mov"}
# FFmpeg's names of what recorders write; its rarely used decoders stay shut.
_CODECS: Final = frozenset(
    {"opus", "vorbis", "aac", "alac", "mp3", "mp3float", "flac"}
    | {"pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_f64le", "pcm_mulaw", "pcm_alaw"}
)
_RATES: Final = range(8_000, 192_001)
_CHANNELS: Final = range(1, 9)
_MAX_DAMAGED_PACKETS: Final = 50
"""A closing tab costs a packet or two; a file with this many undecodable ones is not worth more time."""
_FRAME_SAMPLES: Final = 1024  # of AAC


class Unreadable(Exception):
    """There is no sound in these bytes that could be mixed."""


def decode(data: bytes, max_seconds: float) -> Sound:
    """At most `max_seconds` of the recording, in one or two channels; of a damaged one what can be decoded.

    Raises Unreadable.
    """
    kind = sniff(data[:HEAD_BYTES])
    if kind is None:
        raise Unreadable("no audio file of a known kind")
    try:
        return _decode(data, _DEMUXERS[kind], max_seconds)
    except MemoryError:  # FFmpeg has one of its own; where there is more memory it can be decoded
        raise
    except (av.FFmpegError, ValueError, OverflowError) as error:
        raise Unreadable(f"{kind.media_type}: {error}") from error


def _decode(data: bytes, demuxer: str, max_seconds: float) -> Sound:
    # Both lists guard the same door: should a demuxer of a future FFmpeg open a second file, it finds no protocol.
    options = {"format_whitelist": demuxer, "protocol_whitelist": "none", "probesize": "1000000"}
    with av.open(io.BytesIO(data), mode="r", format=demuxer, metadata_errors="ignore", options=options) as file:
        stream = next(iter(file.streams.audio), None)
        decoder = None if stream is None else stream.codec_context
        if stream is None or decoder is None or decoder.name not in _CODECS:
            raise Unreadable("no sound, or encoded in a way that is not supported")
        if decoder.sample_rate not in _RATES or decoder.channels not in _CHANNELS:
            raise Unreadable(f"{decoder.channels} channels at {decoder.sample_rate} Hz are not supported")
        decoder.thread_count = 1
        # FFmpeg's own mixing of channels makes stereo 3 dB louder than mono; here it only changes the rate.
        resampler = av.AudioResampler(format="fltp", rate=RATE)
        wanted, length, damaged = round(max_seconds * RATE), 0, 0
        pieces: list[Sound] = []
        packets = file.demux(stream)
        while length < wanted and damaged < _MAX_DAMAGED_PACKETS:
            try:
                packet = next(packets, None)
                if packet is None:
                    break
                for frame in packet.decode():
                    frame.pts = None
                    for resampled in resampler.resample(frame):
                        pieces.append(_samples(resampled))
                        length += resampled.samples
            except av.FFmpegError:
                damaged += 1
        if not pieces:
            raise Unreadable("nothing could be decoded")
        pieces += [_samples(resampled) for resampled in resampler.resample(None)]
    sound = np.concatenate(pieces, axis=1)[:, :wanted]
    del pieces  # as much memory as the sound
    if len(sound) > 2:
        sound = sound.mean(axis=0, keepdims=True)
    # Floating-point files may hold anything.
    np.nan_to_num(sound, copy=False, nan=0.0, posinf=1.0, neginf=-1.0)
    return np.clip(sound, -1.0, 1.0, out=sound)


def _samples(frame: av.AudioFrame) -> Sound:
    return frame.to_ndarray().astype(np.float32, copy=False)


def encode(sound: Sound) -> bytes:
    """An M4A file (AAC-LC, stereo, 48 kHz), its index first, so that a player begins with the first bytes."""
    buffer = io.BytesIO()
    length = sound.shape[1]
    # Room for the index before the sound: a few kilobytes, and 24 bytes for each frame of it.
    room = 4096 + 24 * (length // _FRAME_SAMPLES + 8)
    with av.open(buffer, mode="w", format="mp4", options={"moov_size": str(room)}) as file:
        stream = file.add_stream("aac", rate=RATE, layout="stereo")
        stream.bit_rate = BIT_RATE
        for begin in range(0, length, RATE):
            piece = np.ascontiguousarray(sound[:, begin : begin + RATE])
            frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout="stereo")
            frame.sample_rate, frame.pts = RATE, begin
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return buffer.getvalue()
