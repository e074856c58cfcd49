"""The judge, before anybody is judged: what went wrong is named, and by the right name."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.clients import Manner, Person, Refusal
from tests.chaos.faults import BROKER, Wound
from tests.chaos.verdict import Journal, Verdict, judge_person, judge_refusals

RESULT = {"status": "success", "result": {"overall_score": 0.5}}
COMPLETED = {"status": "completed", "result": RESULT}


@pytest.fixture
def person() -> Person:
    """Somebody who saw all that there is to see."""
    seen = Person("person", "http://127.0.0.1:1", 1, b"", None, Manner.STAYS, random.Random(0), job_id="0" * 32)
    for event_id, frame in (("1", {"status": "processing"}), ("2", COMPLETED)):
        seen.see(event_id, frame)
    seen.done = True
    return seen


def judged(person: Person, state: dict[str, Any]) -> Verdict:
    verdict = Verdict(seed=1)
    judge_person(verdict, person, state)
    return verdict


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
    assert len(judged(person, {**COMPLETED, "result": {}}).lost) == 1


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


def test_a_failed_job_is_explained_when_each_attempt_is(tmp_path: Path) -> None:
    notes = [("a", 10.0, "worker-1"), ("b", 50.0, "worker-2")]
    path = tmp_path / "journal"
    path.write_text(
        "".join(
            json.dumps({"at": at, "worker": who, "job": "j", "what": "began", "attempt": name}) + "\n"
            for name, at, who in notes
        )
    )
    killed = [Wound("kill -9", who, at + 1, at + 2) for _, at, who in notes]
    journal = Journal(path)
    assert journal.attempts == 2
    assert journal.explain_failure("j", killed, patience=10.0)
    assert not journal.explain_failure("j", killed[:1], patience=10.0)
