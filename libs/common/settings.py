"""Settings that all services share. Each service adds its own with a prefix; these have none.

Values come from the environment, or from files in the folder that `SECRETS_DIR` names (one file per setting, as Docker and
Kubernetes mount them). Production refuses to start with a default that is only good for a laptop.
"""

import os
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

from pydantic import AfterValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SecretsSettingsSource, SettingsConfigDict

Environment = Literal["development", "test", "production"]

MIN_SECRET_BYTES = 32  # as long as the HMAC-SHA256 output that the secret keys (RFC 2104, section 3)


def _strong_enough(value: SecretStr) -> SecretStr:
    if len(value.get_secret_value().encode()) < MIN_SECRET_BYTES:
        raise ValueError(f"must be at least {MIN_SECRET_BYTES} bytes long")
    return value


StrongSecret = Annotated[SecretStr, AfterValidator(_strong_enough)]


S = TypeVar("S", bound="Settings")


class Settings(BaseSettings):
    """Base of every service's settings. Field names are accepted by the constructor, the upper-case aliases from outside."""

    model_config = SettingsConfigDict(populate_by_name=True, extra="ignore", hide_input_in_errors=True)

    # fields that production must set explicitly, by name; each class adds its own to those of its bases
    required_in_production: ClassVar[tuple[str, ...]] = ()

    environment: Environment = Field("development", validation_alias="ENVIRONMENT")
    log_level: str = Field("INFO", validation_alias="LOG_LEVEL")
    # where this process listens: a Unix socket if set, else host and port
    listen_uds: Path | None = Field(None, validation_alias="LISTEN_UDS")
    listen_host: str = Field("127.0.0.1", validation_alias="LISTEN_HOST")
    listen_port: int = Field(8000, ge=0, le=65535, validation_alias="LISTEN_PORT")
    # whose X-Forwarded-For and -Proto are believed: addresses and networks, comma separated
    forwarded_allow_ips: str = Field("127.0.0.1,::1", validation_alias="FORWARDED_ALLOW_IPS")
    # seconds that open requests get to finish after SIGTERM; below the 5 s in which Ctrl-C must be done
    shutdown_seconds: float = Field(3.0, gt=0, validation_alias="SHUTDOWN_SECONDS")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Constructor, then environment, then secret files."""
        folder = os.environ.get("SECRETS_DIR")
        if folder is None:
            return init_settings, env_settings
        return init_settings, env_settings, SecretsSettingsSource(settings_cls, secrets_dir=folder)

    @model_validator(mode="after")
    def _refuse_laptop_defaults_in_production(self) -> Self:
        if self.environment == "production":
            required = [name for base in type(self).__mro__ for name in base.__dict__.get("required_in_production", ())]
            missing = [name for name in dict.fromkeys(required) if name not in self.model_fields_set]
            if missing:
                raise ValueError(
                    "ENVIRONMENT=production needs these set explicitly: " + ", ".join(self.outside_name(m) for m in missing)
                )
        return self

    @classmethod
    def faults(cls, error: ValidationError) -> list[tuple[str, str]]:
        """What is wrong, variable by variable; the variable is empty where it is not one alone."""
        return [
            (
                ": ".join(cls.outside_name(str(each)) if each in cls.model_fields else str(each) for each in fault["loc"]),
                fault["msg"].removeprefix("Value error, "),
            )
            for fault in error.errors()
        ]

    @classmethod
    def outside_name(cls, field: str) -> str:
        """The variable that sets `field`."""
        alias = cls.model_fields[field].validation_alias
        prefix: Any = cls.model_config.get("env_prefix", "")
        return alias if isinstance(alias, str) else f"{prefix}{field}".upper()


def load(kind: type[S]) -> S:
    """The settings of a process that is about to start. It ends with a line per fault when they are not right."""
    try:
        return kind()
    except ValidationError as error:
        faults = [": ".join(filter(None, fault)) for fault in kind.faults(error)]
        raise SystemExit("\n".join([f"cannot start with these settings ({kind.__name__}):", *faults])) from None


class BusSettings(Settings):
    """Of services that publish or consume. `memory://` is only for several services in one process."""

    required_in_production: ClassVar[tuple[str, ...]] = ("broker_url",)

    broker_url: SecretStr = Field(SecretStr("amqp://127.0.0.1:5672/"), validation_alias="BROKER_URL")
    # declare: this service makes the topology when it connects, so its user may do anything; applied: `yousync topology apply`
    # has made it, and each service has a user with least rights
    broker_topology: Literal["declare", "applied"] = Field("declare", validation_alias="BROKER_TOPOLOGY")
    # seconds before the 2nd, 3rd.. attempt at a message that failed
    retry_ladder: tuple[float, ...] = Field((10.0, 60.0, 600.0, 3600.0), validation_alias="RETRY_LADDER")


class DatabaseSettings(Settings):
    """Of services that own a database: this service's own one, reached with its own user."""

    required_in_production: ClassVar[tuple[str, ...]] = ("database_url",)

    database_url: SecretStr = Field(SecretStr("postgresql+asyncpg:///"), validation_alias="DATABASE_URL")
    # connections at most; 10 saturate PostgreSQL on the 2 cores we measure on, twice that leaves room for slow queries
    database_pool_size: int = Field(20, ge=1, le=200, validation_alias="DATABASE_POOL_SIZE")
    # relays that publish the outbox side by side, over all replicas of the service; one publishes thousands a second
    outbox_shards: int = Field(1, ge=1, le=256, validation_alias="OUTBOX_SHARDS")
    # days that messages are kept after they were sent, for `yousync trace` and `yousync audit`
    outbox_retention_days: int = Field(7, ge=1, le=365, validation_alias="OUTBOX_RETENTION_DAYS")
    # days that it is known that a message was handled; longer than any can be on its way, dead letters that are sent back
    # included, and longer than the outbox keeps it, or `yousync audit` would miss what is long done
    inbox_retention_days: int = Field(14, ge=1, le=365, validation_alias="INBOX_RETENTION_DAYS")


MAX_LEEWAY = 120  # seconds; more would be more than machines without a time server are apart


class ClockSettings(Settings):
    """Of services that check how long something is valid."""

    # seconds that two machines' clocks may differ
    token_leeway: int = Field(5, ge=0, le=MAX_LEEWAY, validation_alias="TOKEN_LEEWAY")


class TokenSettings(ClockSettings):
    """What whoever issues tokens and whoever checks them must agree on."""

    token_issuer: str = Field("yousync", validation_alias="TOKEN_ISSUER")


class VerifierSettings(TokenSettings):
    """Of services that check tokens themselves."""

    required_in_production: ClassVar[tuple[str, ...]] = ("auth_url",)

    # where `auth` answers: http://host:port or unix:/path/to.sock
    auth_url: str = Field("http://127.0.0.1:8001", validation_alias="AUTH_URL")


class StorageSettings(Settings):
    """Of services that keep objects."""

    required_in_production: ClassVar[tuple[str, ...]] = ("storage_url", "storage_signing_key")

    # file:///folder or s3://bucket?endpoint_url=...&region=...
    storage_url: str = Field("file:///var/lib/yousync/objects", validation_alias="STORAGE_URL")
    # signs the URLs of file:// objects (S3 signs with its own credentials), and in `audio` those of webhooks
    storage_signing_key: StrongSecret = Field(
        SecretStr("development only: not a secret, signs local URLs"), validation_alias="STORAGE_SIGNING_KEY"
    )
    # how the outside reaches the gateway
    public_url: str = Field("http://127.0.0.1:8000", validation_alias="PUBLIC_URL")
