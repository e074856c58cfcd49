"""What must be true when everything is over, and whether what went wrong is what the faults explain."""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import asyncpg

from tests.chaos.clients import Person, Refusal
from tests.chaos.faults import BROKER, POSTGRES, Wound
from yousync.audit import Kind, audit
from yousync.stores import Stores

# A job may fail only because its servers were lost or crashed, each time; the names under which `audio` says so.
LEGAL_REASONS = {"worker_lost", "scoring_crashed"}
# What takes an answer from an upload. The broker does not: killing it costs no upload an error.
NEEDED_BY_UPLOADS = {"gateway", "auth", "catalog", "audio", POSTGRES}
ATTEMPT_SECONDS = 20.0  # from its begin until its lease has run out
AUDIT_SECONDS = 40.0  # longer than the longest rung of the retry ladder
HEALING_SECONDS = 5.0  # from the start of a process to its first answers, on a machine that is busy with everything else


@dataclass
class Verdict:
    """One run's findings. Nothing in `lost`, `duplicated`, `stuck` and `unexplained`: it held."""

    seed: int
    accepted: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    attempts: int = 0
    messages: int = 0  # of outboxes, that were handled
    refusals: int = 0
    resumed: int = 0  # connections beyond the first
    lost: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    unexplained: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        return not (self.lost or self.duplicated or self.stuck or self.unexplained)

    @property
    def counts(self) -> dict[str, int]:
        """A line of the table."""
        wrong = {"lost": self.lost, "duplicated": self.duplicated, "stuck": self.stuck, "unexplained": self.unexplained}
        return {
            "accepted": self.accepted,
            "completed": self.completed,
            "failed": self.failed,
            "cancelled": self.cancelled,
            "attempts": self.attempts,
            "messages": self.messages,
            "refused": self.refusals,
            "resumed": self.resumed,
            **{name: len(findings) for name, findings in wrong.items()},
        }

    @property
    def findings(self) -> list[str]:
        kinds = {"lost": self.lost, "duplicated": self.duplicated, "stuck": self.stuck, "unexplained": self.unexplained}
        return [f"{kind}: {finding}" for kind, findings in kinds.items() for finding in findings]


@dataclass(frozen=True)
class Attempt:
    """One attempt at a job, as its worker wrote it down. `number` grows with each lease."""

    id: str
    number: int
    worker: str
    began: float


class Journal:
    """What the workers wrote down of their attempts, a line of JSON each."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._attempts: dict[str, list[Attempt]] = defaultdict(list)  # by job
        self._crashed: set[str] = set()
        self._scored: dict[str, float] = {}  # attempt -> when
        for line in lines:
            note = json.loads(line)
            match note["what"]:
                case "began":
                    attempt = Attempt(note["attempt"], note["number"], note["worker"], note["at"])
                    self._attempts[note["job"]].append(attempt)
                case "crashed":
                    self._crashed.add(note["attempt"])
                case _:
                    self._scored[note["attempt"]] = note["at"]

    @property
    def attempts(self) -> int:
        return sum(map(len, self._attempts.values()))

    def was_given_up(self, job_id: str, attempt_id: str) -> bool:
        """Whether somebody else had the job when this attempt at it was done: then its report must change nothing."""
        attempts = self._attempts[job_id]
        number = next(attempt.number for attempt in attempts if attempt.id == attempt_id)
        return any(other.number > number and other.began < self._scored[attempt_id] for other in attempts)

    def explain_failure(self, job_id: str, wounds: Sequence[Wound], patience: float) -> bool:
        """Whether each attempt at the job crashed on purpose, or something that it needs was hurt while it ran."""
        needed = {"audio", BROKER, POSTGRES}
        return all(
            attempt.id in self._crashed
            or any(
                wound.whom in needed | {attempt.worker}
                and wound.touches(attempt.began, attempt.began + patience, healing=HEALING_SECONDS)
                for wound in wounds
            )
            for attempt in self._attempts[job_id]
        )


def judge_person(verdict: Verdict, person: Person, state: dict[str, Any], journal: Journal) -> None:
    """What one person saw, against the job's state in the end."""
    who = f"{person.name} ({person.manner.value}, job {person.job_id})"
    if person.job_id is None:
        verdict.stuck.append(f"{who} could not upload: {person.refusals[-1].what}")
        return
    verdict.accepted += 1
    verdict.resumed += max(0, person.connections - 1)
    status = state["status"]
    if status == "unknown":
        verdict.lost.append(f"{who}: there is no such job")
    elif status not in ("completed", "failed"):
        verdict.stuck.append(f"{who}: the job is {status}: {state.get('message')}")
    if person.final is None and status in ("completed", "failed"):
        verdict.stuck.append(f"{who}: the job is {status}, its stream did not tell after {len(person.frames)} frames")
    elif person.final is not None and not person.done:
        verdict.stuck.append(f"{who}: the stream did not end behind the final frame")
    elif person.final is not None and any(person.final.get(key) != state.get(key) for key in ("status", "result")):
        verdict.lost.append(f"{who}: the stream told {str(person.final)[:150]}, the job is {str(state)[:150]}")
    for fault in person.faults:
        kind = verdict.lost if "not found" in fault else verdict.duplicated
        kind.append(f"{who} {fault}")
    if status == "completed" and journal.was_given_up(str(person.job_id), state["result"]["result"]["attempt"]):
        verdict.unexplained.append(f"{who}: the result is of an attempt that was given up before it was done")
    verdict.completed += status == "completed"


def judge_refusals(verdict: Verdict, refusals: Iterable[Refusal], wounds: Sequence[Wound]) -> None:
    """Every upload that failed must have met something that uploads need."""
    unexplained: dict[str, list[float]] = defaultdict(list)
    for refusal in refusals:
        verdict.refusals += 1
        ended = refusal.at + refusal.seconds
        if not any(w.whom in NEEDED_BY_UPLOADS and w.touches(refusal.at, ended, healing=HEALING_SECONDS) for w in wounds):
            unexplained[refusal.what].append(refusal.at)
    for what, times in unexplained.items():
        first, last = (datetime.fromtimestamp(time, UTC).strftime("%H:%M:%S") for time in (min(times), max(times)))
        verdict.unexplained.append(f"{len(times)} uploads between {first} and {last} failed with {what}")


async def judge_books(
    verdict: Verdict, stores: Stores, people: Sequence[Person], journal: Journal, wounds: Sequence[Wound]
) -> None:
    """The services' books: a job for each accepted upload and no other, and what the audit names."""
    connection = await asyncpg.connect(stores.database_urls["audio"])
    try:
        jobs = await connection.fetch("SELECT id, state, reason, attempt FROM jobs")
    finally:
        await connection.close()
    accepted = {person.job_id: person for person in people}
    for job_id, state, reason, attempt in jobs:
        person = accepted.get(job_id)
        if person is None:
            verdict.duplicated.append(f"job {job_id} is nobody's: an upload made two")
        elif (state == "cancelled") != (person.cancelled is True):
            verdict.lost.append(f"{person.name} asked to stop job {job_id}: answered {person.cancelled}, it is {state}")
        verdict.cancelled += state == "cancelled"
        verdict.failed += state == "failed"
        explained = reason in LEGAL_REASONS and journal.explain_failure(job_id, wounds, ATTEMPT_SECONDS)
        if state == "failed" and not explained:
            verdict.unexplained.append(f"job {job_id} failed with {reason} after attempt {attempt}")
    report = await audit(stores, wait=AUDIT_SECONDS)
    verdict.messages = sum(count.handled for count in report.counts)
    for finding in report.findings:
        match finding.kind:
            case Kind.LOST | Kind.GAP | Kind.ORPHAN:
                verdict.lost.append(f"audit: {finding}")
            case Kind.DUPLICATE:
                verdict.duplicated.append(f"audit: {finding}")
            case _:
                verdict.stuck.append(f"audit: {finding}")
