"""What the story of a job says, and where its verdict finds it stuck."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from libs.common.bus.base import DeadLetter, Message
from yousync.trace.broker import Line, Look, Resting
from yousync.trace.gather import Gathered, Handled, Sent
from yousync.trace.story import Node, tell
from yousync.trace.words import how_long, size

JOB = "0123456789abcdef0123456789abcdef"
BEGAN = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
QUEUES = ("audio.events", "notifier.events", "analysis.work.high")


def at(seconds: float) -> datetime:
    return BEGAN + timedelta(seconds=seconds)


def job(**changes: Any) -> dict[str, Any]:
    return {
        "id": JOB, "state": "queued", "attempt": 0, "priority": "high", "turn": 1, "lease": None, "worker": None,
        "lease_expires_at": None, "dispatch_at": at(0), "deadline": at(600), "retry_of": None, "reason": None,
        "token_id": 3, "scene": "The Ferry", "script_id": 7, "line": "you could", "user_id": 5, "film_id": None,
        "size": 44_600, "media_type": "audio/wav", "object_key": "takes/1.wav", "take_at": at(0),
        "created_at": at(0), "updated_at": at(0), "finished_at": None, **changes,
    }  # fmt: skip


def step(event: str, state: str, seconds: float, *, attempt: int = 0, **columns: Any) -> dict[str, Any]:
    return {
        "event": event,
        "state": state,
        "at": at(seconds),
        "attempt": attempt,
        "lease": None,
        "worker": None,
        "reason": None,
        **columns,
    }


def sent(name: str, made: float, out: float | None, **body: Any) -> Sent:
    key = f"{name}.high" if name == "analysis.requested" else name
    return Sent(f"id of {name} {made:g}", name, key, body, at(made), None if out is None else at(out))


def gathered(now: float, **parts: Any) -> Gathered:
    broker = Look({name: Line(0, 1) for name in QUEUES})
    return Gathered(JOB, **{"now": at(now), "job": job(), "broker": broker, "log": [step("uploaded", "queued", 0)], **parts})


def lines(nodes: tuple[Node, ...] | list[Node], depth: int = 0) -> list[str]:
    return [line for node in nodes for line in (f"{'  ' * depth}{node.text}", *lines(node.children, depth + 1))]


UPLOADED = sent("audio.uploaded", 0, 0.004, sequence=1)
UPLOAD_HANDLED = {
    UPLOADED.id: [Handled("audio", "audio.dispatch", 1, at(0.01)), Handled("notifier", "notifier.tell", 1, at(0.012))]
}


def test_a_job_that_was_tried_twice_reads_like_a_story() -> None:
    first, second = ("a" * 32, "b" * 32)
    messages = [
        UPLOADED,
        sent("analysis.requested", 0.01, 0.015, lease=first, attempt=1),
        sent("analysis.started", 1, 1.002, sequence=2),
        sent("analysis.progressed", 2, 2.001, sequence=3, progress=80),
        sent("analysis.progressed", 3, 3.001, sequence=4, progress=90),
        sent("analysis.requested", 40, 40.001, lease=second, attempt=2),
        sent("analysis.completed", 42, 42.001, sequence=5),
    ]
    log = [
        step("uploaded", "queued", 0),
        step("dispatch", "dispatched", 0.01, attempt=1, lease="a" * 8),
        step("started", "running", 1, attempt=1, lease="a" * 8, worker="host-1"),
        step("progressed", "running", 2, attempt=1, lease="a" * 8, worker="host-1"),
        step("progressed", "running", 3, attempt=1, lease="a" * 8, worker="host-1"),
        step("tick", "queued", 33, attempt=1, worker="host-1", reason="worker_lost"),
        step("dispatch", "dispatched", 40, attempt=2, lease="b" * 8),
        step("started", "running", 41, attempt=2, lease="b" * 8, worker="host-2"),
        step("completed", "completed", 42, attempt=2, worker="host-2"),
    ]
    handled = {
        message.id: [Handled("notifier", "notifier.tell", 1, message.sent_at + timedelta(milliseconds=5))]
        for message in messages[2:]
        if message.sent_at
    }
    frames = [{"sequence": number, "final": number == 5, "data": {}, "created_at": at(number)} for number in range(1, 6)]
    found = gathered(
        100,
        job=job(state="completed", attempt=2, finished_at=at(42)),
        log=log,
        sent=messages,
        handled=handled | UPLOAD_HANDLED,
        frames=frames,
    )
    story = tell(found)
    assert story.headline == f'job {JOB}: line 7 "you could" of scene 3 "The Ferry", spoken by user 5, priority high'
    assert lines(story.nodes) == [
        "the take was received: 43.6 KiB of audio/wav, stored as takes/1.wav",
        "accepted: the job is committed together with its take",
        "  audio.uploaded: out after 4 ms; audio handled it after 6 ms; notifier handled it after 8 ms; frame 1 stored",
        "attempt 1, lease aaaaaaaa",
        "  analysis.requested: out after 5 ms; taken from analysis.work.high after 985 ms",
        "  host-1 took it up",
        "    analysis.started: out after 2 ms; notifier handled it after 5 ms; frame 2 stored",
        "  told its progress twice within 1.0 s, shown as up to 90 %",
        "  time ran out (nothing was heard of the analysis server until its lease ran out); it is to be tried again",
        "attempt 2, lease bbbbbbbb",
        "  analysis.requested: out after 1 ms; taken from analysis.work.high after 999 ms",
        "  host-2 took it up",
        "  host-2 reported the result, which is committed: completed",
        "    analysis.completed: out after 1 ms; notifier handled it after 5 ms; final frame 5 stored",
    ]  # fmt: skip
    assert (story.verdict, story.stuck) == ("completed in 42.0 s at attempt 2", False)


def requested(out: float | None = 0.02) -> Sent:
    return sent("analysis.requested", 0.01, out, lease="a" * 32, attempt=1)


DISPATCHED = {"state": "dispatched", "attempt": 1, "lease": "a" * 32, "lease_expires_at": at(120), "updated_at": at(0.01)}
DISPATCHED_LOG = [step("uploaded", "queued", 0), step("dispatch", "dispatched", 0.01, attempt=1, lease="a" * 8)]


def on_the_wire(of: Sent, attempt: int) -> Message:
    return Message(
        id=of.id, type=of.type, body=b"{}", source="audio", subject=f"job:{JOB}", routing_key=of.routing_key, attempt=attempt
    )


def broker(**changes: Any) -> Look:
    lines = {name: changes.pop(name.replace(".", "_"), Line(0, 1)) for name in QUEUES}
    return Look(lines, **changes)


DEAD = DeadLetter(on_the_wire(UPLOADED, 5), "audio.events", "exhausted", "KeyError: 'x'", at(1))
RESTING = Resting(on_the_wire(UPLOADED, 3), "audio.events", 60.0)
NOTIFIER_HANDLED = {UPLOADED.id: UPLOAD_HANDLED[UPLOADED.id][1:]}


@pytest.mark.parametrize(
    ("parts", "verdict"),
    [
        pytest.param(
            {"sent": [sent("audio.uploaded", 0, None, sequence=1)]},
            "stuck: audio.uploaded is unsent in audio's outbox since 2026-11-23 10:00:00 UTC: the relay of audio does not run",
            id="no relay",
        ),
        pytest.param(
            {"sent": [sent("audio.uploaded", 0, None, sequence=1)], "broker": None, "silent": {"broker": "refused"}},
            "stuck: audio.uploaded is unsent in audio's outbox since 2026-11-23 10:00:00 UTC: the broker does not answer",
            id="no broker",
        ),
        pytest.param(
            {"sent": [UPLOADED], "broker": broker(audio_events=Line(4, 0))},
            "stuck: audio.uploaded waits in audio.events since 2026-11-23 10:00:00 UTC and nobody consumes it (4 wait there)",
            id="audio consumes nothing",
        ),
        pytest.param(
            {"sent": [UPLOADED], "broker": Look()},
            "stuck: audio.uploaded was sent at 2026-11-23 10:00:00 UTC and the queue audio.events does not exist",
            id="no queue",
        ),
        pytest.param(
            {"sent": [UPLOADED], "broker": broker(dead=(DEAD,))},
            f"stuck: audio.uploaded is a dead letter of audio; its cause mended, `yousync dlq redrive --id {UPLOADED.id}`",
            id="dead letter",
        ),
        pytest.param(
            {
                "job": job(**DISPATCHED), "log": DISPATCHED_LOG, "sent": [UPLOADED, requested()], "handled": UPLOAD_HANDLED,
                "broker": broker(analysis_work_high=Line(9, 0)),
            },
            "stuck: analysis.requested waits in analysis.work.high since 2026-11-23 10:00:00 UTC"
            " and nobody consumes it (9 wait there)",
            id="no analysis server",
        ),
        pytest.param(
            {
                "job": job(state="running", attempt=1, lease="a" * 32, lease_expires_at=at(20)),
                "log": [*DISPATCHED_LOG, step("started", "running", 1, attempt=1, lease="a" * 8)],
                "sent": [UPLOADED, requested()], "handled": UPLOAD_HANDLED,
            },
            "stuck: its lease ran out at 2026-11-23 10:00:20 UTC and nobody took it back: audio does not sweep",
            id="no sweeper",
        ),
        pytest.param(
            {"job": job(deadline=at(30)), "sent": [UPLOADED], "handled": UPLOAD_HANDLED},
            "stuck: its time was up at 2026-11-23 10:00:30 UTC and nobody ended it: audio does not sweep",
            id="overdue",
        ),
        pytest.param(
            {"job": None, "silent": {"audio's database": "refused"}},
            "nothing is known: the database of audio, which owns the jobs, does not answer",
            id="no database",
        ),
        pytest.param({"job": None}, "there is no such job", id="unknown"),
        pytest.param(
            {
                "job": job(state="completed", attempt=1, finished_at=at(2)),
                "log": [*DISPATCHED_LOG, step("completed", "completed", 2, attempt=1)],
                "sent": [UPLOADED, requested(), sent("analysis.completed", 2, 2.1, sequence=3)], "handled": UPLOAD_HANDLED,
                "broker": broker(notifier_events=Line(1, 0)),
            },
            "completed in 2.0 s, but analysis.completed waits in notifier.events since 2026-11-23 10:00:02 UTC"
            " and nobody consumes it (1 wait there)",
            id="nobody tells the learner",
        ),
    ],
)  # fmt: skip
def test_the_verdict_says_where_a_job_is_stuck_and_since_when(parts: dict[str, Any], verdict: str) -> None:
    story = tell(gathered(60, **parts))
    assert story.verdict == verdict
    assert story.stuck


@pytest.mark.parametrize(
    ("now", "parts", "verdict"),
    [
        pytest.param(
            9, {"sent": [UPLOADED], "handled": UPLOAD_HANDLED, "ahead": 3, "running": 2},
            "waits for its turn since 2026-11-23 10:00:00 UTC: 3 jobs of priority high before it, 2 running", id="turn",
        ),
        pytest.param(
            9, {"job": job(attempt=1, dispatch_at=at(15)), "sent": [UPLOADED], "handled": UPLOAD_HANDLED},
            "waits for its next attempt, in 6.0 s (it has had 1 attempt)", id="pause",
        ),
        pytest.param(
            60,
            {
                "job": job(**DISPATCHED), "log": DISPATCHED_LOG, "sent": [UPLOADED, requested()], "handled": UPLOAD_HANDLED,
                "broker": broker(analysis_work_high=Line(9, 2)),
            },
            "waits for a free analysis server since 2026-11-23 10:00:00 UTC: 9 jobs in its work queue, 2 consumers", id="busy",
        ),
        pytest.param(
            9, {"sent": [UPLOADED], "handled": NOTIFIER_HANDLED, "broker": broker(resting=(RESTING,))},
            "held up: audio.uploaded rests on the retry ladder: audio failed at attempt 2, again within 60 s", id="ladder",
        ),
        pytest.param(
            9,
            {
                "job": job(state="running", attempt=1, worker="host-1", lease_expires_at=at(30), updated_at=at(8)),
                "log": [*DISPATCHED_LOG, step("started", "running", 1, attempt=1, lease="a" * 8)],
                "sent": [UPLOADED, requested()], "handled": UPLOAD_HANDLED,
            },
            "running: host-1 has it at attempt 1, heard of 1.0 s ago", id="running",
        ),
        pytest.param(
            60, {"job": job(state="failed", attempt=3, reason="worker_lost", finished_at=at(50))},
            "failed after 50.0 s at attempt 3: nothing was heard of the analysis server until its lease ran out", id="failed",
        ),
        pytest.param(
            60, {"job": job(state="cancelled", reason="cancelled", finished_at=at(5))},
            "cancelled after 5.0 s", id="cancelled",
        ),
    ],
)  # fmt: skip
def test_a_job_that_needs_nobody_is_not_called_stuck(now: float, parts: dict[str, Any], verdict: str) -> None:
    story = tell(gathered(now, **parts))
    assert story.verdict == verdict
    assert not story.stuck


def test_a_handler_may_be_faster_than_the_note_that_a_message_was_sent() -> None:
    slow = sent("audio.uploaded", 0, 0.05, sequence=1)
    story = tell(gathered(1, sent=[slow], handled={slow.id: UPLOAD_HANDLED[UPLOADED.id]}))
    assert "  audio.uploaded: audio handled it within 10 ms; notifier handled it within 12 ms" in lines(story.nodes)


def test_with_queues_in_memory_a_message_is_out_when_all_have_handled_it() -> None:
    message = sent("audio.uploaded", 0, None, sequence=1)
    handled = {message.id: [Handled("audio", "audio.dispatch", 1, at(0.01))]}
    story = tell(gathered(60, sent=[message], handled=handled, broker=None, in_memory=True))
    assert "  audio.uploaded: audio handled it within 10 ms; waits in notifier.events for 1 min 0 s" in lines(story.nodes)
    assert story.verdict == (
        "stuck: notifier has not handled audio.uploaded since 2026-11-23 10:00:00 UTC; "
        "the queues are in the platform's memory: is it still running?"
    )


def test_work_of_an_attempt_that_is_over_holds_nothing_up() -> None:
    log = [
        *DISPATCHED_LOG,
        step("tick", "queued", 121, attempt=0, reason="unclaimed"),
        step("dispatch", "dispatched", 121.1, attempt=1, lease="b" * 8),
    ]
    again = sent("analysis.requested", 121.1, 121.2, lease="b" * 32, attempt=1)
    found = gathered(
        122, job=job(**DISPATCHED | {"lease": "b" * 32, "lease_expires_at": at(240)}), log=log,
        sent=[UPLOADED, requested(), again], handled=UPLOAD_HANDLED, broker=broker(analysis_work_high=Line(9, 0)),
    )  # fmt: skip
    story = tell(found)
    assert not story.stuck
    assert "  nobody took it from the work queue in time; it waits for its turn again, and no attempt is lost" in lines(
        story.nodes
    )


def test_what_does_not_answer_is_named_and_the_rest_is_told() -> None:
    story = tell(
        gathered(
            60,
            sent=[UPLOADED],
            silent={"notifier's database": "refused"},
            handled={UPLOADED.id: [Handled("audio", "x", 1, at(1))]},
        )
    )
    assert story.silent == ("notifier's database does not answer: refused",)
    assert any("what notifier did with it is not known" in line for line in lines(story.nodes))


def test_jobs_of_the_same_take_are_told_of() -> None:
    chain = [
        {
            "id": "earlier",
            "retry_of": None,
            "state": "failed",
            "reason": "deadline",
            "created_at": at(-100),
            "finished_at": at(-50),
        },
        {"id": JOB, "retry_of": "earlier", "state": "completed", "reason": None, "created_at": at(0), "finished_at": at(2)},
        {"id": "later", "retry_of": JOB, "state": "running", "reason": None, "created_at": at(10), "finished_at": None},
    ]
    story = tell(gathered(60, job=job(state="completed", finished_at=at(2), retry_of="earlier"), chain=chain))
    told = lines(story.nodes)
    assert told[0] == "earlier job earlier: failed (the job's time was up)"
    assert told[1].startswith("asked to do job earlier over; its take: 43.6 KiB of audio/wav")
    assert told[-1] == "done over by job later: is being worked on"


def test_a_film_has_a_story_without_a_take() -> None:
    film = {
        "film_id": "f", "youtube_url": "https://youtu.be/x", "movie_name": "Inception", "actor_name": "Tom Hardy",
        "owner_key": "user:9", "priority": "film", "state": "dispatched", "lease_expires_at": at(600), "take_at": None,
    }  # fmt: skip
    log = [step("uploaded", "queued", 0), step("dispatch", "dispatched", 1, attempt=1)]
    story = tell(gathered(60, job=job(**film), log=log))
    assert story.headline == f"job {JOB}: scenes of Tom Hardy in Inception, asked for by user:9"
    told = lines(story.nodes)
    assert told[:2] == ["the film was asked for: https://youtu.be/x", "accepted: the job is committed"]
    assert story.verdict.startswith("waits for a free preprocessor since")


def test_a_job_from_before_there_was_a_log_has_a_story_too() -> None:
    story = tell(gathered(60, log=[], job=job(state="completed", finished_at=at(2)), sent=[UPLOADED], handled=UPLOAD_HANDLED))
    assert any("audio.uploaded: out after 4 ms" in line for line in lines(story.nodes))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0004, "0 ms"),
        (0.25, "250 ms"),
        (2.14, "2.1 s"),
        (250, "4 min 10 s"),
        (12_000, "3 h 20 min"),
        (190_000, "2 d 4 h"),
        (-1, "0 ms"),
    ],
)
def test_durations_are_said_as_a_person_would(seconds: float, text: str) -> None:
    assert how_long(timedelta(seconds=seconds)) == text


@pytest.mark.parametrize(("number", "text"), [(812, "812 B"), (44_600, "43.6 KiB"), (2_202_009, "2.1 MiB")])
def test_sizes_are_said_as_a_person_would(number: int, text: str) -> None:
    assert size(number) == text
