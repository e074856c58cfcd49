"""Settings of auth."""

import re
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from libs.common.settings import BusSettings, DatabaseSettings, StrongSecret, TokenSettings
from libs.common.web.internal import AnsweringSettings
from services.auth.provider import GOOGLE

MAX_TOKEN_SECONDS = 60 * 60
WEB_ADDRESS = r"^https?://[^\s/?#]+"


def _comma_list(value: Any) -> Any:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def addresses(value: Any) -> Any:
    """Comma separated e-mail addresses as a set, however they are written."""
    return frozenset(part.casefold() for part in _comma_list(value)) if isinstance(value, str) else value


class AuthSettings(DatabaseSettings, BusSettings, TokenSettings, AnsweringSettings):
    """From the environment, prefix AUTH_."""

    # What deployments pass on without having set it is not set.
    model_config = SettingsConfigDict(env_prefix="AUTH_", env_ignore_empty=True)
    required_in_production = ("key_secret", "google_client_ids")

    # seconds that an access token is valid: other services accept it so long, whatever became of its session
    token_seconds: int = Field(15 * 60, ge=60, le=MAX_TOKEN_SECONDS)
    # seconds without a refresh after which a session ends, and after which it ends in any case; learners come weekly
    session_idle_seconds: int = Field(14 * 24 * 3600, ge=60, le=90 * 24 * 3600)
    session_seconds: int = Field(90 * 24 * 3600, ge=60, le=366 * 24 * 3600)
    # whether an expired access token continues its session: the web client has nothing else
    refresh_expired: bool = True
    # seconds after its first use in which it does so again: the web client asks once per call that failed, all at the same time
    refresh_grace_seconds: int = Field(10, ge=0, le=60)
    # days that the audit log is kept: a year finds what is noticed late; the database deletes nothing younger than 90 days
    act_retention_days: int = Field(365, ge=90, le=3660)
    # encrypts the private signing keys in the database: whoever gets a dump of it cannot sign tokens
    key_secret: StrongSecret = SecretStr("development only: encrypts the signing keys")
    # whether anybody may sign in as anybody, without proof
    development_login: bool = False

    # whose id_tokens sign people in: our client ids at the provider, comma separated
    google_client_ids: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_comma_list)] = ()
    # of the first of them, for sign-in that begins at /api/auth/google/start
    google_client_secret: SecretStr | None = None
    # pages that such a sign-in may come back to, comma separated, each exactly as the web client names it; none: it is off
    return_urls: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_comma_list)] = ()
    # how browsers reach the gateway: the provider sends them back to a path of it
    public_url: str = Field("http://127.0.0.1:8000", validation_alias="PUBLIC_URL", pattern=WEB_ADDRESS)
    # Google, or any other OpenID provider in its place. A change of it would meet the old one's subjects in the users table.
    google_issuer: str = Field(GOOGLE, pattern=WEB_ADDRESS)
    # where its discovery document is, if not at the issuer's /.well-known/openid-configuration
    google_discovery_url: str | None = Field(None, pattern=WEB_ADDRESS)
    # seconds that the provider's clock may be off
    google_leeway: int = Field(30, ge=0, le=300)

    # who is an administrator, whatever the users table says: a@example.org,b@example.org
    admin_emails: Annotated[frozenset[str], NoDecode, BeforeValidator(addresses)] = frozenset()

    @field_validator("development_login")
    @classmethod
    def _refuse_in_production(cls, value: bool, info: ValidationInfo) -> bool:
        if value and info.data.get("environment") == "production":
            raise ValueError(
                "AUTH_DEVELOPMENT_LOGIN=true signs anybody in as anybody; ENVIRONMENT=production refuses to start with it"
            )
        return value

    @field_validator("google_issuer", "google_discovery_url")
    @classmethod
    def _demand_tls_in_production(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value and not value.startswith("https://") and info.data.get("environment") == "production":
            raise ValueError("must begin with https://: whoever is on the way could sign in as anybody")
        return value

    @field_validator("return_urls")
    @classmethod
    def _demand_whole_addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for url in value:
            if not re.match(WEB_ADDRESS, url) or "#" in url:
                raise ValueError(f"{url!r} is no address of a page such as https://yousync.example.org/login")
        return value

    @model_validator(mode="after")
    def _demand_what_return_urls_need_in_production(self) -> Self:
        if self.environment == "production" and self.return_urls:
            if self.google_client_secret is None:
                raise ValueError("AUTH_RETURN_URLS needs AUTH_GOOGLE_CLIENT_SECRET, which shows the provider who asks")
            if not all(url.startswith("https://") for url in (self.public_url, *self.return_urls)):
                raise ValueError("with AUTH_RETURN_URLS, PUBLIC_URL and all of them must begin with https://")
        return self

    @property
    def discovery_url(self) -> str:
        """Where the provider's discovery document is."""
        return self.google_discovery_url or f"{self.google_issuer.rstrip('/')}/.well-known/openid-configuration"
