"""Which recording is heard when."""

import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.storage.base import StoredObject
from services.audio.dubbing_errors import NoTakes, SceneNotMixable
from services.audio.dubbing_plan import OVERLAP_SECONDS, Part, Plan, Take, planned

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
BACKGROUND = StoredObject("bgvoice.wav", 100, "audio/wav")


def line(script_id: int, start: float, end: float, *, minute: int = 0) -> Take:
    return Take(script_id, f"line-{script_id}", NOON + timedelta(minutes=minute), start, end)


def whole(*, minute: int = 0) -> Take:
    return Take(None, "whole", NOON + timedelta(minutes=minute), 10.0, 30.0)


def plan(*takes: Take, start: float = 10.0, end: float = 30.0, background: StoredObject | None = BACKGROUND) -> Plan:
    return planned(start, end, takes, background, max_seconds=300.0)


def parts(of: Plan) -> dict[int | None, list[Part]]:
    return {voice.script_id: list(voice.parts) for voice in of.voices}


def test_a_take_begins_with_its_line_and_may_go_on_into_silence() -> None:
    made = plan(line(1, 12.0, 14.0))
    assert (made.seconds, made.background) == (20.0, "bgvoice.wav")
    assert parts(made) == {1: [Part(at=2.0, skip=0.0, seconds=18.0)]}


def test_a_take_that_is_too_long_ends_when_the_next_line_has_begun() -> None:
    assert parts(plan(line(1, 12.0, 14.0), line(2, 15.0, 16.0)))[1] == [Part(2.0, 0.0, 3.0 + OVERLAP_SECONDS)]


def test_lines_that_the_film_has_at_the_same_time_are_both_heard_to_their_end() -> None:
    made = parts(plan(line(1, 12.0, 20.0), line(2, 13.0, 14.0)))
    assert made[1] == [Part(2.0, 0.0, 8.0 + OVERLAP_SECONDS)]
    assert made[2] == [Part(3.0, 0.0, 17.0)]


def test_nothing_is_heard_after_the_scene() -> None:
    assert parts(plan(line(1, 29.0, 35.0), line(2, 31.0, 32.0), line(3, 5.0, 9.0))) == {1: [Part(19.0, 0.0, 1.0)]}


def test_a_line_that_began_before_the_scene_is_heard_from_where_the_scene_begins() -> None:
    assert parts(plan(line(1, 9.0, 12.0), line(2, 13.0, 14.0)))[1] == [Part(-1.0, 0.0, 4.5)]


def test_a_recording_of_the_whole_scene_stands_for_all_lines_that_were_recorded_before() -> None:
    assert parts(plan(line(1, 12.0, 14.0, minute=0), whole(minute=1))) == {None: [Part(0.0, 0.0, 20.0)]}


def test_a_line_that_was_recorded_after_the_whole_scene_takes_its_place_there() -> None:
    made = parts(plan(whole(), line(1, 12.0, 14.0, minute=1)))
    assert made == {None: [Part(0.0, 0.0, 2.0), Part(4.0, 4.0, 16.0)], 1: [Part(2.0, 0.0, 2.0 + OVERLAP_SECONDS)]}


def test_lines_from_end_to_end_leave_nothing_of_the_whole_scene() -> None:
    assert set(parts(plan(whole(), line(1, 10.0, 20.0, minute=1), line(2, 20.0, 30.0, minute=1)))) == {1, 2}


@pytest.mark.parametrize(
    ("start", "end"), [(10.0, 10.0), (10.0, 9.0), (0.0, 301.0), (0.0, math.nan), (0.0, math.inf), (-math.inf, 0.0)]
)
def test_a_scene_without_a_length_that_is_mixed_is_refused(start: float, end: float) -> None:
    with pytest.raises(SceneNotMixable):
        plan(line(1, 12.0, 14.0), start=start, end=end)


@pytest.mark.parametrize("takes", [(), (line(1, 40.0, 41.0),), (line(1, 14.0, 12.0),), (line(1, math.nan, 12.0),)])
def test_without_a_recording_that_is_heard_there_is_no_dubbing(takes: tuple[Take, ...]) -> None:
    with pytest.raises(NoTakes):
        plan(*takes)


def test_what_is_heard_is_told_by_the_fingerprint() -> None:
    first = plan(line(1, 12.0, 14.0))
    assert first.fingerprint == plan(line(1, 12.0 + 1e-9, 14.0)).fingerprint
    others = [
        plan(line(1, 12.001, 14.0)),
        plan(line(2, 12.0, 14.0)),
        plan(line(1, 12.0, 14.0), end=29.0),
        plan(line(1, 12.0, 14.0), background=None),
        plan(line(1, 12.0, 14.0), background=StoredObject("bgvoice.wav", 101, "audio/wav")),
    ]
    assert len({each.fingerprint for each in (first, *others)}) == 1 + len(others)


def test_a_plan_survives_being_kept() -> None:
    made = plan(whole(), line(1, 12.0, 14.0, minute=1))
    assert Plan.of_json(made.as_json()) == made


_TIMES = st.floats(0, 40, allow_nan=False)


@given(st.lists(st.tuples(_TIMES, _TIMES, st.booleans()), max_size=6))
def test_whatever_the_lines_are_every_part_lies_in_the_scene(lines: list[tuple[float, float, bool]]) -> None:
    takes = [line(number, min(a, b), max(a, b), minute=later) for number, (a, b, later) in enumerate(lines)]
    for voice in plan(whole(), *takes).voices:
        for part in voice.parts:
            assert part.seconds > 0
            assert part.skip >= 0
            assert part.at + part.seconds <= 20.0 + 1e-5
            assert part.at >= (0 if voice.script_id is None else -10)
