"""Which queues exist and what they hear: the whole broker as data.

All of it is there before a service connects, so that services may start in any order and no event is lost because its
consumer was never up yet: `yousync topology apply` makes it where each service has a user of its own, else every service
declares it. Declarations are those on which RabbitMQ 3.10 and 4.x behave the same.
"""

from dataclasses import dataclass

EVENTS_EXCHANGE = "yousync.events"  # topic, durable
FRAMES_EXCHANGE = "yousync.frames"  # direct, durable; one exclusive queue per gateway replica
LEASES_EXCHANGE = "yousync.leases"  # the same for those that work under a lease
RETRY_EXCHANGE_PREFIX = "yousync.retry"  # one topic exchange + queue per rung
# topic, durable; by the name of the queue. The default exchange would do, but whoever may publish there may fill any queue.
DEAD_EXCHANGE = "yousync.dead"

# Seconds a failed message waits before its next attempt: quick for a blip, long enough at the end for a person to mend
# something (1.2 hours in all).
RETRY_LADDER: tuple[float, ...] = (10.0, 60.0, 600.0, 3600.0)


@dataclass(frozen=True, slots=True)
class Queue:
    """A durable queue and the topic patterns it is bound with; its dead letters go to `<service>.dead`."""

    name: str
    service: str
    bindings: tuple[str, ...]
    # A quorum queue answers when most nodes of a cluster have a message on disk. Without, one node has it: faster by half,
    # for what somebody waits for live and comes again by other means when that node is lost for good.
    quorum: bool = True
    # The broker's user that reads it, where that is not the service's own.
    reader: str = ""

    @property
    def user(self) -> str:
        """The broker's user that reads it."""
        return self.reader or self.service

    @property
    def dead_letter_queue(self) -> str:
        """Where its poison messages and those that ran out of retries wait for a person."""
        return dead_letter_queue(self.service)


def ear_prefix(user: str) -> str:
    """How the names of the queues begin that `user` makes to hear what each of its processes must hear."""
    return f"{user}.ear."


def dead_letter_queue(service: str) -> str:
    """The name of the dead-letter queue of `service`."""
    return f"{service}.dead"


def retry_queue(delay: float) -> str:
    """The rung (exchange and queue) where messages rest for `delay` seconds: `yousync.retry.10s`, `...50ms`."""
    milliseconds = round(delay * 1000)
    seconds, rest = divmod(milliseconds, 1000)
    return f"{RETRY_EXCHANGE_PREFIX}.{milliseconds}ms" if rest else f"{RETRY_EXCHANGE_PREFIX}.{seconds}s"


AUDIO = Queue(
    "audio.events",
    "audio",
    (
        "audio.uploaded",
        "film.requested",
        "script.created",
        "script.updated",
        "script.deleted",
        "token.created",
        "token.updated",
        "token.deleted",
        "user.deleted",
    ),
)
# A learner waits for what a report says, and a report that is lost is not missed: its lease runs out and the job is done again.
AUDIO_REPORTS = Queue("audio.reports", "audio", ("analysis.report.*",), quorum=False)
# Beside the events, for one message of it takes seconds.
AUDIO_MIXING = Queue("audio.mixing", "audio", ("dubbing.requested",))
AUTH = Queue("auth.events", "auth", ("act.performed",))
CATALOG = Queue("catalog.events", "catalog", ("user.deleted",))
NOTIFIER = Queue(
    "notifier.events",
    "notifier",
    (
        "audio.uploaded",
        "analysis.started",
        "analysis.progressed",
        "analysis.completed",
        "analysis.failed",
        "analysis.cancelled",
        "analysis.erased",
        "film.*",
    ),
)

WORK_HIGH = Queue("analysis.work.high", "analysis", ("analysis.requested.high",))
WORK_NORMAL = Queue("analysis.work.normal", "analysis", ("analysis.requested.normal",))
WORK_LOW = Queue("analysis.work.low", "analysis", ("analysis.requested.low",))
WORK = {"high": WORK_HIGH, "normal": WORK_NORMAL, "low": WORK_LOW}
# Not among those: no analysis server may ever be given a film.
PREPROCESS = Queue("preprocess.work", "analysis", ("preprocess.requested",), reader="preprocessor")

QUEUES: tuple[Queue, ...] = (AUDIO, AUDIO_REPORTS, AUDIO_MIXING, AUTH, CATALOG, NOTIFIER, *WORK.values(), PREPROCESS)

# What every process of a service hears by an ear of its own, where a queue would tell one of them.
HEARD_BY_ALL: dict[str, tuple[str, ...]] = {"gateway": ("session.revoked",)}
# Users of the broker behind which may be anybody's program: they see work, and not even what became of it.
STRANGERS = frozenset({"analysis", "preprocessor"})


def seen_by(user: str) -> tuple[str, ...]:
    """The queues that a user of the broker reads, and the dead letters of a service of ours."""
    read = [queue for queue in QUEUES if queue.user == user]
    dead = {queue.dead_letter_queue for queue in read} if user not in STRANGERS else ()
    return (*(queue.name for queue in read), *dead)


def matches(pattern: str, routing_key: str) -> bool:
    """Whether a topic `pattern` (`*` one word, `#` any number of words) matches `routing_key`."""
    return _matches(pattern.split("."), routing_key.split("."))


def _matches(pattern: list[str], words: list[str]) -> bool:
    if not pattern:
        return not words
    head, rest = pattern[0], pattern[1:]
    if head == "#":
        return any(_matches(rest, words[i:]) for i in range(len(words) + 1))
    return bool(words) and head in ("*", words[0]) and _matches(rest, words[1:])
