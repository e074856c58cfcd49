"""What a file is, told by its first bytes. Names and declared types are the client's claims and are not looked at."""

from dataclasses import dataclass

# Enough for every signature below, and for an MP4's `ftyp` box, which comes first.
HEAD_BYTES = 64


@dataclass(frozen=True, slots=True)
class AudioType:
    """A container that an analysis server can be asked to open."""

    media_type: str
    extension: str


WAV = AudioType("audio/wav", "wav")
FLAC = AudioType("audio/flac", "flac")
OGG = AudioType("audio/ogg", "ogg")
MP3 = AudioType("audio/mpeg", "mp3")
WEBM = AudioType("audio/webm", "webm")
MP4 = AudioType("audio/mp4", "m4a")

# ISO base media files with sound; pictures (avif, heic) have brands of their own
_MP4_BRANDS = (b"M4A", b"M4B", b"mp4", b"isom", b"iso", b"dash", b"MSNV", b"3gp", b"qt  ")
_EBML = b"\x1a\x45\xdf\xa3"


def sniff(head: bytes) -> AudioType | None:
    """The type of a file that begins with `head`, or None when it is no audio of ours. `HEAD_BYTES` are looked at."""
    head = head[:HEAD_BYTES]
    if head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE":
        return WAV
    if head.startswith(b"fLaC"):
        return FLAC
    if head.startswith(b"OggS"):
        return OGG
    # The document type lies anywhere in the EBML header, which in every known writer is shorter than this.
    if head.startswith(_EBML) and (b"webm" in head or b"matroska" in head):
        return WEBM
    if head[4:8] == b"ftyp" and head[8:12].startswith(_MP4_BRANDS):
        return MP4
    if head.startswith(b"ID3") or _is_mpeg_audio_frame(head):
        return MP3
    return None


def _is_mpeg_audio_frame(head: bytes) -> bool:
    """ISO/IEC 11172-3, 2.4.1.3: 11 set bits of sync, then version, layer, bit rate and sampling rate, none reserved."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return False
    version, layer = head[1] >> 3 & 0b11, head[1] >> 1 & 0b11
    bit_rate, sampling_rate = head[2] >> 4, head[2] >> 2 & 0b11
    return version != 0b01 and layer == 0b01 and bit_rate not in (0b0000, 0b1111) and sampling_rate != 0b11
