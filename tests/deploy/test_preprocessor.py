"""What deploy/preprocessor.yml adds to the platform."""

import pytest

from services.analysis.settings import AnalysisSettings
from services.audio.settings import AudioSettings
from tests.deploy.compose import CONTAINERS, read_yaml
from yousync.doctor.deployment import VARIABLE, interpolated

OVERRIDE = read_yaml("deploy/preprocessor.yml")
GIVEN = {
    "AUDIO_WEBHOOK_BASE_URL": "https://yousync.example",
    "YOUTUBE_PREPROCESSOR_HTTP_URL": "http://10.0.0.7/preprocess",
    "PREPROCESSOR_BROKER_PASSWORD": "secret",
}


def settle(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in OVERRIDE["services"][service]["environment"].items():
        monkeypatch.setenv(name, interpolated(value, GIVEN))


def test_films_are_taken_and_posted_to_the_preprocessor(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not AudioSettings().preprocessing
    assert AnalysisSettings().preprocessor_http_url is None
    settle("audio", monkeypatch)
    settle("analysis", monkeypatch)
    audio, analysis = AudioSettings(), AnalysisSettings()
    assert (audio.preprocessing, audio.webhook_base_url) == (True, "https://yousync.example")
    assert (str(analysis.preprocessor_http_url), analysis.preprocessor_concurrency) == ("http://10.0.0.7/preprocess", 2)
    assert analysis.mode == "reference"


def test_films_come_by_a_user_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    settle("analysis", monkeypatch)
    given = AnalysisSettings().preprocessor_broker_url
    assert given is not None
    assert given.get_secret_value() == "amqp://preprocessor:secret@rabbitmq:5672/"


def test_an_address_that_is_missing_is_asked_for() -> None:
    texts = [str(value) for service in OVERRIDE["services"].values() for value in service["environment"].values()]
    required = {match["name"] for text in texts for match in VARIABLE.finditer(text) if match["kind"] == "?"}
    assert required == GIVEN.keys()


def test_nobody_but_the_bridge_gets_a_way_out() -> None:
    assert OVERRIDE["services"].keys() <= CONTAINERS.keys()
    assert [name for name, service in OVERRIDE["services"].items() if "networks" in service] == ["analysis"]
