"""The two forms, as the old platform posted them."""

import json
from typing import Any
from urllib.parse import parse_qsl

from hypothesis import given
from hypothesis import strategies as st

from libs.common.contracts.audio import JobKind, Priority
from libs.common.contracts.catalog import Word
from services.analysis.forms import encoded, form_of
from tests.services.analysis.desk import work

WEBHOOK = "http://127.0.0.1:8000/api/scripts/webhook/analysis-complete?job_id=1&key=2"


def line(**changes: Any) -> dict[str, Any]:
    form = form_of(work(Priority.HIGH, **{"audio_uri": "s3://yousync/takes/a b.wav", "webhook_url": WEBHOOK, **changes}))
    assert form.keys() == {"request_data"}
    document: dict[str, Any] = json.loads(form["request_data"])
    return document


def test_a_line_is_one_field_of_json() -> None:
    assert line() == {
        "s3_audio_url": "s3://yousync/takes/a b.wav",
        "webhook_url": WEBHOOK,
        "script": {
            "id": 7,
            "words": [{"id": 1, "start_time": 10.0, "end_time": 11.0, "word": "you", "mfcc": [[1.0] * 13]}],
        },
    }


def test_a_word_without_features_has_no_field_for_them_but_for_its_times() -> None:
    words = line(words=(Word(id=2, word="넌"),))["script"]["words"]
    assert words == [{"id": 2, "start_time": None, "end_time": None, "word": "넌"}]


def test_a_whole_scene_is_five_fields_and_what_it_lacks_is_empty() -> None:
    scene: dict[str, Any] = {"kind": JobKind.TOKEN, "script_id": None, "audio_uri": "s3://yousync/takes/a.wav"}
    full = {"webhook_url": WEBHOOK, "textgrid_uri": "s3://scenes/a.TextGrid", "pitch_uri": "s3://scenes/a.json"}
    assert form_of(work(Priority.NORMAL, **scene, **full)) == {
        "s3_audio_url": "s3://yousync/takes/a.wav",
        "video_id": "3",
        "webhook_url": WEBHOOK,
        "s3_textgrid_url": "s3://scenes/a.TextGrid",
        "s3_pitch_url": "s3://scenes/a.json",
    }
    bare = form_of(work(Priority.NORMAL, **scene))
    assert (bare["webhook_url"], bare["s3_textgrid_url"], bare["s3_pitch_url"]) == ("", "", "")


def test_a_recording_that_lies_on_our_disk_is_given_by_its_link() -> None:
    document = line(audio_uri="file:///takes/a.wav", audio_url="http://127.0.0.1:8000/objects/a.wav?signature=x")
    assert document["s3_audio_url"] == "http://127.0.0.1:8000/objects/a.wav?signature=x"


@given(st.dictionaries(st.text(min_size=1), st.text()))
def test_a_body_is_read_as_it_was_meant(form: dict[str, str]) -> None:
    body = encoded(form)
    assert dict(parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=bool(form))) == form
