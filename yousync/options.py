"""What the person at the terminal may choose: the variables of `make up`, `make demo` and `make fleet`."""

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Options(BaseSettings):
    """A platform on this machine. A URL that is given replaces the part that would be started here."""

    model_config = SettingsConfigDict(populate_by_name=True, extra="ignore", hide_input_in_errors=True)

    state_dir: Path = Field(Path(".yousync"), validation_alias="STATE_DIR")
    host: str = Field("127.0.0.1", validation_alias="HOST")
    port: int = Field(8000, ge=1, le=65535, validation_alias="PORT")
    environment: str = Field("development", validation_alias="ENVIRONMENT")
    log_level: str = Field("WARNING", validation_alias="LOG_LEVEL")
    broker_url: SecretStr | None = Field(None, validation_alias="BROKER_URL")  # amqp://user:password@host:5672/vhost
    # http://user:password@host:15672, of the same RabbitMQ
    broker_management_url: SecretStr | None = Field(None, validation_alias="BROKER_MANAGEMENT_URL")
    database_url: SecretStr | None = Field(None, validation_alias="DATABASE_URL")  # postgresql://user:password@host:5432/name
    storage_url: str | None = Field(None, validation_alias="STORAGE_URL")  # file:///folder or s3://bucket?endpoint_url=...

    @property
    def base_url(self) -> str:
        """Where a browser on this machine finds the platform."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host  # noqa: S104  (compared, not bound)
        return f"http://{host}:{self.port}"
