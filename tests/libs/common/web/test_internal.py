"""The settings of services that call each other, and the client with which they do."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from pydantic import SecretStr, ValidationError

from libs.common.web.internal import AnsweringSettings, CallingSettings, open_client, service_client
from libs.common.web.rights import CALLERS
from libs.common.web.service_tokens import HEADER, Identity, development_key, new_key, public_key
from tests.callers import verifier_of

PRIVATE = {name: new_key() for name in CALLERS}
PUBLIC = ",".join(f"{name}={public_key(key)}" for name, key in PRIVATE.items())


class Gateway(CallingSettings):
    service = "gateway"


def answering(text: str, environment: Any = "production") -> AnsweringSettings:
    return AnsweringSettings.model_validate({"environment": environment, "service_public_keys": text})


def test_production_starts_with_a_key_of_its_own_and_one_of_each_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENVIRONMENT", "production")
    monkeypatch.setenv("SERVICE_PUBLIC_KEYS", PUBLIC.replace(",", " , "))
    monkeypatch.setenv("SERVICE_PRIVATE_KEY", PRIVATE["gateway"])
    assert [name for name, _ in AnsweringSettings().service_public_keys] == list(CALLERS)
    assert Gateway().identity.header("audio").keys() == {HEADER}


def test_production_refuses_to_start_without() -> None:
    with pytest.raises(ValidationError, match="SERVICE_PUBLIC_KEYS"):
        AnsweringSettings(environment="production")
    with pytest.raises(ValidationError, match="SERVICE_PRIVATE_KEY"):
        Gateway(environment="production")


def development() -> str:
    return ",".join(f"{name}={public_key(development_key(name))}" for name in CALLERS)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (PUBLIC.partition(",")[2], "has no key of audio"),
        (",".join(f"{name}={public_key(PRIVATE['audio'])}" for name in CALLERS), "one key twice"),
        (development(), "a key of development"),
        (f"{PUBLIC},audio={public_key(development_key('gateway'))}", "a key of development"),
        (f"{PUBLIC},stranger={public_key(new_key())}", "'stranger' calls nobody"),
        (f"{PUBLIC},audio=x", "what is said of audio is no Ed25519 public key"),
        (f"{PUBLIC},audio", "what is said of audio is no Ed25519 public key"),
        ("", "has no key of"),
    ],
)
def test_production_refuses_keys_that_are_missing_shared_or_known(text: str, why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        answering(text)


@pytest.mark.parametrize("name", CALLERS)
def test_production_refuses_to_sign_with_a_key_of_development(name: str) -> None:
    with pytest.raises(ValidationError, match="one of development"):
        Gateway(environment="production", service_private_key=SecretStr(development_key(name)))


@pytest.mark.parametrize(
    "key", ["", "0" * 64, public_key(PRIVATE["gateway"]), "secret-that-is-no-key"], ids=["none", "zeros", "public", "words"]
)
def test_a_key_that_cannot_sign_is_refused_and_not_repeated(key: str) -> None:
    with pytest.raises(ValidationError, match="is no Ed25519 private key") as refused:
        Gateway(service_private_key=SecretStr(key))
    assert not key or key not in str(refused.value)


def test_services_of_development_know_each_other_without_settings() -> None:
    assert verifier_of("audio").caller(Gateway().identity.header("audio")[HEADER]) == "gateway"


@pytest.mark.parametrize("open_one", [open_client, lambda url: service_client(url, Gateway().identity, "audio")])
async def test_only_a_client_that_is_somebody_shows_who(open_one: Callable[[str], httpx.AsyncClient]) -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200)

    client = open_one("http://127.0.0.1:1")
    client._transport = httpx.MockTransport(answer)
    await client.get("/internal/jobs/1")
    shown = [verifier_of("audio").caller(request.headers[HEADER]) for request in seen if HEADER in request.headers]
    assert shown == ([] if open_one is open_client else ["gateway"])
    assert isinstance(Gateway().identity, Identity)
    await client.aclose()
