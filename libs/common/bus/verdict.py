"""One run of a handler and what it means for the message: the same judgement on every bus."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from time import perf_counter

from libs.common.bus.base import Handler, Message
from libs.common.bus.metrics import CONSUMED, DEAD_LETTERS, HANDLER_SECONDS, RETRIES
from libs.common.errors import YouSyncError
from libs.common.telemetry import log_context

log = logging.getLogger(__name__)

ERROR_LENGTH = 2_000  # characters: it travels in a header, and all headers must fit one AMQP frame (128 KiB)


class Outcome(StrEnum):
    """What is to be done with the message."""

    HANDLED = "handled"
    RETRIED = "retried"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of one run of a handler."""

    outcome: Outcome
    delay: float = 0.0  # seconds until the next attempt, of a retried message
    reason: str = ""  # rejected | exhausted, of a dead one
    error: str = ""  # class and text of the exception


async def run_handler(handler: Handler, message: Message, *, service: str, queue: str, ladder: Sequence[float]) -> Verdict:
    """Run `handler` once, count it, and judge. Raises only `CancelledError`, when this task itself is cancelled."""
    began = perf_counter()
    verdict = Verdict(Outcome.HANDLED)
    try:
        with log_context(traceparent=message.traceparent):
            await handler(message)
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            CONSUMED.labels(service, queue, message.type, "returned").inc()
            raise
        # Something inside the handler was cancelled, not the handler: a failure like any other.
        verdict = judge(error, message.attempt, ladder)
    except Exception as error:
        verdict = judge(error, message.attempt, ladder)
        if not isinstance(error, YouSyncError):
            log.exception("the handler of %s failed unexpectedly on %s %s", queue, message.type, message.id)
    HANDLER_SECONDS.labels(service, queue, message.type).observe(perf_counter() - began)
    CONSUMED.labels(service, queue, message.type, verdict.outcome.value).inc()
    if verdict.outcome is Outcome.RETRIED:
        RETRIES.labels(service, queue).inc()
        log.warning(
            "%s %s of %s failed at attempt %d, again in %g s: %s",
            message.type, message.id, queue, message.attempt, verdict.delay, verdict.error,
        )  # fmt: skip
    elif verdict.outcome is Outcome.DEAD:
        DEAD_LETTERS.labels(service, queue, verdict.reason).inc()
        log.error(
            "%s %s of %s is dead (%s) after attempt %d: %s",
            message.type, message.id, queue, verdict.reason, message.attempt, verdict.error,
        )  # fmt: skip
    return verdict


def judge(error: BaseException, attempt: int, ladder: Sequence[float]) -> Verdict:
    """What a failure at `attempt` (from 1) means. Errors nobody named are bugs; bugs get mended, hence retried."""
    text = f"{type(error).__name__}: {error}"[:ERROR_LENGTH]
    if isinstance(error, YouSyncError) and not error.retryable:
        return Verdict(Outcome.DEAD, reason="rejected", error=text)
    if attempt > len(ladder):
        return Verdict(Outcome.DEAD, reason="exhausted", error=text)
    return Verdict(Outcome.RETRIED, delay=ladder[attempt - 1], error=text)
