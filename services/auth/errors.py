"""What can go wrong in auth, by name.

YouSyncError
├── Unauthenticated
│   ├── UnknownUser          the token's account does not exist (any more)
│   ├── Deactivated          it exists and was switched off
│   └── SessionEnded         its session ended, or what should continue it was used before
├── SessionNotFound          the caller has no such session
├── AccountNotFound          an administrator names nobody
├── NotOneself               an administrator would lock themself out
├── SignInAgain              what cannot be undone asks for a sign-in of a moment ago
├── LastAdministrator        nobody would be left to let anybody in
├── AdminBySettings          the deployment makes somebody an administrator, no call takes it back
├── Unavailable
│   ├── ProviderUnreachable  Google, or whom the settings name in its place, does not answer as it should
│   └── SignInNotConfigured  no provider is configured here
├── SignInInterrupted        who comes back from the provider did not leave from here, or too long ago
├── UnknownReturnUrl         sign-in does not lead back to that page
├── CodeRefused              the provider does not take the code that came with the browser
├── InvalidSignInCode        the code of a sign-in was used, is too old, or belongs to another page
├── InvalidIdToken           the provider's token proves nothing to us
├── IdentityConflict         the address belongs to an account that another identity signs in to
└── AccountConflict          an imported account clashes with one that is there
"""

from libs.common.errors import Forbidden, Kind, Unauthenticated, Unavailable, YouSyncError
from libs.common.web.auth import SessionEnded as SessionEnded  # of every service that looks at sessions


class UnknownUser(Unauthenticated):
    """No account has the id that the token names."""

    code = "unknown_user"

    def __init__(self) -> None:
        super().__init__("사용자를 찾을 수 없습니다")


class Deactivated(Unauthenticated):
    """The account was switched off: it gets no answers and no new tokens."""

    code = "deactivated"

    def __init__(self, user_id: int | None = None) -> None:
        super().__init__("비활성화된 계정입니다")
        self.user_id = user_id


class SessionNotFound(YouSyncError):
    """The caller has no such live session."""

    kind = Kind.NOT_FOUND
    code = "session_not_found"

    def __init__(self) -> None:
        super().__init__("세션을 찾을 수 없습니다")


class AccountNotFound(YouSyncError):
    """There is no account with this id."""

    kind = Kind.NOT_FOUND
    code = "account_not_found"

    def __init__(self) -> None:
        super().__init__("계정을 찾을 수 없습니다")


class NotOneself(YouSyncError):
    """Administrators neither switch off nor demote themselves."""

    kind = Kind.CONFLICT
    code = "not_oneself"

    def __init__(self) -> None:
        super().__init__("자신의 계정에는 할 수 없습니다. 다른 관리자에게 요청해 주세요.")


class SignInAgain(Forbidden):
    """The session is older than what cannot be undone asks for."""

    code = "sign_in_again"

    def __init__(self) -> None:
        super().__init__("계정 삭제는 로그인한 지 10분 이내에만 할 수 있습니다. 다시 로그인해 주세요.")


class LastAdministrator(YouSyncError):
    """Without this one nobody could make anybody an administrator."""

    kind = Kind.CONFLICT
    code = "last_administrator"

    def __init__(self) -> None:
        super().__init__("마지막 관리자입니다. 먼저 다른 사람을 관리자로 지정해 주세요.")


class AdminBySettings(YouSyncError):
    """The deployment's list makes this address an administrator's: it is taken back there."""

    kind = Kind.CONFLICT
    code = "admin_by_settings"

    def __init__(self) -> None:
        super().__init__("설정으로 지정된 관리자입니다. AUTH_ADMIN_EMAILS에서 주소를 지워 주세요.")


class ProviderUnreachable(Unavailable):
    """The sign-in provider does not answer as it should; the log says how."""

    code = "provider_unreachable"

    def __init__(self) -> None:
        super().__init__("로그인 처리 중 오류가 발생했습니다: 구글에 연결할 수 없습니다. 잠시 후 다시 시도해 주세요.")


class SignInNotConfigured(Unavailable):
    """This platform has no client id at a sign-in provider."""

    code = "sign_in_not_configured"

    def __init__(self) -> None:
        super().__init__("로그인 처리 중 오류가 발생했습니다: 구글 로그인이 설정되지 않았습니다.")


class InvalidIdToken(YouSyncError):
    """The id_token is not the provider's, not for us, not of now, or says too little."""

    kind = Kind.INVALID
    code = "invalid_id_token"

    def __init__(self, reason: str) -> None:
        super().__init__(f"유효하지 않은 구글 토큰입니다: {reason}")


class SignInInterrupted(YouSyncError):
    """Who comes back from the provider did not leave for it from here, or too long ago."""

    kind = Kind.INVALID
    code = "sign_in_interrupted"

    def __init__(self) -> None:
        super().__init__("로그인이 중단되었습니다. 처음부터 다시 시도해 주세요.")


class UnknownReturnUrl(YouSyncError):
    """Sign-in does not lead back to that page: the deployment's list does not have it."""

    kind = Kind.INVALID
    code = "unknown_return_url"

    def __init__(self) -> None:
        super().__init__("return_url is not one of the pages that sign-in may come back to (AUTH_RETURN_URLS)")


class InvalidSignInCode(YouSyncError):
    """The code was used, is too old, or belongs to another page's sign-in."""

    kind = Kind.INVALID
    code = "invalid_sign_in_code"

    def __init__(self) -> None:
        super().__init__("로그인 코드가 유효하지 않습니다. 다시 로그인해 주세요.")


class CodeRefused(YouSyncError):
    """The provider does not take the code that came with the browser."""

    kind = Kind.INVALID
    code = "code_refused"

    def __init__(self) -> None:
        super().__init__("구글이 로그인을 확인해 주지 않았습니다. 처음부터 다시 시도해 주세요.")


class IdentityConflict(YouSyncError):
    """The address belongs to an account that somebody signs in to with another identity of the provider."""

    kind = Kind.CONFLICT
    code = "identity_conflict"

    def __init__(self) -> None:
        super().__init__("이 이메일은 다른 구글 계정에 연결되어 있습니다")


class AccountConflict(YouSyncError):
    """An account of the document cannot be written; `detail` names the entry."""

    kind = Kind.UNPROCESSABLE
    code = "account_conflict"
