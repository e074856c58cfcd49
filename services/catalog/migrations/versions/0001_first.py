"""Scenes, lines, words, actors, films."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from libs.common.migrations import create_messaging_tables_v1

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    create_messaging_tables_v1(op)
    op.execute(sa.schema.CreateSequence(sa.Sequence("script_versions")))
    op.create_table(
        "urls",
        sa.Column("id", sa.Integer, sa.Identity(), primary_key=True),
        sa.Column("youtube_url", sa.Text, nullable=False, unique=True),
    )
    op.create_table(
        "actors",
        sa.Column("id", sa.Integer, sa.Identity(), primary_key=True),
        sa.Column("name", sa.Text, nullable=False, unique=True),
        sa.Column("folded", sa.Text, nullable=False),
    )
    op.create_table(
        "actor_aliases",
        sa.Column("id", sa.Integer, sa.Identity(), primary_key=True),
        sa.Column("actor_id", sa.Integer, sa.ForeignKey("actors.id", ondelete="CASCADE"), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("folded", sa.Text, nullable=False),
        sa.UniqueConstraint("actor_id", "name"),
    )
    op.create_table(
        "tokens",
        sa.Column("id", sa.Integer, sa.Identity(), primary_key=True),
        sa.Column("token_name", sa.Text, nullable=False),
        sa.Column("actor_name", sa.Text, nullable=False),
        sa.Column("category", sa.Text),
        sa.Column("start_time", sa.Double, nullable=False),
        sa.Column("end_time", sa.Double, nullable=False),
        sa.Column("s3_textgrid_url", sa.Text),
        sa.Column("s3_pitch_url", sa.Text),
        sa.Column("s3_bgvoice_url", sa.Text),
        sa.Column("thumbnail_url", sa.Text),
        sa.Column("url_id", sa.Integer, sa.ForeignKey("urls.id"), nullable=False),
        sa.Column("view_count", sa.BigInteger, nullable=False, server_default="0"),
    )
    op.create_table(
        "token_actors",
        sa.Column("token_id", sa.Integer, sa.ForeignKey("tokens.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("actor_id", sa.Integer, sa.ForeignKey("actors.id", ondelete="CASCADE"), primary_key=True),
    )
    op.create_table(
        "scripts",
        sa.Column("id", sa.Integer, sa.Identity(), primary_key=True),
        sa.Column("token_id", sa.Integer, sa.ForeignKey("tokens.id", ondelete="CASCADE"), nullable=False),
        sa.Column("start_time", sa.Double, nullable=False),
        sa.Column("end_time", sa.Double, nullable=False),
        sa.Column("script", sa.Text, nullable=False),
        sa.Column("translation", sa.Text),
        sa.Column("version", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "words",
        sa.Column("id", sa.Integer, sa.Identity(), primary_key=True),
        sa.Column("script_id", sa.Integer, sa.ForeignKey("scripts.id", ondelete="CASCADE"), nullable=False),
        sa.Column("start_time", sa.Double),
        sa.Column("end_time", sa.Double),
        sa.Column("word", sa.Text),
        sa.Column("probability", sa.Double),
        sa.Column("mfcc", JSONB(none_as_null=True)),
    )
    op.create_index("ix_tokens_url_id", "tokens", ["url_id"])
    op.create_index("ix_token_actors_actor_id", "token_actors", ["actor_id"])
    op.create_index("ix_scripts_token_id", "scripts", ["token_id"])
    op.create_index("ix_words_script_id", "words", ["script_id"])
