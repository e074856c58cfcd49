"""Composition root of auth."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from fastapi import FastAPI

from libs.common.background import background, every
from libs.common.bus.base import Bus
from libs.common.bus.factory import open_bus
from libs.common.db import Database
from libs.common.errors import Unavailable
from libs.common.outbox.relay import Relay
from libs.common.web.app import create_app
from libs.common.web.auth import TokenVerifier
from services.auth.account import OwnAccount
from services.auth.account_endpoints import internal_router as personal_router
from services.auth.account_endpoints import router as account_router
from services.auth.activity_endpoints import router as activity_router
from services.auth.acts import ActLog, Refusals, hear
from services.auth.administration import Administration
from services.auth.administration_endpoints import router as administration_router
from services.auth.attempts import Sealing
from services.auth.browser_sign_in import BrowserSignIn
from services.auth.endpoints import development_router, internal_router, keys_router, router
from services.auth.google_endpoints import CALLBACK
from services.auth.google_endpoints import router as google_router
from services.auth.keys import SigningKeys
from services.auth.personal import PersonalData
from services.auth.provider import Provider
from services.auth.revoked import Revoked
from services.auth.revoked_endpoints import router as revoked_router
from services.auth.service import Accounts
from services.auth.session_endpoints import router as session_router
from services.auth.sessions import SessionRules, Sessions
from services.auth.settings import AuthSettings
from services.auth.signing_in import GoogleSignIn
from services.auth.tokens import AccessTokens

SERVICE = "auth"
FORGET_SECONDS = 3600.0
REFUSALS_SECONDS = 60.0


def build(settings: AuthSettings, bus: Bus | None = None) -> FastAPI:
    """The app. `bus` is given, and started and closed by its owner, where several services share a process."""
    database = Database(settings.database_url.get_secret_value(), source=SERVICE, pool_size=settings.database_pool_size)
    owns_bus = bus is None
    bus = bus or open_bus(settings, name=SERVICE)
    relay = Relay(database, bus, service=SERVICE, shards=settings.outbox_shards, retention_days=settings.outbox_retention_days)
    keys = SigningKeys(database, secret=settings.key_secret, token_seconds=settings.token_seconds)
    tokens = AccessTokens(
        keys, issuer=settings.token_issuer, seconds=settings.token_seconds, admin_emails=settings.admin_emails
    )
    provider = Provider(
        issuer=settings.google_issuer,
        discovery_url=settings.discovery_url,
        client_ids=settings.google_client_ids,
        leeway=settings.google_leeway,
        client_secret=settings.google_client_secret,
    )
    rules = SessionRules(
        idle=settings.session_idle_seconds,
        lifetime=settings.session_seconds,
        grace=settings.refresh_grace_seconds,
        refresh_expired=settings.refresh_expired,
    )
    sessions = Sessions(database, tokens, rules)
    revoked = Revoked(database)
    acts = ActLog(database, retention_days=settings.act_retention_days, inbox_retention_days=settings.inbox_retention_days)
    refusals = Refusals(database)
    sign_in = GoogleSignIn(database, provider, tokens, sessions, refusals)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with background(
            relay.run(),
            hear(bus, acts, start=owns_bus),
            every(FORGET_SECONDS, sessions.forget_old, what="forgetting old sessions"),
            every(FORGET_SECONDS, revoked.forget_old, what="forgetting sessions that ended"),
            every(FORGET_SECONDS, acts.forget_old, what="forgetting old acts"),
            every(REFUSALS_SECONDS, refusals.flush, what="writing refused sign-ins"),
        ):
            yield
        with suppress(Unavailable):  # then they go with the process
            await refusals.flush()
        if owns_bus:
            await bus.close()
        await provider.close()
        await database.close()

    app = create_app(
        SERVICE,
        settings,
        title="YouSync auth",
        routers=[
            router,
            account_router,
            session_router,
            google_router,
            administration_router,
            activity_router,
            keys_router,
            internal_router,
            revoked_router,
            personal_router,
            *([development_router] if settings.development_login else []),
        ],
        lifespan=lifespan,
        # Not the broker: sign-in works without it, events wait in the outbox.
        checks={"database": database.check},
    )
    app.state.keys = keys
    app.state.accounts = Accounts(database, tokens, sessions)
    app.state.sessions = sessions
    app.state.revoked = revoked
    app.state.act_log = acts
    app.state.administration = Administration(
        database, outlive_seconds=tokens.outlive_seconds, admin_emails=settings.admin_emails
    )
    app.state.own_account = OwnAccount(database, outlive_seconds=tokens.outlive_seconds, admin_emails=settings.admin_emails)
    app.state.personal_data = PersonalData(database)
    app.state.google_sign_in = sign_in
    app.state.browser_sign_in = BrowserSignIn(
        database,
        provider,
        sign_in,
        tokens,
        sessions,
        Sealing(settings.key_secret),
        refusals,
        callback_url=settings.public_url.rstrip("/") + CALLBACK,
        return_urls=settings.return_urls,
    )
    # The keys are at hand here: no HTTP to itself. A session goes on with a token that expired as long ago as it may be idle,
    # so for that keys verify longer.
    idle = settings.session_idle_seconds
    app.state.session_verifier = TokenVerifier(lambda: keys.public(expired_for=idle), issuer=settings.token_issuer, leeway=idle)
    app.state.verifier = TokenVerifier(keys.public, issuer=settings.token_issuer, leeway=settings.token_leeway)
    return app
