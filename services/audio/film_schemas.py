"""What goes over the wire about films, as the public contract shows it."""

import unicodedata
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from services.audio.film_repository import Film
from services.audio.films import canonical_url
from services.audio.jobs import Job
from services.audio.results import token_ids
from services.audio.schemas import JobSummary, Status

URL_LENGTH, NAME_LENGTH = 500, 200  # letters at most


def _youtube(value: str) -> str:
    url = canonical_url(value)
    if url is None:
        raise ValueError("must be the address of a video on YouTube, like https://www.youtube.com/watch?v=dQw4w9WgXcQ")
    return url


def _one_line(value: str) -> str:
    if any(unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") for letter in value):
        raise ValueError("must not have control characters or line breaks")
    return value


Url = Annotated[str, StringConstraints(strip_whitespace=True, max_length=URL_LENGTH), AfterValidator(_youtube)]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=NAME_LENGTH), AfterValidator(_one_line)]


class FilmAsked(BaseModel):
    """Which film, and whose scenes in it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "youtube_url": "https://www.youtube.com/watch?v=dQw4w9WgXcQ",
                    "movie_name": "Inception",
                    "actor_name": "Tom Hardy",
                }
            ]
        }
    )

    youtube_url: Url = Field(description="Of a video on YouTube, in any of its forms")
    movie_name: Name
    actor_name: Name

    @property
    def film(self) -> Film:
        """As it is kept."""
        return Film(self.youtube_url, self.movie_name, self.actor_name)


class FilmAccepted(BaseModel):
    """The film is being prepared."""

    job_id: str
    status: Status = Status.PROCESSING
    message: str
    token_id: None = None

    @classmethod
    def of(cls, job: Job) -> Self:
        """The answer to a film."""
        return cls(job_id=job.id, message=job.message)


class FilmState(BaseModel):
    """A film's job and, when it is completed, the scenes that were made: those that the preprocessor named."""

    job_id: str
    status: Status
    progress: int
    message: str
    token_id: int | None = Field(description="The first of them")
    token_ids: list[int] | None = Field(description="null until it is completed")
    result: dict[str, Any] | None = Field(description="What the preprocessor posted")

    @classmethod
    def of(cls, job: Job) -> Self:
        """The job as administrators see it."""
        return cls(**FilmSummary.of(job).model_dump(exclude={"sequence"}))


class FilmSummary(JobSummary):
    """The same as a gateway tells it to a stream that has no frames yet."""

    token_id: int | None
    token_ids: list[int] | None

    @classmethod
    def of(cls, job: Job) -> Self:
        """The job in the keys of a frame."""
        made = token_ids(job.result)
        return cls(
            **JobSummary.of(job).model_dump(),
            token_id=made[0] if made else None,
            token_ids=None if made is None else list(made),
        )
