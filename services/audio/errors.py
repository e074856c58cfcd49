"""Everything that is expected to go wrong here.

    YouSyncError
    ├── ScriptNotFound            there is no such line
    ├── TokenNotFound             there is no such scene
    ├── JobNotFound               there is no such job, or it is somebody else's
    ├── JobBusy                   others change the job faster than this change gets its turn
    ├── JobEnded                  it is too late to cancel the job
    ├── NotToBeDoneOver           the job is open or has its result
    ├── RecordingGone             the recording that is to be analysed again is no longer stored
    ├── NothingToErase            the user has no recordings of the scene
    ├── NoResults                 the user has no results with a score
    ├── CatalogUnavailable        the line or scene is not known here yet and the catalogue does not answer
    ├── MalformedUpload           the request is no complete multipart form
    ├── InvalidField              a field of the form cannot be taken as it is
    │   ├── FieldMissing          the form has no such field
    │   └── EmptyUpload           the file has no bytes
    ├── BatchMismatch             a batch has more or fewer recordings than scenes
    ├── BatchTooLong              more recordings at once than are taken
    ├── UploadTooLarge            more bytes than a recording may have
    ├── UnsupportedAudio          the first bytes are of no audio format that can be analysed
    ├── InvalidIdempotencyKey     not 1..200 printable ASCII characters
    ├── IdempotencyKeyReused      the key came before with another recording
    ├── NoJobIds                  a question about jobs names none
    ├── JobIdMissing              a result is posted for no job
    ├── ResultTooLarge            a posted result has more bytes than are kept
    ├── ResultUnreadable          a posted result is no JSON object
    ├── PreprocessingUnavailable  there is no preprocessor that could make scenes of a film
    ├── WebhookUnsigned           a result is posted without the ticket that came with the work
    ├── WebhookForged             its ticket is not ours, or for another job
    └── WebhookExpired            its ticket was valid until a moment that has passed

InvalidField is answered as FastAPI answers a field that is not valid, because clients know that shape.
"""

from typing import ClassVar

from libs.common.errors import Forbidden, Kind, Unauthenticated, Unavailable, YouSyncError


class ScriptNotFound(YouSyncError):
    """There is no such line."""

    kind = Kind.NOT_FOUND
    code = "script_not_found"

    def __init__(self) -> None:
        super().__init__("Script not found")


class TokenNotFound(YouSyncError):
    """There is no such scene."""

    kind = Kind.NOT_FOUND
    code = "token_not_found"

    def __init__(self, token_id: int) -> None:
        super().__init__("Token not found")
        self.token_id = token_id


class JobNotFound(YouSyncError):
    """There is no such job, or none that the caller may see; the text depends on the path."""

    kind = Kind.NOT_FOUND
    code = "job_not_found"


class JobBusy(Unavailable):
    """Others change the job again and again between look and change."""

    code = "job_busy"

    def __init__(self) -> None:
        super().__init__("the job is being changed by many at once; try again")


class JobEnded(YouSyncError):
    """It is too late to cancel: the job has its result, or failed."""

    kind = Kind.CONFLICT
    code = "job_ended"

    def __init__(self, state: str) -> None:
        super().__init__("이미 끝난 분석은 취소할 수 없습니다.")
        self.members = {"state": state}


class NotToBeDoneOver(YouSyncError):
    """The job is still open, or it has its result."""

    kind = Kind.CONFLICT
    code = "not_to_be_done_over"

    def __init__(self, state: str) -> None:
        super().__init__("실패하거나 취소된 분석만 다시 시작할 수 있습니다.")
        self.members = {"state": state}


class RecordingGone(YouSyncError):
    """The recording that is to be analysed again is no longer stored."""

    kind = Kind.NOT_FOUND
    code = "recording_gone"

    def __init__(self) -> None:
        super().__init__("녹음 파일을 찾을 수 없습니다. 다시 녹음해 주세요.")


class NothingToErase(YouSyncError):
    """The user has no recordings of the scene or of its lines."""

    kind = Kind.NOT_FOUND
    code = "nothing_to_erase"

    def __init__(self) -> None:
        super().__init__("삭제할 분석 결과가 없습니다.")


class NoResults(YouSyncError):
    """The user has no results that have a score."""

    kind = Kind.NOT_FOUND
    code = "no_results"

    def __init__(self) -> None:
        super().__init__("분석 결과가 없습니다.")


class CatalogUnavailable(Unavailable):
    """The line or scene is not known here yet, and the catalogue does not answer."""

    code = "catalog_unavailable"

    def __init__(self) -> None:
        super().__init__("지금은 대사 정보를 확인할 수 없습니다. 잠시 후 다시 시도해 주세요.")


class MalformedUpload(YouSyncError):
    """The body is no multipart form, or it ends too early."""

    kind = Kind.INVALID
    code = "malformed_upload"


class InvalidField(YouSyncError):
    """The form's `field` cannot be taken as it is; `problem` names why, as FastAPI does."""

    kind = Kind.UNPROCESSABLE
    code = "validation"
    problem: ClassVar[str] = "value_error"

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(detail)
        self.field = field


class FieldMissing(InvalidField):
    """The form has no such field."""

    problem = "missing"

    def __init__(self, field: str) -> None:
        super().__init__(field, "Field required")


class EmptyUpload(InvalidField):
    """The file has no bytes."""

    def __init__(self, field: str = "file") -> None:
        super().__init__(field, "녹음 파일이 비어 있습니다. 다시 녹음해 주세요.")


class BatchMismatch(YouSyncError):
    """A batch has more or fewer recordings than scenes."""

    kind = Kind.INVALID
    code = "batch_mismatch"

    def __init__(self, files: int, tokens: int) -> None:
        super().__init__(f"파일 개수({files})와 토큰 ID 개수({tokens})가 다릅니다.")


class BatchTooLong(YouSyncError):
    """More recordings at once than are taken."""

    kind = Kind.TOO_LARGE
    code = "batch_too_long"

    def __init__(self, limit: int) -> None:
        super().__init__(f"한 번에 최대 {limit}개의 파일을 올릴 수 있습니다.")


class UploadTooLarge(YouSyncError):
    """More bytes than a recording may have."""

    kind = Kind.TOO_LARGE
    code = "upload_too_large"

    def __init__(self, limit: int) -> None:
        super().__init__(f"녹음 파일이 너무 큽니다. 최대 {limit:,}바이트까지 올릴 수 있습니다.")


class UnsupportedAudio(YouSyncError):
    """The first bytes are of no audio format that can be analysed."""

    kind = Kind.UNSUPPORTED
    code = "unsupported_audio"

    def __init__(self) -> None:
        super().__init__("지원하지 않는 파일 형식입니다. WAV, FLAC, OGG, MP3, WebM, M4A 녹음을 올려 주세요.")


class InvalidIdempotencyKey(YouSyncError):
    """Not 1..200 printable ASCII characters."""

    kind = Kind.INVALID
    code = "invalid_idempotency_key"

    def __init__(self) -> None:
        super().__init__("Idempotency-Key must have 1 to 200 printable ASCII characters")


class IdempotencyKeyReused(YouSyncError):
    """The key came before with another recording."""

    kind = Kind.CONFLICT
    code = "idempotency_key_reused"

    def __init__(self) -> None:
        super().__init__("this Idempotency-Key was used for another recording; send a new key with a new recording")


class WebhookUnsigned(Unauthenticated):
    """A result is posted without the ticket that came with the work."""

    code = "webhook_unsigned"

    def __init__(self) -> None:
        super().__init__("post the result to the whole webhook_url that came with the work, its ticket included")


class WebhookForged(Forbidden):
    """The ticket is not ours, or for another job."""

    code = "webhook_forged"

    def __init__(self) -> None:
        super().__init__("this ticket is not valid for this job")


class WebhookExpired(Forbidden):
    """The ticket was valid until a moment that has passed: nobody waits for the result any more."""

    code = "webhook_expired"

    def __init__(self) -> None:
        super().__init__("this ticket has expired; nobody waits for the result any more")


class NoJobIds(YouSyncError):
    """A question about jobs names none."""

    code = "no_job_ids"

    def __init__(self) -> None:
        super().__init__("job_ids가 비어있습니다")


class JobIdMissing(YouSyncError):
    """A result is posted for no job."""

    code = "job_id_missing"

    def __init__(self) -> None:
        super().__init__("job_id missing")


class ResultTooLarge(YouSyncError):
    """A posted result has more bytes than are kept."""

    kind = Kind.TOO_LARGE
    code = "result_too_large"

    def __init__(self, limit: int) -> None:
        super().__init__(f"a result may have at most {limit} bytes")


class ResultUnreadable(YouSyncError):
    """A posted result is no JSON object."""

    code = "result_unreadable"


class PreprocessingUnavailable(Unavailable):
    """Nobody is there who could make scenes of a film."""

    code = "preprocessing_unavailable"

    def __init__(self) -> None:
        super().__init__("영상 처리 서버가 설정되어 있지 않습니다. AUDIO_PREPROCESSING을 확인해 주세요.")
