"""What can go wrong in catalog, by name.

YouSyncError
├── TokenNotFound, ScriptNotFound, UrlNotFound     there is no such thing
├── NoActorOfToken                                 the scene is linked to no actor
├── BadPage                                        a cursor that no list of ours gave, or that says nothing here
├── ActorExists                                    somebody has this name
├── InvalidField         what is to be written cannot be; names the field
├── ChangedMeanwhile     it is not any more as the caller has seen it
├── AlreadyBookmarked    the caller has this bookmark
├── RequestNotFound      there is no such video request, or it is somebody else's
├── AlreadyUnderReview   a person's second request at a time
├── UnknownStatus        no word for what may become of a request
├── NotRejected          a request that may not be deleted
├── BadDocument          an import document says something that cannot be; names the entry
├── DocumentTooLarge     it has more bytes than are accepted
└── ImportRunning        somebody else imports at this moment
"""

from libs.common.errors import Kind, YouSyncError


class NotFound(YouSyncError):
    """Nothing has this id."""

    kind = Kind.NOT_FOUND


class TokenNotFound(NotFound):
    """No scene has this id."""

    code = "token_not_found"

    def __init__(self) -> None:
        super().__init__("Token not found")


class ScriptNotFound(NotFound):
    """No line has this id."""

    code = "script_not_found"

    def __init__(self) -> None:
        super().__init__("Script not found")


class UrlNotFound(NotFound):
    """No scene is cut from this film."""

    code = "url_not_found"

    def __init__(self) -> None:
        super().__init__("URL not found")


class NoActorOfToken(NotFound):
    """The scene is linked to no actor, so nothing is related to it."""

    code = "no_actor_of_token"

    def __init__(self) -> None:
        super().__init__("해당 토큰과 연결된 배우를 찾을 수 없습니다.")


class BadPage(YouSyncError):
    """What is asked for is no page of this list."""

    kind = Kind.UNPROCESSABLE
    code = "bad_page"

    def __init__(self, detail: str = "`after` is no cursor of this list: begin without it, then follow `Link`") -> None:
        super().__init__(detail)


class ActorExists(YouSyncError):
    """An actor of this name is there, whatever its case."""

    kind = Kind.INVALID
    code = "actor_exists"

    def __init__(self) -> None:
        super().__init__("Actor already exists")


class InvalidField(YouSyncError):
    """What is to be written does not fit together; `field` is the part of it that is wrong."""

    kind = Kind.UNPROCESSABLE
    code = "validation"

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(detail)
        self.field = field


class ChangedMeanwhile(YouSyncError):
    """Somebody else changed it after the caller had read it; nothing was written."""

    kind = Kind.PRECONDITION
    code = "changed_meanwhile"

    def __init__(self) -> None:
        super().__init__("it was changed meanwhile: read it again, then send the change with its new ETag")


class AlreadyBookmarked(YouSyncError):
    """The caller has bookmarked this scene before."""

    kind = Kind.CONFLICT
    code = "already_bookmarked"

    def __init__(self) -> None:
        super().__init__("Already bookmarked - Detected by explicit check")


class RequestNotFound(NotFound):
    """There is no such video request, or none of the caller's."""

    code = "request_not_found"

    def __init__(self) -> None:
        super().__init__("요청을 찾을 수 없습니다.")


class AlreadyUnderReview(YouSyncError):
    """Another request of the same person is under review."""

    kind = Kind.INVALID
    code = "already_under_review"

    def __init__(self) -> None:
        super().__init__("이미 심사중인 요청이 있습니다.")


class UnknownStatus(YouSyncError):
    """A request cannot have this status."""

    kind = Kind.INVALID
    code = "unknown_status"

    def __init__(self) -> None:
        super().__init__("상태는 심사중, 승인됨, 거절됨 중 하나여야 합니다.")


class NotRejected(YouSyncError):
    """Only a request that was rejected can be deleted."""

    kind = Kind.INVALID
    code = "not_rejected"

    def __init__(self) -> None:
        super().__init__("거절된 요청만 삭제할 수 있습니다.")


class BadDocument(YouSyncError):
    """The import document cannot be taken; `detail` names the first entry that is wrong. Nothing was changed."""

    kind = Kind.UNPROCESSABLE
    code = "bad_document"


class DocumentTooLarge(YouSyncError):
    """The import document has too many bytes."""

    kind = Kind.TOO_LARGE
    code = "document_too_large"

    def __init__(self, limit: int) -> None:
        super().__init__(f"an import document may have {limit} bytes; split it by scenes")


class ImportRunning(YouSyncError):
    """One import at a time: two could each be right and together wrong."""

    kind = Kind.CONFLICT
    code = "import_running"

    def __init__(self) -> None:
        super().__init__("another import is running, please try again when it has finished")
