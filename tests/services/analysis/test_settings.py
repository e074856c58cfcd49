"""What the bridge cannot start without, and how it says so."""

import pytest

from libs.common.settings import load
from services.analysis.settings import AnalysisSettings

URLS = {"ANALYSIS_HTTP_URL": "http://127.0.0.1:9/token", "SCRIPT_ANALYSIS_HTTP_URL": "http://127.0.0.1:9/line"}


@pytest.fixture
def http_mode(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("ANALYSIS_MODE", "http")
    return monkeypatch


def test_a_bridge_that_leads_nowhere_says_which_addresses_are_missing(http_mode: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match="ANALYSIS_MODE=http needs ANALYSIS_HTTP_URL and SCRIPT_ANALYSIS_HTTP_URL"):
        load(AnalysisSettings)
    http_mode.setenv("ANALYSIS_HTTP_URL", URLS["ANALYSIS_HTTP_URL"])
    with pytest.raises(SystemExit, match=r"ANALYSIS_MODE=http needs SCRIPT_ANALYSIS_HTTP_URL$"):
        load(AnalysisSettings)


def test_a_server_that_needs_a_webhook_cannot_do_without_the_base_of_its_address(http_mode: pytest.MonkeyPatch) -> None:
    for name, url in URLS.items():
        http_mode.setenv(name, url)
    with pytest.raises(SystemExit, match=r"AUDIO_WEBHOOK_BASE_URL.*ANALYSIS_NEEDS_WEBHOOK=false"):
        load(AnalysisSettings)
    http_mode.setenv("AUDIO_WEBHOOK_BASE_URL", "http://127.0.0.1:8000")
    assert str(load(AnalysisSettings).http_url) == URLS["ANALYSIS_HTTP_URL"]


def test_a_server_that_answers_with_scores_needs_no_webhook(http_mode: pytest.MonkeyPatch) -> None:
    for name, url in {**URLS, "ANALYSIS_NEEDS_WEBHOOK": "false"}.items():
        http_mode.setenv(name, url)
    assert load(AnalysisSettings).mode == "http"


def test_an_address_that_is_none_is_refused_by_name(http_mode: pytest.MonkeyPatch) -> None:
    http_mode.setenv("ANALYSIS_HTTP_URL", "ftp://127.0.0.1")
    with pytest.raises(SystemExit, match="ANALYSIS_HTTP_URL"):
        load(AnalysisSettings)
