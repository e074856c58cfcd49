"""What the bridge cannot start without, and how it says so."""

import pytest

from libs.common.settings import load
from services.analysis.settings import AnalysisSettings


@pytest.fixture
def http_mode(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("ANALYSIS_MODE", "http")
    return monkeypatch


def test_a_bridge_that_leads_nowhere_says_which_addresses_are_missing(http_mode: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match="ANALYSIS_MODE=http needs ANALYSIS_HTTP_URL and SCRIPT_ANALYSIS_HTTP_URL"):
        load(AnalysisSettings)
    http_mode.setenv("ANALYSIS_HTTP_URL", "http://127.0.0.1:9/token")
    with pytest.raises(SystemExit, match=r"ANALYSIS_MODE=http needs SCRIPT_ANALYSIS_HTTP_URL$"):
        load(AnalysisSettings)
    http_mode.setenv("SCRIPT_ANALYSIS_HTTP_URL", "http://127.0.0.1:9/line")
    assert str(load(AnalysisSettings).script_http_url) == "http://127.0.0.1:9/line"


def test_an_address_that_is_none_is_refused_by_name(http_mode: pytest.MonkeyPatch) -> None:
    http_mode.setenv("ANALYSIS_HTTP_URL", "ftp://127.0.0.1")
    with pytest.raises(SystemExit, match="ANALYSIS_HTTP_URL"):
        load(AnalysisSettings)
