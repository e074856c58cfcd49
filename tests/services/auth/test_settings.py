"""What auth accepts as its configuration."""

from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from libs.common.web.rights import CALLERS
from libs.common.web.service_tokens import new_key, public_key
from services.auth.settings import AuthSettings

PRODUCTION: dict[str, Any] = {
    "environment": "production",
    "database_url": SecretStr("postgresql+asyncpg://db/auth"),
    "broker_url": SecretStr("amqp://broker/"),
    "key_secret": SecretStr("k" * 32),
    "service_public_keys": tuple((name, public_key(new_key())) for name in CALLERS),
    "google_client_ids": ("yousync.apps.example.org",),
}


def test_production_starts_with_everything_set() -> None:
    assert AuthSettings(**PRODUCTION).development_login is False


def test_production_refuses_to_start_with_development_sign_in() -> None:
    with pytest.raises(ValidationError, match="AUTH_DEVELOPMENT_LOGIN=true signs anybody in as anybody"):
        AuthSettings(**PRODUCTION, development_login=True)
    with pytest.raises(ValidationError, match="AUTH_DEVELOPMENT_LOGIN=true"):
        AuthSettings(environment="production", development_login=True)


@pytest.mark.parametrize(
    ("field", "name"),
    [
        ("key_secret", "AUTH_KEY_SECRET"),
        ("database_url", "DATABASE_URL"),
        ("broker_url", "BROKER_URL"),
        ("service_public_keys", "SERVICE_PUBLIC_KEYS"),
        ("google_client_ids", "AUTH_GOOGLE_CLIENT_IDS"),
    ],
)
def test_production_refuses_a_laptops_default(field: str, name: str) -> None:
    with pytest.raises(ValidationError, match=name):
        AuthSettings(**{key: value for key, value in PRODUCTION.items() if key != field})


def test_a_short_key_secret_is_refused_and_not_repeated() -> None:
    with pytest.raises(ValidationError) as refused:
        AuthSettings(key_secret=SecretStr("hunter2"))
    assert "at least 32 bytes" in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_administrators_are_a_comma_list_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTH_ADMIN_EMAILS", "Root@Example.org, ops@example.org,")
    assert AuthSettings().admin_emails == {"root@example.org", "ops@example.org"}


def test_development_sign_in_is_off_unless_asked_for() -> None:
    assert AuthSettings().development_login is False


def test_production_takes_an_empty_variable_for_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTH_GOOGLE_CLIENT_IDS", "")
    with pytest.raises(ValidationError, match="AUTH_GOOGLE_CLIENT_IDS"):
        AuthSettings(**{key: value for key, value in PRODUCTION.items() if key != "google_client_ids"})


@pytest.mark.parametrize("field", ["google_issuer", "google_discovery_url"])
def test_production_asks_a_provider_over_tls_only(field: str) -> None:
    with pytest.raises(ValidationError, match="must begin with https://"):
        AuthSettings(**{**PRODUCTION, field: "http://accounts.example.org"})
    assert AuthSettings(**{**PRODUCTION, field: "https://accounts.example.org"})


def test_client_ids_are_a_comma_list_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTH_GOOGLE_CLIENT_IDS", "web.example.org, Phone.example.org,")
    assert AuthSettings().google_client_ids == ("web.example.org", "Phone.example.org")


def test_the_discovery_document_is_below_the_issuer_unless_it_is_elsewhere() -> None:
    assert AuthSettings().discovery_url == "https://accounts.google.com/.well-known/openid-configuration"
    elsewhere = AuthSettings(google_issuer="https://id.example.org/", google_discovery_url="https://id.example.org/here")
    assert elsewhere.discovery_url == "https://id.example.org/here"


WITH_PAGES: dict[str, Any] = {
    **PRODUCTION,
    "return_urls": ("https://yousync.example.org/login",),
    "google_client_secret": SecretStr("the provider's"),
    "public_url": "https://yousync.example.org",
}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"google_client_secret": None}, "AUTH_GOOGLE_CLIENT_SECRET"),
        ({"public_url": "http://yousync.example.org"}, "PUBLIC_URL"),
        ({"return_urls": ("http://yousync.example.org/login",)}, "https://"),
        ({"return_urls": ("/login",)}, "no address of a page"),
        ({"return_urls": ("https://yousync.example.org/#login",)}, "no address of a page"),
    ],
)
def test_production_refuses_half_of_what_sign_in_by_browser_needs(change: dict[str, Any], said: str) -> None:
    assert AuthSettings(**WITH_PAGES)
    with pytest.raises(ValidationError, match=said):
        AuthSettings(**{**WITH_PAGES, **change})
