"""What deploy/analysis-http.yml makes of the analysis server."""

import pytest

from services.analysis.settings import AnalysisSettings
from services.audio.settings import AudioSettings
from tests.deploy.compose import CONTAINERS, read_yaml
from yousync.doctor.deployment import VARIABLE, interpolated

OVERRIDE = read_yaml("deploy/analysis-http.yml")
GIVEN = {
    "AUDIO_WEBHOOK_BASE_URL": "https://yousync.example",
    "ANALYSIS_HTTP_URL": "http://10.0.0.7/analyze",
    "SCRIPT_ANALYSIS_HTTP_URL": "http://10.0.0.7/analyze-script",
}


def test_it_makes_a_bridge_of_it_that_knows_its_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in OVERRIDE["services"]["analysis"]["environment"].items():
        monkeypatch.setenv(name, interpolated(value, GIVEN))
    settings = AnalysisSettings()
    assert (settings.mode, settings.http_concurrency) == ("http", 8)
    assert (str(settings.http_url), str(settings.script_http_url)) == (
        "http://10.0.0.7/analyze",
        "http://10.0.0.7/analyze-script",
    )


def test_audio_makes_webhooks_that_the_server_can_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in OVERRIDE["services"]["audio"]["environment"].items():
        monkeypatch.setenv(name, interpolated(value, GIVEN))
    assert AudioSettings().webhook_base_url == "https://yousync.example"


def test_an_address_that_is_missing_is_asked_for() -> None:
    texts = [str(value) for service in OVERRIDE["services"].values() for value in service["environment"].values()]
    required = {match["name"] for text in texts for match in VARIABLE.finditer(text) if match["kind"] == "?"}
    assert required == GIVEN.keys()


def test_nobody_but_the_bridge_gets_a_way_out() -> None:
    assert OVERRIDE["services"].keys() <= CONTAINERS.keys()
    assert [name for name, service in OVERRIDE["services"].items() if "networks" in service] == ["analysis"]
