"""The state machine, every state against every event."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from uuid import uuid4

import pytest

from libs.common.contracts.audio import JobKind, Priority
from services.audio import texts
from services.audio.facts import fact_of
from services.audio.jobs import (
    Age,
    Cancel,
    Completed,
    Dispatch,
    Failed,
    Ignored,
    Job,
    JobEvent,
    Lifetimes,
    Progressed,
    Rules,
    Started,
    State,
    Tick,
    Why,
    new_job,
    transition,
)
from services.audio.service import JOB_ID

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
RULES = Rules(lease_seconds=30, claim_seconds=120, ageing_seconds=60, max_attempts=3, retry_seconds=(0, 15))
LEASE = "the lease of this attempt"
RESULT = {"status": "success"}

EVENTS: dict[str, JobEvent] = {
    "dispatch": Dispatch("a new lease"),
    "started": Started(LEASE, "worker 1"),
    "progressed": Progressed(LEASE, 50, "align"),
    "completed": Completed(LEASE, RESULT),
    "failed for now": Failed(LEASE, "scoring_timed_out", "x", temporary=True),
    "failed for good": Failed(LEASE, "audio_unreadable", "못 읽습니다", temporary=False),
    "tick": Tick(),
    "age": Age(5),
    "cancel": Cancel(),
}

D, R, Q, C, F, X = State.DISPATCHED, State.RUNNING, State.QUEUED, State.COMPLETED, State.FAILED, State.CANCELLED
DUPLICATE, STALE, FINISHED, NOT_DUE = Why.DUPLICATE, Why.STALE_LEASE, Why.FINISHED, Why.NOT_DUE

TABLE: dict[State, tuple[State | Why, ...]] = {
    #  dispatch   started    progressed completed failed now good      tick     age      cancel
    Q: (D, STALE, STALE, STALE, STALE, STALE, NOT_DUE, NOT_DUE, X),
    D: (DUPLICATE, R, R, C, Q, F, NOT_DUE, DUPLICATE, X),
    R: (DUPLICATE, DUPLICATE, R, C, Q, F, NOT_DUE, DUPLICATE, X),
    C: (FINISHED,) * 9,
    F: (FINISHED,) * 9,
    X: (FINISHED,) * 9,
}


def job(state: State = State.QUEUED, *, attempt: int = 1) -> Job:
    """A job as it is after it came into `state`."""
    fresh = Job(
        id="0" * 32,
        kind=JobKind.LINE,
        take_id=uuid4(),
        user_id=1,
        token_id=3,
        script_id=7,
        priority=Priority.NORMAL,
        dispatch_at=NOW,
        deadline=NOW + timedelta(seconds=600),
        created_at=NOW,
        updated_at=NOW,
    )
    if state in (State.DISPATCHED, State.RUNNING):
        expires = NOW + timedelta(seconds=120 if state is State.DISPATCHED else 30)
        return replace(fresh, state=state, attempt=attempt, lease=LEASE, lease_expires_at=expires, progress=70)
    return replace(fresh, state=state, finished_at=None if state.is_open else NOW)


def after(before: Job, event: JobEvent, now: datetime = NOW) -> Job:
    changed = transition(before, event, now, RULES)
    assert isinstance(changed, Job)
    return changed


@pytest.mark.parametrize(("state", "name"), list(product(State, EVENTS)))
def test_every_state_answers_every_event_as_the_table_says(state: State, name: str) -> None:
    expected = TABLE[state][list(EVENTS).index(name)]
    changed = transition(job(state), EVENTS[name], NOW, RULES)
    assert (changed.why if isinstance(changed, Ignored) else changed.state) is expected


@pytest.mark.parametrize(("state", "name"), list(product(State, EVENTS)))
def test_every_change_makes_the_version_one_greater_and_the_sequence_if_it_is_told(state: State, name: str) -> None:
    before = job(state)
    changed = transition(before, EVENTS[name], NOW, RULES)
    if isinstance(changed, Job):
        assert changed.version == before.version + 1
        assert changed.sequence == before.sequence + (fact_of(before, changed) is not None)
        assert (changed.finished_at is None) is changed.state.is_open
        assert (changed.lease is None) is (changed.state not in (State.DISPATCHED, State.RUNNING))


@pytest.mark.parametrize("name", ["started", "progressed", "completed", "failed for now", "failed for good"])
@pytest.mark.parametrize("state", [State.DISPATCHED, State.RUNNING])
def test_a_report_with_another_lease_changes_nothing(state: State, name: str) -> None:
    given_to_somebody_else = replace(job(state), lease="another lease")
    assert transition(given_to_somebody_else, EVENTS[name], NOW, RULES) == Ignored(Why.STALE_LEASE)


def test_a_dispatch_hands_out_a_lease_that_has_to_be_claimed_in_time() -> None:
    sent = after(job(), Dispatch("fresh"))
    assert (sent.lease, sent.lease_expires_at, sent.attempt) == ("fresh", NOW + timedelta(seconds=120), 1)
    assert (sent.progress, sent.message) == (70, "분석 서버 호출")


def test_no_lease_outlives_the_deadline() -> None:
    late = replace(job(), deadline=NOW + timedelta(seconds=7))
    assert after(late, Dispatch("fresh")).lease_expires_at == late.deadline


def test_a_request_that_nobody_claimed_is_queued_again_and_costs_no_attempt() -> None:
    sent = replace(after(job(), Dispatch("fresh")), turn=4)
    later = NOW + timedelta(seconds=120)
    again = after(sent, Tick(), later)
    assert (again.state, again.lease, again.attempt, again.turn, again.dispatch_at) == (State.QUEUED, None, 0, 4, later)
    assert after(again, Dispatch("fresher"), later).attempt == 1


def test_who_waited_long_enough_moves_one_priority_up_and_waits_anew() -> None:
    normal = job()
    a_minute = NOW + timedelta(seconds=60)
    aged = after(replace(normal, priority=Priority.LOW), Age(5), a_minute)
    assert (aged.priority, aged.turn, aged.state, aged.sequence) == (Priority.NORMAL, 5, State.QUEUED, normal.sequence)
    assert transition(aged, Age(6), a_minute + timedelta(seconds=59), RULES) == Ignored(Why.NOT_DUE)
    assert after(aged, Age(6), a_minute + timedelta(seconds=60)).priority is Priority.HIGH


def test_there_is_nothing_above_high() -> None:
    assert transition(replace(job(), priority=Priority.HIGH), Age(5), NOW + timedelta(hours=1), RULES) == Ignored(Why.DUPLICATE)


def test_a_start_says_who_and_when_and_progress_leaves_it_so() -> None:
    running = after(job(State.DISPATCHED), EVENTS["started"])
    assert (running.worker, running.started_at) == ("worker 1", NOW)
    later = after(running, Progressed(LEASE, 50), NOW + timedelta(seconds=5))
    assert (later.worker, later.started_at) == ("worker 1", NOW)


def test_progress_that_overtakes_the_start_begins_the_run() -> None:
    assert after(job(State.DISPATCHED), Progressed(LEASE, 50)).started_at == NOW


def test_the_start_shortens_the_lease_to_what_a_running_job_gets() -> None:
    running = after(job(State.DISPATCHED), Started(LEASE))
    assert running.lease_expires_at == NOW + timedelta(seconds=30)
    assert running.message == "분석 중…"


def test_progress_prolongs_the_lease() -> None:
    later = NOW + timedelta(seconds=20)
    running = after(job(State.RUNNING), Progressed(LEASE, 50), later)
    assert running.lease_expires_at == later + timedelta(seconds=30)
    assert running.progress == 84


def test_a_heartbeat_without_progress_prolongs_the_lease_and_tells_nobody() -> None:
    running = replace(job(State.RUNNING), progress=84, message="분석 중… align")
    later = NOW + timedelta(seconds=20)
    same = after(running, Progressed(LEASE, 10, "decode"), later)
    assert (same.sequence, same.progress, same.message) == (running.sequence, 84, "분석 중… align")
    assert fact_of(running, same) is None
    assert same.lease_expires_at == later + timedelta(seconds=30)


@pytest.mark.parametrize(("percent", "shown"), [(-5, 70), (0, 70), (50, 84), (100, 99), (10**9, 99)])
def test_a_servers_percent_becomes_70_to_99_of_the_job(percent: int, shown: int) -> None:
    assert after(job(State.DISPATCHED), Progressed(LEASE, percent)).progress == shown


def test_a_completed_job_has_its_result_and_shows_100() -> None:
    done = after(job(State.RUNNING), Completed(LEASE, RESULT))
    assert (done.progress, done.message, done.result, done.reason) == (100, "분석 완료", RESULT, None)


def test_a_failed_job_shows_0_and_what_the_server_says() -> None:
    failed = after(job(State.RUNNING), EVENTS["failed for good"])
    assert (failed.progress, failed.message, failed.reason) == (0, "못 읽습니다", "audio_unreadable")


def test_the_second_attempt_is_due_at_once_and_the_third_later() -> None:
    failed = Failed(LEASE, "x", "x", temporary=True)
    assert after(job(State.RUNNING, attempt=1), failed).dispatch_at == NOW
    assert after(job(State.RUNNING, attempt=2), failed).dispatch_at == NOW + timedelta(seconds=15)


def test_the_last_attempts_temporary_failure_ends_the_job_with_a_text_for_the_learner() -> None:
    ended = after(job(State.RUNNING, attempt=3), EVENTS["failed for now"])
    assert (ended.state, ended.reason, ended.message) == (State.FAILED, "scoring_timed_out", texts.GAVE_UP)


def test_an_expired_lease_queues_the_job_again() -> None:
    again = after(job(State.RUNNING), Tick(), NOW + timedelta(seconds=30))
    assert (again.state, again.lease, again.attempt) == (State.QUEUED, None, 1)


def test_progress_does_not_fall_when_a_job_is_tried_again() -> None:
    again = after(replace(job(State.RUNNING), progress=90), Tick(), NOW + timedelta(seconds=30))
    assert after(again, Dispatch("fresh")).progress == 90


def test_the_third_expired_lease_ends_the_job() -> None:
    ended = after(job(State.RUNNING, attempt=3), Tick(), NOW + timedelta(seconds=30))
    assert (ended.state, ended.reason, ended.message) == (State.FAILED, "worker_lost", texts.GAVE_UP)


@pytest.mark.parametrize(
    ("kind", "priority", "minutes", "form"),
    [
        (JobKind.LINE, Priority.HIGH, 10, "[0-9a-f]{32}"),
        (JobKind.TOKEN, Priority.NORMAL, 30, "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
        (JobKind.TOKEN, Priority.LOW, 360, "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    ],
)
def test_a_new_job_has_the_id_and_the_time_of_its_kind(kind: JobKind, priority: Priority, minutes: int, form: str) -> None:
    new = new_job(
        kind=kind,
        take_id=uuid4(),
        user_id=1,
        token_id=3,
        script_id=None,
        owner_key="user:1",
        priority=priority,
        lifetimes=Lifetimes(),
        now=NOW,
    )
    assert re.fullmatch(form, new.id)
    assert JOB_ID.fullmatch(new.id)
    assert new.deadline == NOW + timedelta(minutes=minutes)


@pytest.mark.parametrize("state", [State.QUEUED, State.DISPATCHED, State.RUNNING])
def test_the_deadline_ends_a_job_wherever_it_is(state: State) -> None:
    ended = after(job(state), Tick(), NOW + timedelta(seconds=600))
    assert (ended.state, ended.reason, ended.message) == (State.FAILED, "deadline", texts.TOO_LATE)
