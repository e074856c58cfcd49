"""Settings of auth."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from libs.common.settings import BusSettings, DatabaseSettings, StrongSecret, TokenSettings
from libs.common.web.internal import InternalSettings


def _comma_list(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return frozenset(part.strip().casefold() for part in value.split(",") if part.strip())


class AuthSettings(DatabaseSettings, BusSettings, TokenSettings, InternalSettings):
    """From the environment, prefix AUTH_."""

    model_config = SettingsConfigDict(env_prefix="AUTH_")
    required_in_production = ("key_secret",)

    # seconds that an access token is valid: nothing can revoke one yet, so a stolen one must die soon
    token_seconds: int = Field(15 * 60, ge=60, le=60 * 60)
    # encrypts the private signing keys in the database: whoever gets a dump of it cannot sign tokens
    key_secret: StrongSecret = SecretStr("development only: encrypts the signing keys")
    # whether anybody may sign in as anybody, without proof
    development_login: bool = False
    # who is an administrator, whatever the users table says: a@example.org,b@example.org
    admin_emails: Annotated[frozenset[str], NoDecode, BeforeValidator(_comma_list)] = frozenset()

    @field_validator("development_login")
    @classmethod
    def _refuse_in_production(cls, value: bool, info: ValidationInfo) -> bool:
        if value and info.data.get("environment") == "production":
            raise ValueError(
                "AUTH_DEVELOPMENT_LOGIN=true signs anybody in as anybody; ENVIRONMENT=production refuses to start with it"
            )
        return value
