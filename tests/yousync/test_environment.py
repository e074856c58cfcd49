"""Limits per address are made for many addresses; a laptop has one."""

from pathlib import Path

import pytest

from yousync.environment import SERVICES, Address, Backing, service_environment
from yousync.options import Options


def gateway_environment(state_dir: Path, kind: str) -> dict[str, str]:
    addresses = {name: Address.tcp("127.0.0.1", 1) for name in SERVICES}
    return service_environment(
        "gateway", Options(state_dir=state_dir, environment=kind), Backing(None, {}, "file:///x"), addresses
    )


def test_only_what_is_started_for_development_has_other_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GATEWAY_LIMITS_FACTOR", raising=False)
    assert gateway_environment(tmp_path, "development")["GATEWAY_LIMITS_FACTOR"] == "1000"
    assert "GATEWAY_LIMITS_FACTOR" not in gateway_environment(tmp_path, "production")


def test_whoever_wants_to_see_limits_at_work_sets_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_LIMITS_FACTOR", "1")
    assert gateway_environment(tmp_path, "development")["GATEWAY_LIMITS_FACTOR"] == "1"
