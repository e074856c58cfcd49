"""What can go wrong in auth, by name.

YouSyncError
├── Unauthenticated
│   ├── UnknownUser          the token's account does not exist (any more)
│   └── Deactivated          it exists and was switched off
├── Unavailable
│   ├── ProviderUnreachable  Google, or whom the settings name in its place, does not answer as it should
│   └── SignInNotConfigured  no provider is configured here
├── InvalidIdToken           the provider's token proves nothing to us
├── IdentityConflict         the address belongs to an account that another identity signs in to
└── AccountConflict          an imported account clashes with one that is there
"""

from libs.common.errors import Kind, Unauthenticated, Unavailable, YouSyncError


class UnknownUser(Unauthenticated):
    """No account has the id that the token names."""

    code = "unknown_user"

    def __init__(self) -> None:
        super().__init__("사용자를 찾을 수 없습니다")


class Deactivated(Unauthenticated):
    """The account was switched off: it gets no answers and no new tokens."""

    code = "deactivated"

    def __init__(self) -> None:
        super().__init__("비활성화된 계정입니다")


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
