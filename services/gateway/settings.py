"""Settings of gateway."""

import ipaddress
from collections.abc import Mapping
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, field_validator, model_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from libs.common.settings import BusSettings, VerifierSettings
from libs.common.web.internal import CallingSettings
from services.gateway.counters import MEMORY
from services.gateway.origins import origin
from services.gateway.rates import PER_ADDRESS, PER_USER, Rates
from services.gateway.routes import Cost

MIB = 1024 * 1024


def _comma_list(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _origin_of(url: str) -> str:
    return origin("/".join(url.split("/", 3)[:3]))


Origin = Annotated[str, AfterValidator(origin)]
Origins = Annotated[tuple[Origin, ...], NoDecode, BeforeValidator(_comma_list)]

# The web client while somebody works on it.
DEVELOPED = "http://localhost:3000"


class GatewaySettings(BusSettings, VerifierSettings, CallingSettings):
    """From the environment, prefix GATEWAY_; the services' addresses without it."""

    model_config = SettingsConfigDict(env_prefix="GATEWAY_")
    service = "gateway"
    required_in_production = ("auth_url", "catalog_url", "audio_url", "notifier_url", "public_url")

    # Nobody by default: who stands in front of the only public door must be named.
    forwarded_allow_ips: str = Field("", validation_alias="FORWARDED_ALLOW_IPS")
    # where the services answer: http://host:port or unix:/path/to.sock
    auth_url: str = Field("http://127.0.0.1:8001", validation_alias="AUTH_URL")
    catalog_url: str = Field("http://127.0.0.1:8002", validation_alias="CATALOG_URL")
    audio_url: str = Field("http://127.0.0.1:8003", validation_alias="AUDIO_URL")
    notifier_url: str = Field("http://127.0.0.1:8004", validation_alias="NOTIFIER_URL")
    # how browsers reach this gateway; always an allowed origin
    public_url: str = Field("http://127.0.0.1:8000", validation_alias="PUBLIC_URL")
    # other origins whose pages may call with credentials, comma separated; in production over TLS only
    cors_origins: Origins = ("https://yousync.link",)
    # host:port where Prometheus reads metrics, which the public port does not show; nowhere by default
    metrics_listen: str = Field("", pattern=r"^([0-9a-zA-Z.:\[\]-]+:[0-9]{1,5})?$")

    # Bytes that a request's body may have. `audio` enforces the exact size of a recording; here form data is counted in.
    max_upload_bytes: int = Field(50 * MIB, ge=1)
    max_batch_bytes: int = Field(200 * MIB, ge=1)
    max_import_bytes: int = Field(64 * MIB, ge=1)
    max_body_bytes: int = Field(1 * MIB, ge=1)
    # seconds of silence after which a service counts as hanging; synthesis, the slowest answer, stays well below
    upstream_seconds: float = Field(60.0, gt=0)
    # seconds that a client may stay silent within a body, or read nothing of an answer; mobile networks have gaps of 10 s
    client_seconds: float = Field(30.0, gt=0)

    # Requests per minute by what they cost, where the defaults (rates.py) do not fit: `read=6000,upload=900`.
    address_limits: Rates = Field(default_factory=dict)
    user_limits: Rates = Field(default_factory=dict)
    # multiplies all that is counted per address or user: 10 for a school with 300 learners behind one address
    limits_factor: float = Field(1.0, gt=0, le=1_000_000)
    # where replicas count together: redis://:password@host:6379/0 or rediss://..; memory:// is each for itself
    limits_url: SecretStr = SecretStr(MEMORY)
    # addresses and users that a replica counts itself, at about 0.3 KB each; beyond, the longest silent is forgotten
    limits_keys: int = Field(100_000, ge=1000)

    # seconds that a service has for its part of my page, which is shown without it then; the web client waits 10 for the page
    part_seconds: float = Field(2.0, gt=0)

    # the least of a body per second, over all the time that it is waited for: 500 bytes/s, as Apache's reqtimeout has it
    min_body_rate: int = Field(500, ge=1)
    # seconds for a request's headers, from the connection or the first byte on
    head_seconds: float = Field(10.0, gt=0)
    # open connections of one process, streams among them, and of one address: a classroom has 30 browsers with 6 each
    max_connections: int = Field(12_000, ge=1)
    max_connections_per_address: int = Field(600, ge=1)

    # open event streams of one process; each costs about 15 KB
    max_streams: int = Field(10_000, ge=1)
    # and of one address or user in it; a page has one per take that is being analysed
    max_streams_per_address: int = Field(300, ge=1)
    max_streams_per_user: int = Field(20, ge=1)
    # seconds between comments on a stream, so that proxies on the way (the strictest cut after 30 s) keep it open
    heartbeat_seconds: float = Field(15.0, gt=0)

    @field_validator("public_url")
    @classmethod
    def _an_address_of_ours(cls, value: str) -> str:
        _origin_of(value)
        return value

    @field_validator("forwarded_allow_ips")
    @classmethod
    def _proxies_that_are_named(cls, value: str) -> str:
        if "*" in value:
            raise ValueError("name the proxies: with *, every client says itself where it comes from")
        for each in filter(None, (part.strip() for part in value.split(","))):
            ipaddress.ip_network(each)  # says itself what is wrong: a name, or a network with bits beyond its length
        return value

    @model_validator(mode="after")
    def _over_tls_in_production(self) -> Self:
        plain = [each for each in self.cors_origins if not each.startswith("https://")]
        if self.environment == "production" and plain:
            raise ValueError(f"GATEWAY_CORS_ORIGINS: in production a page must have come over TLS: {', '.join(plain)}")
        return self

    @field_validator("limits_url")
    @classmethod
    def _counters_that_are_known(cls, value: SecretStr) -> SecretStr:
        url = value.get_secret_value()
        store = urlsplit(url)
        if url != MEMORY and not (store.scheme in ("redis", "rediss") and store.hostname and store.port):
            raise ValueError("must be memory://, redis://host:port/.. or rediss://host:port/..")
        return value

    def times(self, amount: int) -> int:
        """What is counted per address or user, multiplied by the factor."""
        return max(1, round(amount * self.limits_factor))

    @property
    def per_address(self) -> Mapping[Cost, int]:
        """Requests per minute of one address, before the factor."""
        return {**PER_ADDRESS, **self.address_limits}

    @property
    def per_user(self) -> Mapping[Cost, int]:
        """The same of one user."""
        return {**PER_USER, **self.user_limits}

    @property
    def origins(self) -> tuple[str, ...]:
        """All origins whose pages may call."""
        developed = () if self.environment == "production" else (DEVELOPED,)
        return (*self.cors_origins, _origin_of(self.public_url), *developed)
