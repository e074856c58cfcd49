"""What endpoints ask for."""

from typing import Annotated

from fastapi import Depends, Request

from services.auth.browser_sign_in import BrowserSignIn
from services.auth.keys import SigningKeys
from services.auth.service import Accounts
from services.auth.signing_in import GoogleSignIn


def _accounts(request: Request) -> Accounts:
    accounts: Accounts = request.app.state.accounts
    return accounts


def _keys(request: Request) -> SigningKeys:
    keys: SigningKeys = request.app.state.keys
    return keys


def _google_sign_in(request: Request) -> GoogleSignIn:
    sign_in: GoogleSignIn = request.app.state.google_sign_in
    return sign_in


def _browser_sign_in(request: Request) -> BrowserSignIn:
    sign_in: BrowserSignIn = request.app.state.browser_sign_in
    return sign_in


AccountsDep = Annotated[Accounts, Depends(_accounts)]
GoogleSignInDep = Annotated[GoogleSignIn, Depends(_google_sign_in)]
BrowserSignInDep = Annotated[BrowserSignIn, Depends(_browser_sign_in)]
KeysDep = Annotated[SigningKeys, Depends(_keys)]
