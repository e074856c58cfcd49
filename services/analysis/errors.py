"""Everything that is expected to go wrong while a take is scored.

    YouSyncError
    ├── AudioError            the bytes cannot be scored, now or later
    │   ├── AudioEmpty            nothing was sent
    │   ├── AudioTooLarge         more bytes than a line may have
    │   ├── AudioTooShort         less sound than one syllable
    │   ├── AudioUnsupported      no container or codec that we open
    │   ├── AudioUnreadable       the right container, but damaged beyond use
    │   ├── RecordingGone         the link to it leads nowhere (any more)
    │   └── TakeRefused           the analysis server behind the bridge does not take it
    ├── ScoringUnavailable    the machinery failed, another try may succeed
    │   ├── ScoringTimedOut       the worker process took too long and was killed
    │   ├── ScoringCrashed        the worker process died or answered nonsense
    │   ├── RecordingUnreachable  the object store does not give it at the moment
    │   └── PoolClosed            the pool is shutting down
    └── ServerUnavailable     the analysis server behind the bridge failed, another try may succeed
        ├── ServerUnreachable     no connection
        ├── ServerFailed          an error, an answer that nobody can read, or the connection broke
        ├── ServerBusy            it asks for patience
        └── ServerSilent          neither answer nor webhook in time

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


class TakeRefused(AudioError):
    """The analysis server behind the bridge says that this job is not to be asked again."""

    code = "analysis_server_refused"


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


class ServerUnavailable(YouSyncError):
    """The analysis server behind the bridge did not do its work. The text is for operators and names no address."""

    kind = Kind.UNAVAILABLE
    code: ClassVar[str] = "analysis_server_unavailable"


class ServerUnreachable(ServerUnavailable):
    """No connection could be made."""

    code = "analysis_server_unreachable"


class ServerFailed(ServerUnavailable):
    """It answered with an error or with what nobody can read, or its connection broke."""

    code = "analysis_server_failed"


class ServerBusy(ServerUnavailable):
    """It asks to come again, in `seconds` if it says when."""

    code = "analysis_server_busy"

    def __init__(self, detail: str, seconds: float | None) -> None:
        super().__init__(detail)
        self.seconds = seconds


class ServerSilent(ServerUnavailable):
    """Nothing was heard of it in time."""

    code = "analysis_server_silent"


AUDIO_ERRORS: dict[str, type[AudioError]] = {
    error.code: error for error in (AudioEmpty, AudioTooLarge, AudioTooShort, AudioUnsupported, AudioUnreadable)
}
"""By code, for errors that cross a process boundary as text."""
