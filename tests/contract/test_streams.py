"""Section 9: the event streams, as an `EventSource` without credentials reads them."""

import json
import time
from typing import Any

import httpx
import pytest

from tests.contract.catalogue import LINES
from tests.contract.shapes import refused
from tests.contract.site import Site

FLOWS = ("scripts", "tokens")


def events(client: httpx.Client, path: str, **headers: str) -> list[list[str]]:
    """Every event until the server closes, as its lines; comments are nothing that a client sees."""
    with client.stream("GET", path, headers={"Accept": "text/event-stream", **headers}, timeout=60.0) as stream:
        assert stream.status_code == 200
        assert stream.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert stream.headers["cache-control"] == "no-cache"
        text = "".join(stream.iter_text())
    blocks = [[line for line in block.split("\n") if not line.startswith(":")] for block in text.split("\n\n")]
    return [block for block in blocks if block and block != [""]]


def frame(event: list[str]) -> Any:
    """The JSON of an event, which is unnamed and has one line of data."""
    assert all(line.startswith(("id: ", "data: ")) for line in event), event
    (data,) = (line.removeprefix("data: ") for line in event if line.startswith("data: "))
    return json.loads(data)


@pytest.mark.parametrize("flow", FLOWS)
def test_a_stream_tells_whole_states_to_the_end(site: Site, flow: str, form: str) -> None:
    job_id = site.upload(site.user, LINES[0])
    frames = [frame(event) for event in events(site.anonymous, f"/api/{flow}/analysis-progress/{job_id}{form}")]
    assert all(list(each) == ["job_id", "status", "progress", "message", "result"] for each in frames)
    assert {each["job_id"] for each in frames} == {job_id}
    assert all((each["status"], each["result"]) == ("processing", None) for each in frames[:-1])
    final = frames[-1]
    assert (final["status"], final["progress"], final["message"]) == ("completed", 100, "분석 완료")
    assert final["result"]["result"]["word_analysis"]
    # The final frame is told before it is stored: who asks within these milliseconds may be told an older state before it.
    path, give_up = f"/api/{flow}/analysis-progress/{job_id}{form}", time.monotonic() + 10
    again = [frame(event) for event in events(site.anonymous, path)]
    while len(again) > 1 and time.monotonic() < give_up:
        assert again[-1] == final
        again = [frame(event) for event in events(site.anonymous, path)]
    assert again == [final]


@pytest.mark.parametrize(("flow", "data"), [("scripts", '{"error":"Job not found"}'), ("tokens", '{"error": "Job not found"}')])
@pytest.mark.parametrize("job_id", ["0" * 32, "x", "%00"])
def test_an_unknown_job_is_told_in_the_stream(site: Site, flow: str, data: str, job_id: str, form: str) -> None:
    assert events(site.anonymous, f"/api/{flow}/analysis-progress/{job_id}{form}") == [[f"data: {data}"]]


@pytest.mark.parametrize("flow", FLOWS)
def test_a_browser_that_comes_back_is_told_what_it_missed(site: Site, flow: str, form: str) -> None:
    job_id = site.upload(site.user, LINES[1])
    path = f"/api/{flow}/analysis-progress/{job_id}{form}"
    whole = events(site.anonymous, path)
    (last_id,) = (line.removeprefix("id: ") for line in whole[-1] if line.startswith("id: "))
    before = events(site.anonymous, path, **{"Last-Event-ID": str(int(last_id) - 1)})
    assert before[-1] == whole[-1]


@pytest.mark.parametrize("flow", FLOWS)
def test_a_stream_is_only_read(site: Site, flow: str, form: str) -> None:
    refused(site.anonymous.post(f"/api/{flow}/analysis-progress/{'0' * 32}{form}"), 405)
