"""What analysis servers and preprocessors are asked for: all about a job that they need, with links that are theirs alone."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from libs.common.contracts.audio import AnalysisRequested, JobKind, PreprocessRequested, Priority
from libs.common.db import Database
from libs.common.storage.base import InvalidKey, Storage
from services.audio import film_repository, repository
from services.audio.film_repository import Film
from services.audio.jobs import Job
from services.audio.repository import Assignment
from services.audio.tickets import WebhookSigner

# A server that gets its work at the last moment still has to fetch the recording.
URL_MARGIN = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Parcel:
    """What an order needs from outside the transaction of its dispatch: it is signed and read before one is opened."""

    assignment: Assignment
    audio_url: str
    audio_uri: str
    textgrid_uri: str | None
    pitch_uri: str | None


class Orders:
    """Makes the orders. `reference_bucket` holds the scenes' reference objects, without one they are in our own store."""

    def __init__(
        self,
        database: Database,
        storage: Storage,
        webhooks: WebhookSigner,
        *,
        lease_seconds: float,
        reference_bucket: str | None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._database = database
        self._storage = storage
        self._webhooks = webhooks
        self._lease_seconds = lease_seconds
        self._reference_bucket = reference_bucket
        self._clock = clock

    async def parcels(self, job_ids: Collection[str]) -> dict[str, Parcel | Film]:
        """What orders of these jobs need, by job id; of unknown jobs nothing."""
        assignments = await repository.assignments(self._database, job_ids)
        films: dict[str, Film] = {}
        if others := [job_id for job_id in job_ids if job_id not in assignments]:
            async with self._database.reading() as connection:
                films = await film_repository.films_of(connection, others)
        now = self._clock()
        return films | {
            job_id: Parcel(
                assignment,
                await self._storage.signed_url(
                    assignment.object_key, expires_in=max(assignment.deadline - now, timedelta()) + URL_MARGIN
                ),
                self._storage.uri(assignment.object_key),
                self._reference(assignment.textgrid),
                self._reference(assignment.pitch),
            )
            for job_id, assignment in assignments.items()
        }

    def request(self, job: Job, parcel: Parcel | Film) -> AnalysisRequested | PreprocessRequested:
        """The order for the attempt that `job` was dispatched for."""
        return self._of_film(job, parcel) if isinstance(parcel, Film) else self._of_take(job, parcel)

    def _of_film(self, job: Job, film: Film) -> PreprocessRequested:
        assert job.lease is not None
        assert job.lease_expires_at is not None
        return PreprocessRequested(
            job_id=job.id,
            attempt=job.attempt,
            lease=job.lease,
            lease_seconds=(job.deadline - job.updated_at).total_seconds(),
            claim_before=job.lease_expires_at,
            deadline=job.deadline,
            youtube_url=film.youtube_url,
            movie_name=film.movie_name,
            actor_name=film.actor_name,
            webhook_url=self._webhooks.url(job),
        )

    def _of_take(self, job: Job, parcel: Parcel) -> AnalysisRequested:
        assert job.lease is not None
        assert job.lease_expires_at is not None
        assert job.token_id is not None
        assert job.kind is not JobKind.FILM
        assert job.priority is not Priority.FILM
        assignment = parcel.assignment
        return AnalysisRequested(
            job_id=job.id,
            kind=job.kind,
            priority=job.priority,
            attempt=job.attempt,
            lease=job.lease,
            lease_seconds=self._lease_seconds,
            claim_before=job.lease_expires_at,
            deadline=job.deadline,
            audio_url=parcel.audio_url,
            audio_uri=parcel.audio_uri,
            media_type=assignment.media_type,
            token_id=job.token_id,
            script_id=job.script_id,
            line_start=assignment.line_start,
            line_end=assignment.line_end,
            words=assignment.words,
            textgrid_uri=parcel.textgrid_uri,
            pitch_uri=parcel.pitch_uri,
            webhook_url=self._webhooks.url(job),
        )

    def _reference(self, named: str | None) -> str | None:
        """The object that the catalogue names by its key, or by a whole URI."""
        if not named or "://" in named:
            return named or None
        if self._reference_bucket is not None:
            return f"s3://{self._reference_bucket}/{named}"
        try:
            return self._storage.uri(named)
        except InvalidKey:  # the catalogue takes any text; an order without it is better than none
            return None
