"""What endpoints ask for."""

from typing import Annotated

from fastapi import Depends, Request

from services.auth.keys import SigningKeys
from services.auth.service import Accounts


def _accounts(request: Request) -> Accounts:
    accounts: Accounts = request.app.state.accounts
    return accounts


def _keys(request: Request) -> SigningKeys:
    keys: SigningKeys = request.app.state.keys
    return keys


AccountsDep = Annotated[Accounts, Depends(_accounts)]
KeysDep = Annotated[SigningKeys, Depends(_keys)]
