"""Calls between services: endpoints below `/internal`, which the gateway never routes to, opened by service tokens."""

from collections.abc import Generator
from functools import cached_property
from typing import Annotated, Any, ClassVar, Self

import httpx
from pydantic import BeforeValidator, Field, SecretStr, field_validator, model_validator
from pydantic_settings import NoDecode

from libs.common.errors import Unavailable
from libs.common.settings import ClockSettings, Settings
from libs.common.web.rights import CALLERS
from libs.common.web.service_tokens import Identity, KeyUnusable, development_key, public_key, read_key

# A neighbour in the same rack answers in milliseconds; whoever waits longer than this for one is better off with an error.
TIMEOUT = httpx.Timeout(5.0, connect=2.0)

DEVELOPMENT_KEYS = {name: development_key(name) for name in CALLERS}


def _pairs(value: Any) -> Any:
    """`name=key,name=key` as pairs."""
    if not isinstance(value, str):
        return value
    named = (part.strip().partition("=") for part in value.split(",") if part.strip())
    return tuple((name.strip(), key.strip()) for name, _, key in named)


class AnsweringSettings(ClockSettings):
    """Of services that have internal endpoints."""

    required_in_production: ClassVar[tuple[str, ...]] = ("service_public_keys",)

    # the public keys of all services that call others: audio=MCow..,catalog=MCow..; while one changes its key it has two
    service_public_keys: Annotated[tuple[tuple[str, str], ...], NoDecode, BeforeValidator(_pairs)] = Field(
        tuple((name, public_key(key)) for name, key in DEVELOPMENT_KEYS.items()), validation_alias="SERVICE_PUBLIC_KEYS"
    )

    @field_validator("service_public_keys")
    @classmethod
    def _of_callers(cls, value: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
        for name, key in value:
            if name not in CALLERS:
                raise ValueError(f"{name!r} calls nobody; the services that do are {', '.join(CALLERS)}")
            try:
                read_key(key, private=False)
            except KeyUnusable as error:
                raise ValueError(f"what is said of {name} {error}") from error
        return value

    @model_validator(mode="after")
    def _a_key_for_each_in_production(self) -> Self:
        if self.environment == "production":
            if missing := sorted(set(CALLERS) - {name for name, _ in self.service_public_keys}):
                raise ValueError(f"SERVICE_PUBLIC_KEYS has no key of {', '.join(missing)}")
            if len({key for _, key in self.service_public_keys}) < len(self.service_public_keys):
                raise ValueError("SERVICE_PUBLIC_KEYS has one key twice: each service needs its own")
            if {key for _, key in self.service_public_keys} & set(map(public_key, DEVELOPMENT_KEYS.values())):
                raise ValueError("SERVICE_PUBLIC_KEYS has a key of development, which everybody knows")
        return self


class CallingSettings(Settings):
    """Of services that call others."""

    required_in_production: ClassVar[tuple[str, ...]] = ("service_private_key",)
    service: ClassVar[str]

    # signs what this service shows others: the base64 body of an Ed25519 key in PEM; not set: the one of development
    service_private_key: SecretStr | None = Field(None, validation_alias="SERVICE_PRIVATE_KEY")

    @field_validator("service_private_key")
    @classmethod
    def _usable(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            read_key(value.get_secret_value(), private=True)
        return value

    @model_validator(mode="after")
    def _not_that_of_development_in_production(self) -> Self:
        if self.environment == "production" and self._private_key in DEVELOPMENT_KEYS.values():
            raise ValueError("SERVICE_PRIVATE_KEY is one of development, which everybody knows")
        return self

    @property
    def _private_key(self) -> str:
        key = self.service_private_key
        return DEVELOPMENT_KEYS[self.service] if key is None else key.get_secret_value()

    @cached_property
    def identity(self) -> Identity:
        """What this service shows others."""
        return Identity(self.service, self._private_key)


class _Showing(httpx.Auth):
    def __init__(self, identity: Identity, audience: str) -> None:
        self._identity = identity
        self._audience = audience

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers.update(self._identity.header(self._audience))
        yield request


def open_client(url: str) -> httpx.AsyncClient:
    """An HTTP client for one service at `url`, as anybody: `http://host:port` or `unix:/path/to.sock`."""
    limits = httpx.Limits(max_connections=200, max_keepalive_connections=50)
    if url.startswith("unix:"):
        transport = httpx.AsyncHTTPTransport(uds=url.removeprefix("unix:"), limits=limits)
        return httpx.AsyncClient(base_url="http://service", transport=transport, timeout=TIMEOUT)
    return httpx.AsyncClient(base_url=url, timeout=TIMEOUT, limits=limits, trust_env=False)


def service_client(url: str, identity: Identity, audience: str) -> httpx.AsyncClient:
    """An HTTP client for the service `audience` at `url`, as the service `identity`."""
    client = open_client(url)
    client.auth = _Showing(identity, audience)
    return client


class ServiceUnavailable(Unavailable):
    """Another service of the platform does not answer."""

    code = "service_unavailable"
