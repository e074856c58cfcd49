"""From what was gathered to what a person reads: a tree of what happened, in order, and a verdict. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from yousync.trace.fate import Where, fates, since
from yousync.trace.gather import Gathered, Row, Sent
from yousync.trace.verdict import verdict
from yousync.trace.words import REASONS, STATES, how_long, size

# A message is made by the change that it tells of, microseconds later, and before the next change.
CLOCK_STEP = timedelta(milliseconds=1)


@dataclass(slots=True)
class Node:
    """Something that happened, and what followed from it. `trouble` marks what a person should look at."""

    text: str
    at: datetime | None = None
    trouble: bool = False
    children: list["Node"] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        at = self.at.isoformat() if self.at else None
        return {"at": at, "text": self.text, "trouble": self.trouble, "then": [child.as_json() for child in self.children]}


@dataclass(frozen=True, slots=True)
class Story:
    """A job's life. `stuck` is whether a person has to do something."""

    job_id: str
    headline: str
    began: datetime | None
    nodes: tuple[Node, ...]
    silent: tuple[str, ...]
    verdict: str
    stuck: bool

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "job_id": self.job_id,
            "headline": self.headline,
            "verdict": self.verdict,
            "stuck": self.stuck,
            "silent": list(self.silent),
            "events": [node.as_json() for node in self.nodes],
        }


def tell(found: Gathered) -> Story:
    """The story of the job."""
    text, stuck = verdict(found)
    silent = tuple(f"{part} does not answer: {why}" for part, why in found.silent.items())
    if found.job is None:
        return Story(found.job_id, f"job {found.job_id}", None, (), silent, text, stuck)
    earlier, later = _chain(found, found.job)
    nodes = (*earlier, _received(found, found.job), *_steps(found, found.job), *later)
    return Story(found.job_id, _headline(found.job), found.job["created_at"], nodes, silent, text, stuck)


def _headline(job: Row) -> str:
    if job["film_id"] is not None:
        return f"job {job['id']}: scenes of {job['actor_name']} in {job['movie_name']}, asked for by {job['owner_key']}"
    line = f"line {job['script_id']}{_quoted(job['line'])} of " if job["script_id"] is not None else "the whole of "
    who = f"user {job['user_id']}" if job["user_id"] is not None else "somebody who was not signed in"
    scene = f"scene {job['token_id']}{_quoted(job['scene'])}"
    return f"job {job['id']}: {line}{scene}, spoken by {who}, priority {job['priority']}"


def _quoted(text: str | None) -> str:
    return f' "{text}"' if text else ""


def _received(found: Gathered, job: Row) -> Node:
    if job["film_id"] is not None:
        over = "" if job["retry_of"] is None else f", to do job {job['retry_of']} over"
        return Node(f"the film was asked for{over}: {job['youtube_url']}", job["created_at"])
    stored = f"{size(job['size'])} of {job['media_type']}, stored as {job['object_key']}"
    if job["retry_of"] is None:
        return Node(f"the take was received: {stored}", job["take_at"])
    return Node(f"asked to do job {job['retry_of']} over; its take: {stored}", job["created_at"])


def _steps(found: Gathered, job: Row) -> Iterator[Node]:
    """One node for what happened outside of attempts, one for each attempt."""
    log = found.log or [_only_step(job)]
    messages = _by_step(found, log)
    attempt: Node | None = None
    told: list[tuple[Row, list[Sent]]] = []
    for step, sent in zip(log, messages, strict=True):
        if step["event"] == "progressed":
            told.append((step, sent))
            continue
        if told and attempt is not None:
            attempt.children.append(_progress(found, told))
        told = []
        if step["state"] == "dispatched":
            if attempt is not None and step["event"] != "dispatch":
                attempt.children.append(Node(_step_text(step, job), step["at"], children=_messages(found, sent)))
                sent = []
            if attempt is not None:
                yield attempt
            lease = f", lease {step['lease'][:8]}" if step["lease"] else ""
            attempt = Node(f"attempt {step['attempt']}{lease}", step["at"], children=_messages(found, sent))
            continue
        node = Node(_step_text(step, job), step["at"], children=_messages(found, sent))
        if attempt is None:
            yield node
        else:
            attempt.children.append(node)
    if attempt is not None:
        if told:
            attempt.children.append(_progress(found, told))
        yield attempt


def _only_step(job: Row) -> Row:
    """Of a job from before there was a log."""
    return {"event": "uploaded", "at": job["created_at"], "state": "queued", "attempt": 0, "reason": None, "worker": None}


def _by_step(found: Gathered, log: list[Row]) -> list[list[Sent]]:
    """The messages that each step made: the last step that was not later than they."""
    of_steps: list[list[Sent]] = [[] for _ in log]
    for message in found.sent:
        lease = str(message.body.get("lease", ""))
        for number in range(len(log) - 1, -1, -1):
            step = log[number]
            own = lease and step.get("lease") and lease.startswith(step["lease"]) and step["state"] == "dispatched"
            if own or (not lease and step["at"] <= message.created_at + CLOCK_STEP) or number == 0:
                of_steps[number].append(message)
                break
    return of_steps


def _step_text(step: Row, job: Row) -> str:
    worker = step["worker"] or "an analysis server"
    why = REASONS.get(step["reason"] or "", step["reason"] or "no reason was given")
    ended = "" if step["state"] in ("queued", "dispatched") else f": {STATES.get(step['state'], step['state'])}"
    again = "; it is to be tried again" if step["state"] in ("queued", "dispatched") else ended
    match step["event"]:
        case "uploaded":
            with_take = job["retry_of"] is None and job["film_id"] is None
            return "accepted: the job is committed" + (" together with its take" if with_take else "")
        case "started":
            return f"{worker} took it up"
        case "completed":
            return f"{worker} reported the result, which is committed{ended}"
        case "failed":
            return f"{worker} could not do it ({why}){again}"
        case "tick" if step["reason"] == "unclaimed":
            return "nobody took it from the work queue in time; it waits for its turn again, and no attempt is lost"
        case "tick":
            return f"time ran out ({why}){again}"
        case "age":
            return "waited long: one priority up"
        case "cancel":
            return "cancelled on request"
        case other:
            return f"{other}{ended}"


def _progress(found: Gathered, told: list[tuple[Row, list[Sent]]]) -> Node:
    """Reports of progress in a row are one line, but for the messages that somebody should look at."""
    sent = [message for _, messages in told for message in messages]
    furthest = max((int(message.body.get("progress", 0)) for message in sent), default=None)
    shown = "" if furthest is None else f", shown as up to {furthest} %"
    last = told[-1][0]["at"] - told[0][0]["at"]
    span = f" within {how_long(last)}" if len(told) > 1 else ""
    node = Node(f"told its progress {_times(len(told))}{span}{shown}", told[0][0]["at"])
    node.children = [line for line in _messages(found, sent) if line.trouble]
    return node


def _times(number: int) -> str:
    return {1: "once", 2: "twice"}.get(number, f"{number} times")


def _messages(found: Gathered, sent: list[Sent]) -> list[Node]:
    return [_message(found, message) for message in sent]


def _message(found: Gathered, message: Sent) -> Node:
    whole = fates(found, message)
    frame = next((frame for frame in found.frames if frame["sequence"] == message.body.get("sequence")), None)
    parts = [fate.text for fate in whole]
    if message.sent_at is None and all(fate.where is Where.UNSENT for fate in whole):
        parts = [f"in audio's outbox for {since(found, message.created_at)}"]
    elif message.sent_at is not None and all(fate.at is None or message.sent_at <= fate.at for fate in whole):
        parts.insert(0, f"out after {how_long(message.sent_at - message.created_at)}")
    if frame is not None:
        parts.append(f"{'final ' if frame['final'] else ''}frame {frame['sequence']} stored")
    return Node(f"{message.type}: {'; '.join(parts)}", message.created_at, any(fate.trouble for fate in whole))


def _chain(found: Gathered, job: Row) -> tuple[list[Node], list[Node]]:
    """The other jobs for the same take: those that came before, and those that came after."""
    earlier: list[Node] = []
    later: list[Node] = []
    for other in found.chain:
        ended = STATES.get(other["state"], other["state"])
        why = f" ({REASONS.get(other['reason'], other['reason'])})" if other["reason"] and other["state"] == "failed" else ""
        if other["created_at"] < job["created_at"]:
            earlier.append(Node(f"earlier job {other['id']}: {ended}{why}", other["created_at"]))
        elif other["id"] != job["id"]:
            later.append(Node(f"done over by job {other['id']}: {ended}{why}", other["created_at"]))
    return earlier, later
