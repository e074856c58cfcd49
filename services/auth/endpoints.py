"""Routes of auth."""

from fastapi import APIRouter, Response

from libs.common.people import Person
from libs.common.web.auth import Admin
from libs.common.web.auth import User as Caller
from services.auth.deps import AccountsDep, KeysDep, PlaceDep
from services.auth.schemas import AccessToken, DevelopmentLogin, DevelopmentUsers, Imported, KeySet, User, UserIds
from services.auth.service import NewAccount

# Seconds that proxies may keep the key set. Short: a verifier that meets a new key asks again, and must not get the old set.
KEY_SET_MAX_AGE = 60

router = APIRouter(prefix="/api/auth", tags=["auth"])
keys_router = APIRouter(tags=["auth"])
development_router = APIRouter(prefix="/api/auth", tags=["auth (development only)"])
internal_router = APIRouter(prefix="/internal", include_in_schema=False)


@keys_router.get("/.well-known/jwks.json", summary="The keys that verify access tokens")
async def key_set(keys: KeysDep, response: Response) -> KeySet:
    """JSON Web Key Set (RFC 7517), Ed25519 keys only."""
    response.headers["Cache-Control"] = f"public, max-age={KEY_SET_MAX_AGE}"
    return KeySet.model_validate(await keys.public())


@router.get("/me", summary="The caller's account")
async def me(caller: Caller, accounts: AccountsDep) -> User:
    """Who the bearer token belongs to."""
    return User.model_validate(await accounts.account(caller))


@development_router.post("/dev-login", summary="Sign in as anybody, without proof")
async def development_login(login: DevelopmentLogin, accounts: AccountsDep, place: PlaceDep, response: Response) -> AccessToken:
    """Makes the account when it is not there. Not available in production."""
    response.headers["Cache-Control"] = "no-store"
    token = await accounts.sign_in_unproven(login.email, place, admin=login.admin, full_name=login.full_name)
    return AccessToken(access_token=token)


@development_router.post("/dev-users", summary="Bring accounts with their ids")
async def development_users(users: DevelopmentUsers, caller: Admin, accounts: AccountsDep) -> Imported:
    """All or nothing; running it twice changes nothing. Not available in production."""
    wanted = [NewAccount(user.id, user.email, user.model_dump(exclude={"id", "email"}, exclude_unset=True)) for user in users]
    return Imported.model_validate(await accounts.import_accounts(wanted))


@internal_router.get("/users", response_model=list[Person])
async def people(ids: UserIds, accounts: AccountsDep) -> object:
    """For services that show somebody's name; ids of nobody are left out."""
    return await accounts.people(ids)
