"""Routes of one's own account."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request

from libs.common.web.auth import User as Caller
from libs.common.web.language import Preferred
from libs.common.web.openapi import answers
from services.auth.account import OwnAccount
from services.auth.account_schemas import ProfileChange, archived
from services.auth.deps import PlaceDep
from services.auth.errors import Deactivated, LastAdministrator, SessionEnded, SignInAgain, UnknownUser
from services.auth.models import MAX_ID
from services.auth.personal import PersonalData
from services.auth.schemas import User
from services.auth.texts import speaking

OF_CALLER = answers(UnknownUser(), Deactivated(), SessionEnded())

router = APIRouter(prefix="/api/auth", tags=["auth"])
internal_router = APIRouter(prefix="/internal", include_in_schema=False)


async def _own_account(request: Request) -> OwnAccount:
    own_account: OwnAccount = request.app.state.own_account
    return own_account


async def _personal_data(request: Request) -> PersonalData:
    personal_data: PersonalData = request.app.state.personal_data
    return personal_data


OwnAccountDep = Annotated[OwnAccount, Depends(_own_account)]


@router.patch("/me", summary="Change the caller's name or picture", responses=OF_CALLER)
async def change_profile(caller: Caller, change: ProfileChange, own_account: OwnAccountDep) -> User:
    """What was set here stays when its owner signs in again. Others see it within a minute."""
    return User.model_validate(await own_account.change_profile(caller, change.model_dump(exclude_unset=True)))


@router.delete(
    "/me",
    summary="Delete the caller's account",
    status_code=204,
    responses={**OF_CALLER, **answers(SignInAgain(), LastAdministrator())},
)
async def delete_account(caller: Caller, own_account: OwnAccountDep, place: PlaceDep, language: Preferred) -> None:
    """With everything that belongs to it, everywhere, for good. Only within ten minutes after signing in."""
    with speaking(language):
        await own_account.delete(caller, place)


@internal_router.get("/users/{user_id}/data", response_model=dict[str, Any])
async def data_of_user(
    user_id: Annotated[int, Path(ge=1, le=MAX_ID)], personal: Annotated[PersonalData, Depends(_personal_data)]
) -> object:
    """For the archive that people can ask for: `{"profile.json": {..}, ..}`, `{}` when there is no such account."""
    return archived(user_id, await personal.of(user_id))
