"""What the pool and its scoring processes say to each other: frames of 4 bytes length (big-endian) and a body.

Pool -> process: one JSON frame `{"words": [...], "line_start": ..., "path": ...}`, then one frame with the recording's
bytes (empty when `path` names a file). Process -> pool: JSON frames with exactly one key, `ready`, `progress`, `result`,
`audio_error` or `failure`. No pickle: the process opens hostile files, and what comes out of it must stay mere data.
"""

import json
import struct
from typing import Any, Final

HEADER: Final = struct.Struct(">I")
MAX_ANSWER_BYTES: Final = 8 * 1024 * 1024
"""A result has about 60 KB (most of it the pitch of 30 s)."""


def pack(body: bytes) -> bytes:
    """One frame."""
    return HEADER.pack(len(body)) + body


def pack_json(value: dict[str, Any], *, allow_nan: bool = False) -> bytes:
    """One frame with a JSON body. A job may hold NaN, for catalogues do; a result may not, no client could read it."""
    return pack(json.dumps(value, allow_nan=allow_nan).encode())
