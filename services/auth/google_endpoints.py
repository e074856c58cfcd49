"""Routes of signing in with Google."""

from fastapi import APIRouter, Response

from libs.common.web.openapi import answers
from services.auth.deps import GoogleSignInDep
from services.auth.errors import Deactivated, IdentityConflict, InvalidIdToken, ProviderUnreachable, SignInNotConfigured
from services.auth.schemas import AccessToken, GoogleLogin

router = APIRouter(prefix="/api/auth", tags=["auth"])


@router.post(
    "/google-login",
    summary="Sign in with an id_token of Google",
    responses=answers(
        InvalidIdToken("만료되었습니다"), Deactivated(), IdentityConflict(), ProviderUnreachable(), SignInNotConfigured()
    ),
)
async def google_login(login: GoogleLogin, sign_in: GoogleSignInDep, response: Response) -> AccessToken:
    """Finds the account by Google's id of the person, else by the verified e-mail address, else makes it."""
    response.headers["Cache-Control"] = "no-store"
    return AccessToken(access_token=await sign_in.with_id_token(login.id_token))
