"""Everything that is expected to go wrong while a take is scored.

    YouSyncError
    ├── AudioError            the bytes cannot be scored, now or later
    │   ├── AudioEmpty            nothing was sent
    │   ├── AudioTooLarge         more bytes than a line may have
    │   ├── AudioTooShort         less sound than one syllable
    │   ├── AudioUnsupported      no container or codec that we open
    │   ├── AudioUnreadable       the right container, but damaged beyond use
    │   └── RecordingGone         the link to it leads nowhere (any more)
    └── ScoringUnavailable    the machinery failed, another try may succeed
        ├── ScoringTimedOut       the worker process took too long and was killed
        ├── ScoringCrashed        the worker process died or answered nonsense
        ├── RecordingUnreachable  the object store does not give it at the moment
        └── PoolClosed            the pool is shutting down

What a learner merely did badly (silence, noise, another language) is a result with low scores and flags, no error. The
worker makes a result of an AudioError of the engine too (`unheard`): it would leave the web client waiting for ever.
"""

from typing import ClassVar

from libs.common.errors import Kind, YouSyncError


class AudioError(YouSyncError):
    """The recording cannot be scored as it is; trying again changes nothing."""

    kind = Kind.INVALID
    code: ClassVar[str] = "audio_invalid"


class AudioEmpty(AudioError):
    """Zero bytes."""

    code = "audio_empty"


class AudioTooLarge(AudioError):
    """More bytes than any recording of a line has."""

    kind = Kind.TOO_LARGE
    code = "audio_too_large"


class AudioTooShort(AudioError):
    """Decoded, but shorter than one syllable."""

    code = "audio_too_short"


class AudioUnsupported(AudioError):
    """No container, codec, rate or channel count that we open."""

    kind = Kind.UNSUPPORTED
    code = "audio_unsupported"


class AudioUnreadable(AudioError):
    """The container is one of ours, what is in it cannot be decoded."""

    code = "audio_unreadable"


class RecordingGone(AudioError):
    """The link that came with the work leads to no recording, and never will."""

    kind = Kind.NOT_FOUND
    code = "recording_gone"


class ScoringUnavailable(YouSyncError):
    """Scoring failed for a reason that does not lie in the recording as far as we know."""

    kind = Kind.UNAVAILABLE
    code: ClassVar[str] = "scoring_unavailable"


class ScoringTimedOut(ScoringUnavailable):
    """The worker process did not answer in time; it has been killed."""

    code = "scoring_timed_out"


class ScoringCrashed(ScoringUnavailable):
    """The worker process died, or said something that is no answer."""

    code = "scoring_crashed"


class RecordingUnreachable(ScoringUnavailable):
    """The object store does not give the recording at the moment."""

    code = "recording_unreachable"


class PoolClosed(ScoringUnavailable):
    """The pool takes no more work."""

    code = "scoring_pool_closed"


AUDIO_ERRORS: dict[str, type[AudioError]] = {
    error.code: error for error in (AudioEmpty, AudioTooLarge, AudioTooShort, AudioUnsupported, AudioUnreadable)
}
"""By code, for errors that cross a process boundary as text."""
