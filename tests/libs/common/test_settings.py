from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from libs.common.settings import BusSettings, DatabaseSettings, StorageSettings, load


def test_a_laptop_needs_no_settings() -> None:
    assert StorageSettings().environment == "development"


def test_production_names_every_setting_that_is_left_to_its_default() -> None:
    with pytest.raises(ValidationError, match="STORAGE_URL, STORAGE_SIGNING_KEY"):
        StorageSettings(environment="production")


def test_production_starts_when_all_is_set() -> None:
    settings = StorageSettings(environment="production", storage_url="s3://takes", storage_signing_key=SecretStr("k" * 32))
    assert settings.storage_url == "s3://takes"


def test_a_short_secret_is_refused_and_not_shown() -> None:
    with pytest.raises(ValidationError, match="at least 32 bytes") as refusal:
        StorageSettings(storage_signing_key=SecretStr("tiny-secret"))
    assert "tiny-secret" not in str(refusal.value)


def test_a_process_with_wrong_settings_ends_with_a_line_per_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_SIGNING_KEY", "tiny-secret")
    monkeypatch.setenv("LISTEN_PORT", "high")
    with pytest.raises(SystemExit) as ended:
        load(StorageSettings)
    title, *faults = str(ended.value).splitlines()
    assert title == "cannot start with these settings (StorageSettings):"
    assert [fault.partition(":")[0] for fault in faults] == ["LISTEN_PORT", "STORAGE_SIGNING_KEY"]
    assert "tiny-secret" not in str(ended.value)


def test_the_environment_wins_over_secret_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "BROKER_URL").write_text("amqp://from-file")
    (tmp_path / "DATABASE_URL").write_text("postgresql+asyncpg://from-file")
    monkeypatch.setenv("SECRETS_DIR", str(tmp_path))
    monkeypatch.setenv("BROKER_URL", "amqp://from-environment")
    assert BusSettings().broker_url.get_secret_value() == "amqp://from-environment"
    assert DatabaseSettings().database_url.get_secret_value() == "postgresql+asyncpg://from-file"
