"""What goes over the wire about what somebody practised, as the public contract shows it. Times are ISO 8601 in UTC."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, Field

from services.audio.mypage import Practice
from services.audio.mypage_repository import DubbedToken, SpokenText
from services.audio.schemas import Status

Time = Annotated[datetime, AfterValidator(lambda time: time.astimezone(UTC))]

DIGITS = 4  # of a mean score: it is shown, and 0.8200000000000001 is the sum's fault


class Dubbed(BaseModel):
    """A scene that the caller recorded anything of."""

    token_id: int = Field(examples=[2])
    token_name: str = Field(examples=["Scene 02"])
    actor_name: str = Field(examples=["Emma Stone"])
    category: str | None = Field(examples=["애니메이션"])
    youtube_url: str | None = Field(examples=["https://www.youtube.com/watch?v=vid00000002"])
    last_dubbed_at: Time
    total_scripts: int = Field(description="Lines of the scene", examples=[3])
    completed_scripts: int = Field(
        description="Lines with a completed result of the caller; all of them, if a recording of the whole scene has one",
        examples=[2],
    )

    @classmethod
    def of(cls, token: DubbedToken) -> Self:
        """As lists show it."""
        return cls.model_validate(token, from_attributes=True)


class ScriptWithResult(BaseModel):
    """A line, or the whole scene, with the newest result of the caller."""

    script_id: int | None = Field(description="null: a recording of the whole scene", examples=[7])
    script_text: str = Field(examples=["you could leave the"])
    has_result: Literal[True] = True
    job_id: str = Field(examples=["36f6a40f6d8547f7a9463ea6d82e58ce"])
    status: Status = Status.COMPLETED
    result: Any = Field(
        description="As the analysis server gave it", examples=[{"status": "success", "result": {"overall_score": 0.82}}]
    )
    created_at: Time


class ScriptWithoutResult(BaseModel):
    """A line that has no result of the caller yet."""

    script_id: int = Field(examples=[8])
    script_text: str = Field(examples=["table right now"])
    has_result: Literal[False] = False


class AnalysisStatus(BaseModel):
    """The lines of a scene in their order, one row each; behind them one for recordings of the whole scene, with a result."""

    token_id: int = Field(examples=[1])
    has_analysis: bool
    script_results: list[ScriptWithResult | ScriptWithoutResult]

    @classmethod
    def of(cls, token_id: int, texts: Iterable[SpokenText]) -> Self:
        """The answer to the result page."""
        rows = [_row(text) for text in texts]
        return cls(token_id=token_id, has_analysis=any(row.has_result for row in rows), script_results=rows)


class PracticeOverview(BaseModel):
    """The part of my page's overview that is about recordings. For the gateway, which composes the whole."""

    total_dubbed_tokens: int
    total_practice_count: int = Field(description="Recordings, with a result or without")
    average_completion_rate: float = Field(description="Mean overall score of all results, 0..1; 0.0 without any")
    recent: list[Dubbed]

    @classmethod
    def of(cls, practice: Practice) -> Self:
        """The answer to the gateway."""
        return cls(
            total_dubbed_tokens=practice.totals.tokens,
            total_practice_count=practice.totals.takes,
            average_completion_rate=round(practice.totals.mean_score or 0.0, DIGITS),
            recent=[Dubbed.of(token) for token in practice.recent],
        )


def _row(text: SpokenText) -> ScriptWithResult | ScriptWithoutResult:
    if text.job_id is None or text.created_at is None:
        assert text.script_id is not None  # the whole scene is a row only with its result
        return ScriptWithoutResult(script_id=text.script_id, script_text=text.text)
    return ScriptWithResult(
        script_id=text.script_id,
        script_text=text.text,
        job_id=text.job_id,
        result=text.result,
        created_at=text.created_at,
    )
