"""What goes over the wire about scores, as the public contract shows it, and where that shows none, in its style."""

from collections.abc import Iterable
from typing import Self

from pydantic import BaseModel, Field

from services.audio.mypage_schemas import DIGITS
from services.audio.scores import SceneScore, TopRecorder


class SceneScoreView(BaseModel):
    """How well the caller speaks a scene."""

    user_id: int = Field(examples=[1])
    token_id: int = Field(examples=[1])
    score: float = Field(description="0..1, the mean of the newest results that analysis-status shows", examples=[0.82])
    completed_scripts: int = Field(description="Lines with a result", examples=[2])
    total_scripts: int = Field(description="Lines of the scene", examples=[3])

    @classmethod
    def of(cls, user_id: int, token_id: int, score: SceneScore) -> Self:
        """The answer."""
        return cls(
            user_id=user_id,
            token_id=token_id,
            score=round(score.score, DIGITS),
            completed_scripts=score.completed_scripts,
            total_scripts=score.total_scripts,
        )


class AverageScore(BaseModel):
    """The mean score of all results of the caller."""

    user_id: int = Field(examples=[1])
    average_score: float = Field(description="0..1", examples=[0.82])


class RecorderView(BaseModel):
    """A place on the leaderboard. No address: anybody may look."""

    user_id: int = Field(examples=[1])
    full_name: str | None = Field(examples=["Alice Kim"])
    profile_picture: str | None = Field(examples=["https://pics.example.org/a.png"])
    recording_count: int = Field(examples=[42])


class Leaderboard(BaseModel):
    """Who recorded most, in this order."""

    users: list[RecorderView]

    @classmethod
    def of(cls, recorders: Iterable[TopRecorder]) -> Self:
        """The answer."""
        users = [
            RecorderView(
                user_id=each.user_id,
                full_name=each.full_name,
                profile_picture=each.profile_picture,
                recording_count=each.recordings,
            )
            for each in recorders
        ]
        return cls(users=users)
