"""What goes over the wire between auth and administrators."""

from datetime import datetime
from typing import Annotated, Literal, Self

from fastapi import Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from services.auth.acts_repository import RecordedAct
from services.auth.administration import ManagedAccount
from services.auth.models import MAX_ID
from services.auth.schemas import User, printable

Search = Annotated[
    str, Query(max_length=254, description="Part of an address or a name; all accounts by default"), AfterValidator(printable)
]
Skip = Annotated[int, Query(ge=0, le=MAX_ID, description="How many to leave out from the beginning")]
Limit = Annotated[int, Query(ge=1, le=100, description="How many at most")]
After = Annotated[int, Query(ge=0, le=MAX_ID, description="Where the page before has ended, out of its `Link`")]


class Why(BaseModel):
    """For whoever reads the log later."""

    model_config = ConfigDict(strict=True)

    reason: Annotated[str, Field(min_length=1, max_length=200), AfterValidator(printable)]


class Managed(User):
    """An account as administrators see it."""

    is_admin: bool
    admin_by: Literal["grant", "settings"] | None = Field(description="What makes it an administrator's")

    @classmethod
    def of(cls, managed: ManagedAccount) -> Self:
        """Over the wire."""
        shown = User.model_validate(managed.account).model_dump()
        return cls(**shown, is_admin=managed.admin_by is not None, admin_by=managed.admin_by)


class Activity(BaseModel):
    """Something that was done with the caller's account."""

    id: int
    act: str = Field(description="Such as `signed_in`, `session_moved`, `account_deactivated`")
    at: datetime
    mine: bool = Field(description="Whether the account itself did it; else an administrator or an operator")
    reason: str | None = Field(description="Of a refused sign-in")
    device: str | None
    network: str | None
    session_id: str | None
    times: int = Field(description="Refusals of one minute are counted together")

    @classmethod
    def of(cls, act: RecordedAct, account_id: int) -> Self:
        """What the owner of the account may know: where administrators sit, and what they noted, is not theirs."""
        mine = act.user_id == account_id
        place = {name: getattr(act, name) if mine else None for name in ("reason", "device", "network", "session_id")}
        return cls(id=act.id, act=act.act, at=act.at, mine=mine, times=act.times, **place)
