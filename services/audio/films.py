"""The use case of films: have the scenes of an actor in a film prepared by a server that is not ours."""

import re
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

from libs.common.acts import NOWHERE, Act, Origin, Place, tell
from libs.common.contracts.audio import JobKind, Priority
from libs.common.contracts.notifier import job_channel
from libs.common.db import Database
from libs.common.telemetry import current
from libs.common.web.auth import Principal
from services.audio import film_repository, job_repository
from services.audio.changes import Clock, utc_now
from services.audio.dispatch import Dispatcher
from services.audio.errors import JobBusy, PreprocessingUnavailable
from services.audio.facts import film_requested
from services.audio.film_repository import Film
from services.audio.jobs import Job, Lifetimes, new_job

LOOKS = 5  # at a film that is asked for while its last job ends

_HOSTS = ("youtube.com", "www.youtube.com", "m.youtube.com", "music.youtube.com", "www.youtube-nocookie.com")
_SHORT_HOST = "youtu.be"
_VIDEO_ID = re.compile(r"[A-Za-z0-9_-]{11}", re.ASCII)
_PATH = re.compile(r"/(?:embed|shorts|live|v)/([^/]+)/?", re.ASCII)


def canonical_url(url: str) -> str | None:
    """`https://www.youtube.com/watch?v=<id>` of the address of a video on YouTube, in any of its forms; None of any other."""
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or port is not None or "@" in parts.netloc:
        return None
    found: str | None = None
    if host == _SHORT_HOST:
        found = parts.path.strip("/")
    elif host in _HOSTS and parts.path.rstrip("/") == "/watch":
        found = parse_qs(parts.query).get("v", [""])[0]
    elif host in _HOSTS and (path := _PATH.fullmatch(parts.path)):
        found = path[1]
    return f"https://www.youtube.com/watch?v={found}" if found and _VIDEO_ID.fullmatch(found) else None


class FilmService:
    """Begins jobs of films; all else about them is as with other jobs. `enabled`: there is a preprocessor."""

    def __init__(
        self,
        database: Database,
        dispatcher: Dispatcher,
        lifetimes: Lifetimes,
        *,
        enabled: bool,
        clock: Clock = utc_now,
    ) -> None:
        self._database = database
        self._dispatcher = dispatcher
        self._lifetimes = lifetimes
        self._enabled = enabled
        self._clock = clock

    async def process(self, film: Film, requester: Principal, place: Place = NOWHERE) -> Job:
        """The job that prepares the film: a new one, unless one does so already.

        Raises PreprocessingUnavailable, JobBusy, DatabaseUnavailable.
        """
        if not self._enabled:
            raise PreprocessingUnavailable
        for _ in range(LOOKS):
            now = self._clock()
            async with self._database.transaction() as tx:
                film_id = await film_repository.keep_film(tx.connection, film, new_id=uuid4(), now=now)
                job = new_job(
                    kind=JobKind.FILM,
                    take_id=None,
                    film_id=film_id,
                    user_id=None,
                    token_id=None,
                    script_id=None,
                    owner_key=f"user:{requester.user_id}",
                    priority=Priority.FILM,
                    lifetimes=self._lifetimes,
                    now=now,
                    traceparent=current("traceparent"),
                )
                if begun := await job_repository.add_job(tx, job):
                    tx.publish(film_requested(film, job), subject=job_channel(job.id))
                    by = Origin(place, requester.user_id, requester.session_id)
                    tell(tx, Act.FILM_REQUESTED, by, thing=job_channel(job.id))
            if begun:
                self._dispatcher.wake()
                return job
            async with self._database.autocommit() as connection:
                prepares = await job_repository.find_open_job_of_film(connection, film_id)
            if prepares is not None:
                return prepares
        raise JobBusy
