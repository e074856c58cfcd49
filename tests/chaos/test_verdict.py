"""The judge, before anybody is judged: what went wrong is named, and by the right name."""

import json
import random
from typing import Any

import pytest

from tests.chaos.clients import Manner, Person, Refusal
from tests.chaos.faults import BROKER, Wound
from tests.chaos.verdict import Journal, Verdict, judge_person, judge_refusals

JOB = "0" * 32
RESULT = {"status": "success", "result": {"attempt": "first"}}
COMPLETED = {"status": "completed", "result": RESULT}


@pytest.fixture
def person() -> Person:
    """Somebody who saw all that there is to see."""
    seen = Person("person", "http://127.0.0.1:1", 1, b"", None, Manner.STAYS, random.Random(0), job_id=JOB)
    for event_id, frame in (("1", {"status": "processing"}), ("2", COMPLETED)):
        seen.see(event_id, frame)
    seen.done = True
    return seen


NUMBERS = {"first": 1, "second": 2}


def judged(person: Person, state: dict[str, Any], *notes: tuple[float, str, str]) -> Verdict:
    """`notes` of the workers' journal: when, what, which attempt."""
    verdict = Verdict(seed=1)
    lines = notes or ((10.0, "began", "first"), (14.0, "scored", "first"))
    judge_person(verdict, person, state, Journal(note(at, what, attempt) for at, what, attempt in lines))
    return verdict


def note(at: float, what: str, attempt: str, worker: str = "worker-1") -> str:
    named = {"attempt": attempt, "number": NUMBERS[attempt], "worker": worker, "job": JOB}
    return json.dumps({"at": at, "what": what, **named})


def test_who_saw_one_end_that_is_the_jobs_is_content(person: Person) -> None:
    verdict = judged(person, COMPLETED)
    assert verdict.holds
    assert (verdict.accepted, verdict.completed) == (1, 1)


def test_a_job_that_is_gone_is_lost(person: Person) -> None:
    assert len(judged(person, {"status": "unknown"}).lost) == 2  # the job, and what was told of it


def test_a_job_that_does_not_end_is_stuck(person: Person) -> None:
    person.final = None
    assert len(judged(person, {"status": "processing"}).stuck) == 1


def test_a_stream_that_tells_no_end_is_stuck(person: Person) -> None:
    person.final = None
    assert len(judged(person, COMPLETED).stuck) == 1


def test_a_stream_that_told_another_result_is_a_lost_one(person: Person) -> None:
    assert len(judged(person, {**COMPLETED, "result": {**RESULT, "status": "other"}}).lost) == 1


def test_a_second_end_is_a_duplicate(person: Person) -> None:
    person.see("3", COMPLETED)
    assert len(judged(person, COMPLETED).duplicated) == 1


def test_an_older_frame_is_a_duplicate(person: Person) -> None:
    person.see("1", {"status": "processing"})
    assert len(judged(person, COMPLETED).duplicated) == 1


def test_a_broker_that_was_killed_explains_no_upload_that_failed() -> None:
    verdict = Verdict(seed=1)
    refusals = [Refusal(at=11.0, seconds=1.0, what="503")]
    judge_refusals(verdict, refusals, [Wound("kill -9", BROKER, 10.0, 15.0)])
    assert len(verdict.unexplained) == 1
    judge_refusals(verdict, refusals, [Wound("kill -9", "audio", 5.0, 7.0)])
    assert len(verdict.unexplained) == 1


def test_a_result_that_came_when_somebody_else_had_the_job_must_not_count(person: Person) -> None:
    first = ((10.0, "began", "first"), (20.0, "scored", "first"))
    assert judged(person, COMPLETED, *first, (25.0, "began", "second")).holds
    assert not judged(person, COMPLETED, *first, (15.0, "began", "second")).holds
    # who held an earlier lease may still begin when it has run out
    newer = {**COMPLETED, "result": {**RESULT, "result": {"attempt": "second"}}}
    person.final = newer
    assert judged(person, newer, (10.0, "began", "second"), (15.0, "began", "first"), (20.0, "scored", "second")).holds


def test_a_failed_job_is_explained_when_each_attempt_is() -> None:
    attempts = [(10.0, "first", "worker-1"), (50.0, "second", "worker-2")]
    journal = Journal(note(at, "began", attempt, worker) for at, attempt, worker in attempts)
    killed = [Wound("kill -9", worker, at + 1, at + 2) for at, _, worker in attempts]
    assert journal.attempts == 2
    assert journal.explain_failure(JOB, killed, patience=10.0)
    assert not journal.explain_failure(JOB, killed[:1], patience=10.0)
