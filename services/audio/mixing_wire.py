"""What a mixing process and whoever started it say to each other: frames of 4 bytes length (big-endian) and a body.

In: one JSON frame (`Order`), then each recording, the background first if there is one: frames of its bytes, and an empty one
at its end. Out: one JSON frame with one key, `mixed` (a frame with the file follows), `unreadable` or `failure`. No pickle: the
process opens hostile files, and what comes out of it must stay mere data.
"""

import json
import struct
from typing import Any, Final, TypedDict

HEADER: Final = struct.Struct(">I")
MEDIA_TYPE: Final = "audio/mp4"
"""What a dubbing is: AAC in MP4 plays in every browser, Safari included, and has a tenth of a WAV file's bytes."""
EXTENSION: Final = "m4a"
MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024
"""Forty minutes of sound at the encoder's bit rate."""


class Order(TypedDict):
    """What is to be mixed. Times are seconds."""

    seconds: float
    background: bool  # whether the first recording is the background
    voices: list[list[list[float]]]  # of each further recording its parts: at, skip, seconds (see `Mix.lay_voice`)
    timeout: float  # after which the process ends itself


def pack(body: bytes) -> bytes:
    """One frame."""
    return HEADER.pack(len(body)) + body


def pack_json(value: Any) -> bytes:
    """One frame with a JSON body."""
    return pack(json.dumps(value, allow_nan=False).encode())
