"""Tables of what learners keep in the catalogue. Whose a row is says auth's user id, which nobody here looks up."""

from enum import StrEnum

import sqlalchemy as sa

from services.catalog.models import METADATA


class RequestStatus(StrEnum):
    """What became of a video request; the words of the public contract, which the web client compares with."""

    UNDER_REVIEW = "심사중"
    APPROVED = "승인됨"
    REJECTED = "거절됨"


BOOKMARKS = sa.Table(
    "bookmarks",
    METADATA,
    sa.Column("id", sa.Integer, sa.Identity(), primary_key=True),
    sa.Column("user_id", sa.Integer, nullable=False),
    sa.Column("token_id", sa.Integer, sa.ForeignKey("tokens.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    sa.UniqueConstraint("user_id", "token_id"),
    sa.Index("ix_bookmarks_user_id_id", "user_id", "id"),  # one's own, the newest first
)

VIDEO_REQUESTS = sa.Table(
    "video_requests",
    METADATA,
    sa.Column("id", sa.Integer, sa.Identity(), primary_key=True),
    sa.Column("user_id", sa.Integer, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("content", sa.Text, nullable=False),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),  # a RequestStatus
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    sa.Index("ix_video_requests_user_id_id", "user_id", "id"),
    # One of a person under review at a time, however many they send at once.
    sa.Index(
        "one_video_request_under_review",
        "user_id",
        unique=True,
        postgresql_where=sa.text(f"status = '{RequestStatus.UNDER_REVIEW}'"),
    ),
)
